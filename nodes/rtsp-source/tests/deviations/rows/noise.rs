//! Hostile packets between those of the camera.

use std::sync::Mutex;

use fastrand::Rng;

use crate::camera::{FPS, Pieces, interleaved};
use crate::row::{Row, whole};

/// Packets of noise a second.
const RATE: usize = 2000;

pub(crate) fn rows() -> Vec<Row> {
    vec![whole("noise: 2000 hostile packets a second", |c| {
        let random = Mutex::new(Rng::with_seed(1));
        c.blocks(move |_, blocks| noisy(blocks, &mut random.lock().unwrap()));
    })]
}

/// With noise before each packet, evenly.
fn noisy(blocks: Pieces, random: &mut Rng) -> Pieces {
    let mut left = RATE / FPS as usize;
    let count = blocks.len();
    let mut noisy = Vec::new();
    for (index, block) in blocks.into_iter().enumerate() {
        let now = left / (count - index);
        left -= now;
        noisy.extend((0..now).map(|_| noise(random)));
        noisy.push(block);
    }
    noisy
}

/// A packet that no frame needs.
fn noise(random: &mut Rng) -> Vec<u8> {
    let length = random.usize(0..200);
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
    match random.u8(..8) {
        // Neither a packet nor an answer.
        0 => b"\r\n".to_vec(),
        // Of a channel that nothing was set up for.
        1 => interleaved(random.u8(2..), &bytes),
        // Reports of nothing.
        2 => interleaved(1, &bytes),
        // Too short for a header.
        3 => {
            bytes.truncate(11);
            interleaved(0, &bytes)
        }
        // Of another version.
        4 => {
            bytes.iter_mut().take(1).for_each(|first| *first &= 0x3f);
            interleaved(0, &bytes)
        }
        // Cut in the extension of the header.
        5 => {
            bytes.splice(..0, [0x90, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xac, 0xff, 0xff]);
            interleaved(0, &bytes)
        }
        // Of another payload type.
        6 => {
            bytes.splice(..0, [0x80, 97, random.u8(..), random.u8(..), 0, 0, 0, 0, 9, 9, 9, 9]);
            interleaved(0, &bytes)
        }
        // Of another source, with the payload type of the video.
        _ => {
            bytes.splice(..0, [0x80, 96, random.u8(..), random.u8(..), 0, 0, 0, 0, 9, 9, 9, 9]);
            interleaved(0, &bytes)
        }
    }
}
