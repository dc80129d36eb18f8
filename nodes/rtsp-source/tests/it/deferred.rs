//! For nodes of the same process, pictures are decoded when a node asks for them.

use std::fmt::Write as _;
use std::process::Command;

use crate::stub::footage::Footage;
use md5::{Digest as _, Md5};
use msight_picture::DecodedPicture;
use msight_proto::ImageData;
use msight_rtsp_source::steps::{Handover, Steps};

/// Frames from one key frame to the next.
const GROUP: usize = 25;
const COUNT: usize = 100;

/// The units as Annex B.
fn units() -> Vec<Vec<u8>> {
    let footage = Footage::h264("320x180", COUNT, GROUP, "-bf 0");
    let annex_b =
        |unit: &Vec<Vec<u8>>| unit.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect();
    footage.units.iter().map(annex_b).collect()
}

/// The MD5 of the planes of each picture, by ffmpeg.
fn by_ffmpeg(units: &[Vec<u8>]) -> Vec<String> {
    let file = tempfile::NamedTempFile::with_suffix(".h264").unwrap();
    std::fs::write(file.path(), units.concat()).unwrap();
    let ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file.path())
        .args(["-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg is installed (on Debian: apt-get install ffmpeg)");
    let lines = String::from_utf8(ffmpeg.stdout).unwrap();
    let hash = |line: &str| line.rsplit(", ").next().unwrap().to_owned();
    lines.lines().filter(|line| !line.starts_with('#')).map(hash).collect()
}

/// The same of one message.
fn hash(message: &ImageData) -> String {
    let planes = DecodedPicture::of(message).expect("it can be decoded").planes();
    let (size, mut md5) = (planes.size(), Md5::new());
    let mut plane = |samples: &[u8], stride: usize, width: usize, height: usize| {
        samples.chunks(stride).take(height).for_each(|row| md5.update(&row[..width]));
    };
    let ([y, u, v], chroma) = (planes.strides(), size.chroma());
    plane(planes.y(), y, size.width(), size.height());
    plane(planes.u(), u, chroma.width(), chroma.height());
    plane(planes.v(), v, chroma.width(), chroma.height());
    md5.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The messages of all units.
fn messages(steps: &mut Steps, units: &[Vec<u8>]) -> Vec<ImageData> {
    let message = |(number, unit): (usize, &Vec<u8>)| {
        let mut messages = steps.access_unit(unit, number.is_multiple_of(GROUP)).unwrap();
        assert_eq!(messages.len(), 1);
        messages.remove(0)
    };
    units.iter().enumerate().map(message).collect()
}

#[test]
fn only_the_first_picture_is_decoded_unasked() {
    let units = units();
    let mut steps = Steps::for_process(Handover::Deferred).unwrap();
    let messages = messages(&mut steps, &units);
    assert_eq!(steps.decoded(), 1);
    assert!(messages.iter().all(|message| message.size == Some(vec![180, 320, 3])));
}

#[test]
fn the_pictures_are_those_that_ffmpeg_decodes() {
    let units = units();
    let expected = by_ffmpeg(&units);
    assert_eq!(expected.len(), COUNT);
    let mut steps = Steps::for_process(Handover::Deferred).unwrap();
    let messages = messages(&mut steps, &units);
    for number in (9..COUNT).step_by(10) {
        assert_eq!(hash(&messages[number]), expected[number], "picture {number}");
    }
    // In each group up to the last one that is asked for: 20 and 25 pictures in turn.
    assert_eq!(steps.decoded(), 20 + 25 + 20 + 25);
    for (number, message) in messages.iter().enumerate().rev() {
        assert_eq!(hash(message), expected[number], "picture {number}");
    }
    // The rest once each, after the begin of the first group again: its decoder had gone to another group.
    assert_eq!(steps.decoded(), COUNT as u64 + 20);
}

#[test]
fn the_bytes_are_those_of_a_program() {
    let units = units();
    let [deferred, at_once] = [Handover::Deferred, Handover::Bytes]
        .map(|handover| messages(&mut Steps::for_process(handover).unwrap(), &units[..GROUP]));
    assert_eq!(deferred, at_once);
}

/// With B-frames, a picture does not leave the decoder with its unit.
#[test]
fn a_stream_that_reorders_is_decoded_at_once() {
    let footage = Footage::h264("320x180", 13, 13, "-profile:v main -bf 3");
    let mut steps = Steps::for_process(Handover::Deferred).unwrap();
    let mut pictures = 0;
    for (number, unit) in footage.units.iter().enumerate() {
        let unit: Vec<u8> = unit.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect();
        pictures += steps.access_unit(&unit, number == 0).unwrap().len();
    }
    assert!(pictures > 5);
    assert_eq!(steps.decoded(), pictures as u64);
}
