//! Pictures of noise, like those of a camera at night: every picture is encoded, at any bitrate.

use msight_codec::{Encoder, Quality};
use msight_media::mp4::{SampleData, mux};
use msight_picture::{Colour, Picture, Size};
use std::fs;
use std::process::Command;
use std::time::Duration;

const FPS: f64 = 4.0;
const FRAMES: u64 = 12;

/// Pictures of full contrast; every third picture equals the one before it.
fn noise(size: Size) -> Vec<Picture> {
    let mut random = fastrand::Rng::with_seed(9);
    (0..FRAMES)
        .map(|k| {
            let mut picture = Picture::new(size, Colour::VIDEO);
            let planes = picture.planes_mut();
            let mut random = if k % 3 == 1 { random.clone() } else { random.fork() };
            [planes.y, planes.u, planes.v].into_iter().for_each(|plane| random.fill(plane));
            picture
        })
        .collect()
}

#[test]
fn every_picture_of_noise_is_encoded_at_any_bitrate() {
    let size = Size::new(1280, 720).unwrap();
    let pictures = noise(size);
    let folder = tempfile::tempdir().unwrap();
    for (bitrate, qp) in [
        (Some(1_000_000), None),
        (Some(20_000_000), None),
        (Some(40_000_000), Some(0)),
        (Some(100_000_000), Some(0)),
        (Some(u32::MAX), None),
        (None, Some(0)),
    ] {
        let quality = Quality { bitrate, qp, fps: FPS, keyframe_interval: 5 };
        let mut encoder = Encoder::new(size, Colour::VIDEO, &quality).unwrap();
        let units: Vec<_> = (pictures.iter().zip(0..))
            .map(|(picture, k)| encoder.encode(picture.planes(), k * 250, k == 0))
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{bitrate:?} {qp:?}: {error}"));
        let samples: Vec<_> = (units.iter())
            .map(|unit| SampleData {
                data: &unit.data,
                key: unit.key,
                duration: 22_500,
                composition_offset: 0,
            })
            .collect();
        assert!(units.iter().all(|unit| unit.parameter_sets == units[0].parameter_sets), "one segment");
        let file = folder.path().join("noise.mp4");
        fs::write(&file, mux(&units[0].parameter_sets, Duration::ZERO, &samples, None).unwrap()).unwrap();
        let count = ["-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"];
        let output = Command::new("ffprobe").args(["-v", "error"]).args(count).arg(&file).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            printed.trim(),
            FRAMES.to_string(),
            "{bitrate:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.stderr.is_empty(), "{bitrate:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
