//! Hostile packets between those of the camera: none of them is needed, and every frame comes out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use fastrand::Rng;

use crate::camera::{Camera, FPS, Pieces};
use crate::row::{Row, whole};
use crate::stub::rtp::interleaved;

/// Packets of noise a second.
const RATE: usize = 2000;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        whole("noise: 2000 line ends a second", |c| noise(c, |_, _| b"\r\n".to_vec())),
        whole("noise: 2000 packets a second of unknown channels", |c| noise(c, of_unknown_channels)),
        whole("noise: 2000 invalid reports a second", |c| noise(c, |_, bytes| interleaved(1, bytes))),
        whole("noise: 2000 short packets a second", |c| noise(c, short)),
        whole("noise: 2000 packets a second of another version", |c| noise(c, of_another_version)),
        whole("noise: 2000 packets a second with a cut extension", |c| noise(c, cut)),
        whole("noise: 2000 packets a second of another payload type", |c| {
            noise(c, |random, bytes| packet(random, 97, bytes));
        }),
        whole("noise: 2000 packets a second of another source", |c| {
            noise(c, |random, bytes| packet(random, 96, bytes));
        }),
        whole("noise: 2000 packets a second of another source, numbered in order", numbered),
        whole("noise: 2000 packets a second of every kind", |c| noise(c, of_any_kind)),
    ]
}

/// A packet of noise, with these bytes.
type Noise = fn(&mut Rng, &[u8]) -> Vec<u8>;

/// Adds noise before each packet, evenly.
fn noise(c: &mut Camera, one: Noise) {
    let random = Mutex::new(Rng::with_seed(1));
    c.blocks(move |_, blocks| {
        let random = &mut random.lock().unwrap();
        let (mut left, count) = (RATE / FPS as usize, blocks.len());
        let mut noisy = Pieces::new();
        for (index, block) in blocks.into_iter().enumerate() {
            let now = left / (count - index);
            left -= now;
            noisy.extend((0..now).map(|_| {
                let length = random.usize(0..200);
                let bytes: Vec<_> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
                one(random, &bytes)
            }));
            noisy.push(block);
        }
        noisy
    });
}

fn of_unknown_channels(random: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    interleaved(random.u8(2..), bytes)
}

/// Shorter than a header.
fn short(_: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    interleaved(0, &bytes[..bytes.len().min(11)])
}

fn of_another_version(_: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    interleaved(0, &[&[0x40], bytes].concat())
}

/// The extension of the header is longer than the packet.
fn cut(_: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let header = [0x90, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xac, 0xff, 0xff];
    interleaved(0, &[&header[..], bytes].concat())
}

/// A packet of a source with random numbers.
fn packet(random: &mut Rng, payload_type: u8, bytes: &[u8]) -> Vec<u8> {
    let header = [0x80, payload_type, random.u8(..), random.u8(..), 0, 0, 0, 0, 9, 9, 9, 9];
    interleaved(0, &[&header[..], bytes].concat())
}

/// Behind the first frame, packets of a source whose numbers are in order.
fn numbered(c: &mut Camera) {
    let number = AtomicU16::new(500);
    c.blocks(move |frame, blocks| {
        let each = if frame == 0 { 0 } else { RATE / FPS as usize / blocks.len() };
        let one = |_| {
            let [high, low] = number.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            interleaved(0, &[0x80, 96, high, low, 0, 0, 0, 0, 9, 9, 9, 9, 0x61, 1, 2, 3])
        };
        let with_noise = |block| (0..each).map(one).chain([block]).collect::<Vec<_>>();
        blocks.into_iter().flat_map(with_noise).collect()
    });
}

fn of_any_kind(random: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let kinds: [Noise; 8] = [
        |_, _| b"\r\n".to_vec(),
        of_unknown_channels,
        |_, bytes| interleaved(1, bytes),
        short,
        of_another_version,
        cut,
        |random, bytes| packet(random, 97, bytes),
        |random, bytes| packet(random, 96, bytes),
    ];
    kinds[random.usize(..kinds.len())](random, bytes)
}
