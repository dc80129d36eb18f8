//! Transport streams and Matroska: every unit once, sound beside its picture, and sound that is heard.

use std::path::Path;
use std::process::Command;

use msight_node::testing::run_processor;
use msight_proto::{AccessUnitData, Sample};
use msight_recorder::Recorder;
use msight_test_support::probe::{Packet, Stream, decode, packets};

use crate::segments::{H264, files};
use crate::stream::{Recipe, of, units};

/// Whether a packet has a unit's data. Transport streams have byte streams and headers.
fn is_unit(container: &str, packet: &Packet, unit: &AccessUnitData) -> bool {
    match (container, unit.codec.as_str()) {
        ("ts", "h264") => {
            let slices = |data: &mut dyn Iterator<Item = &[u8]>| -> Vec<Vec<u8>> {
                data.filter(|unit| msight_media::nal::is_slice(unit)).map(<[u8]>::to_vec).collect()
            };
            slices(&mut msight_media::nal::annex_b_units(&packet.data))
                == slices(&mut msight_media::nal::units(&unit.data))
        }
        ("ts", "aac") => packet.data[7..] == unit.data,
        _ => packet.data == unit.data,
    }
}

/// Checks that the segments have all units of both tracks, in order, but for sound before the first picture; and that sound is as far from the picture as it was.
fn check(container: &str, sent: &[Sample<AccessUnitData>], paths: &[impl AsRef<Path>]) {
    let tracks = ["video", "audio"];
    let captured = |track| {
        sent.iter().filter(move |unit| unit.body.track == track).map(|unit| unit.head.capture_timestamp)
    };
    let begin = captured("video").fold(f64::INFINITY, f64::min);
    let early = captured("audio").filter(|time| *time < begin).count();
    let mut left = tracks.map(|track| of(sent, track).skip(if track == "audio" { early } else { 0 }));
    for path in paths.iter().map(AsRef::as_ref) {
        decode(path);
        let (streams, found) = packets(path);
        let mut offsets = Vec::new();
        for (left, is_video) in left.iter_mut().zip([true, false]) {
            let Some(at) = streams.iter().position(|stream| stream.size.is_some() == is_video) else {
                continue;
            };
            let rate = f64::from(streams[at].rate);
            for packet in found.iter().filter(|packet| packet.stream == at as u64) {
                let unit = left.next().expect("no more units than were sent");
                assert!(
                    is_unit(container, packet, unit),
                    "{}: {} {}",
                    path.display(),
                    unit.track,
                    unit.sequence
                );
                offsets.push(packet.pts as f64 / rate - unit.pts as f64 / f64::from(unit.rate));
            }
        }
        // The zeros of the tracks differ, by the same time in all segments.
        let zeros = f64::from(1_000_000) * (1.0 / 48_000.0 - 1.0 / 90_000.0);
        let first = offsets[0];
        let fits = |offset: &f64| (offset - first).abs() < 0.002 || (offset - first + zeros).abs() < 0.002;
        assert!(offsets.iter().all(fits), "{}: {offsets:?}", path.display());
    }
    for (mut left, track) in left.into_iter().zip(tracks) {
        assert_eq!(left.next().map(|unit| unit.sequence), None, "{track}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_units_are_recorded_and_sound_stays_beside_the_picture() {
    let sent = units("gate", "a", Recipe { video: H264, audio: "-c:a aac", seconds: 4 });
    for container in ["ts", "mkv"] {
        let flags = [format!("--container={container}"), "--segment-duration=1".to_owned()];
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let segments = run_processor::<Recorder>(&flags, &sent).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), &segments);
        assert!(files.len() > 2);
        check(container, &sent, &files);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn matroska_has_pictures_of_jpeg_and_sound_of_telephones_as_they_are() {
    let recipe = Recipe {
        video: "-c:v mjpeg -q:v 5 -pix_fmt yuvj420p",
        audio: "-c:a pcm_mulaw -ar 8000 -ac 1",
        seconds: 3,
    };
    let sent = units("gate", "a", recipe);
    let flags = ["--container=mkv", "--audio=keep", "--segment-duration=1"];
    let segments = run_processor::<Recorder>(&flags, &sent).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut pictures = of(&sent, "video");
    let mut sound = Vec::new();
    for path in files(folder.path(), &segments) {
        decode(&path);
        let (streams, found) = packets(&path);
        let codec = |stream: &Stream| stream.codec.clone();
        assert_eq!(streams.iter().map(codec).collect::<Vec<_>>(), ["mjpeg", "pcm_mulaw"]);
        for packet in &found {
            match streams[packet.stream as usize].size {
                Some(_) => assert!(pictures.next().is_some_and(|unit| unit.data == packet.data)),
                None => sound.extend_from_slice(&packet.data),
            }
        }
    }
    assert!(pictures.next().is_none());
    let expected: Vec<u8> = of(&sent, "audio").flat_map(|unit| unit.data.to_vec()).collect();
    assert!(sound == expected, "{} bytes of {}", sound.len(), expected.len());
}

/// ffmpeg's measure of how loud the sound of a file is, in dB.
fn volume(path: &Path) -> f64 {
    let output = Command::new("ffmpeg")
        .args(["-nostats", "-i"])
        .arg(path)
        .args(["-map", "0:a", "-af", "volumedetect", "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, after) = text.split_once("mean_volume: ").unwrap_or_else(|| panic!("{text}"));
    after.split_once(' ').unwrap().0.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_of_telephones_is_heard_in_each_container() {
    let sent = units("gate", "a", Recipe { video: H264, audio: "-c:a pcm_mulaw -ar 8000 -ac 1", seconds: 4 });
    for container in ["mp4", "ts", "mkv"] {
        let flags = [format!("--container={container}"), "--segment-duration=2".to_owned()];
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let segments = run_processor::<Recorder>(&flags, &sent).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        for path in files(folder.path(), &segments) {
            // ffmpeg's sine is at an eighth of the scale: -21 dB.
            let volume = volume(&path);
            assert!((-23.0..-19.0).contains(&volume), "{}: {volume} dB", path.display());
        }
    }
}
