//! Frames of any times, sizes and content to the aggregator: each encoded one is in a segment, each segment a file.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use msight_proto::ImageData;

#[derive(Arbitrary, Debug)]
struct Input {
    buffer: u8,
    overlap: u8,
    constant: bool,
    frames: Vec<Frame>,
}

#[derive(Arbitrary, Debug)]
struct Frame {
    time: Time,
    picture: Image,
}

/// When a frame was taken.
#[derive(Arbitrary, Debug)]
enum Time {
    /// So many milliseconds after the one before, or before it.
    Step(i16),
    Any(f64),
}

#[derive(Arbitrary, Debug)]
enum Image {
    /// Pixels of one colour in a picture of 1 to 256 by 1 to 256.
    Raw(u8, u8, u8),
    Encoded(Vec<u8>),
}

/// Frames of one input: enough for several segments, few enough to be quick.
const MOST_FRAMES: usize = 60;

fuzz_target!(|input: Input| {
    let mut now = 1.7e9;
    let frames = input.frames.into_iter().take(MOST_FRAMES).map(|frame| {
        let time = match frame.time {
            Time::Step(milliseconds) => {
                now += f64::from(milliseconds) / 1e3;
                now
            }
            Time::Any(time) => time,
        };
        let (image, is_encoded, size) = match frame.picture {
            Image::Raw(width, height, colour) => {
                let (width, height) = (u64::from(width) + 1, u64::from(height) + 1);
                (vec![colour; (width * height) as usize], false, Some(vec![height, width]))
            }
            Image::Encoded(bytes) => (bytes, true, None),
        };
        (
            time,
            ImageData {
                image: Some(Bytes::from(image).into()),
                is_encoded,
                detection_results: None,
                size,
                access_unit: None,
            },
        )
    });
    #[cfg(fuzzing)]
    msight_image_to_video::fuzz::frames(input.buffer, input.overlap, input.constant, frames);
    #[cfg(not(fuzzing))]
    let _ = (input.buffer, input.overlap, input.constant, frames.count());
});
