//! Streams that ffmpeg has encoded, as a source publishes them.

use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use msight_proto::{AccessUnitData, Head, Sample};
use msight_test_support::probe::{Packet, Stream, packets};

/// The capture time of the first picture: a full hour.
pub(crate) const START: f64 = 1_767_225_600.0;

/// The presentation time of the first picture, and that of the sound with it.
pub(crate) const ZERO: i64 = 1_000_000;

/// What a stream has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    /// Arguments of ffmpeg for the video, such as `-c:v libx264 -bf 2 -g 12`; empty without video.
    pub(crate) video: &'static str,
    /// Arguments of ffmpeg for the sound; empty without sound.
    pub(crate) audio: &'static str,
    pub(crate) seconds: u32,
}

/// The units of a stream, of all tracks in the order of their decoding times.
pub(crate) fn units(sensor: &str, session: &str, recipe: Recipe) -> Vec<Sample<AccessUnitData>> {
    let folder = tempfile::tempdir().unwrap();
    let path = encode(&folder.path().join("stream"), recipe);
    let (streams, found) = packets(&path);
    let mut numbers = vec![0; streams.len()];
    let mut units: Vec<_> = (found.iter())
        .map(|packet| {
            let number: &mut u64 = &mut numbers[packet.stream as usize];
            *number += 1;
            let stream = &streams[packet.stream as usize];
            (packet.dts as f64 / f64::from(stream.rate), unit(sensor, session, stream, packet, *number - 1))
        })
        .collect();
    units.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    units.into_iter().map(|(_, unit)| unit).collect()
}

fn encode(path: &std::path::Path, recipe: Recipe) -> PathBuf {
    // G.711 has no place in MP4 that ffmpeg writes.
    let path = path.with_extension(if recipe.audio.contains("pcm") { "mov" } else { "mp4" });
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y"]);
    if !recipe.video.is_empty() {
        command.args(["-f", "lavfi", "-i", "testsrc=size=160x120:rate=25"]);
    }
    if !recipe.audio.is_empty() {
        command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]);
    }
    let args = [recipe.video, recipe.audio].join(" ");
    command.args(["-t", &recipe.seconds.to_string()]).args(args.split_whitespace());
    command.args(["-pix_fmt", "yuv420p", "-video_track_timescale", "90000"]).arg(&path);
    let output = command.output().expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

fn unit(
    sensor: &str,
    session: &str,
    stream: &Stream,
    packet: &Packet,
    number: u64,
) -> Sample<AccessUnitData> {
    let is_video = stream.size.is_some();
    let codec = match stream.codec.as_str() {
        "hevc" => "h265",
        "pcm_mulaw" => "pcmu",
        "mjpeg" => "jpeg",
        codec => codec,
    };
    let sets = match codec {
        "h264" => avc_sets(&stream.extradata),
        "h265" => hevc_sets(&stream.extradata),
        "aac" => vec![Bytes::copy_from_slice(&stream.extradata)],
        _ => Vec::new(),
    };
    let captured = START + packet.pts as f64 / f64::from(stream.rate);
    let body = AccessUnitData {
        track: if is_video { "video" } else { "audio" }.to_owned(),
        codec: codec.to_owned(),
        key: packet.key || !is_video,
        pts: packet.pts + ZERO,
        dts: packet.dts + ZERO,
        rate: stream.rate,
        sequence: number,
        session: session.to_owned(),
        after_loss: false,
        parameter_sets: Some(sets).filter(|sets| !sets.is_empty() && (packet.key || !is_video)),
        size: stream.size.map(|(width, height)| vec![height, width]),
        channels: stream.channels,
        data: packet.data.clone().into(),
    };
    Sample::new(Head::new(sensor.to_owned(), captured), body)
}

/// The parameter sets in an `avcC` box (ISO/IEC 14496-15, 5.3.3.1.2).
fn avc_sets(bytes: &[u8]) -> Vec<Bytes> {
    let mut sets = Vec::new();
    let mut at = 5;
    for mask in [0x1f, 0xff] {
        let count = bytes[at] & mask;
        at += 1;
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
            sets.push(Bytes::copy_from_slice(&bytes[at + 2..at + 2 + length]));
            at += 2 + length;
        }
    }
    sets
}

/// The parameter sets in an `hvcC` box (ISO/IEC 14496-15, 8.3.3.1.2), without messages.
fn hevc_sets(bytes: &[u8]) -> Vec<Bytes> {
    let mut sets = Vec::new();
    let mut at = 23;
    for _ in 0..bytes[22] {
        let kind = bytes[at] & 0x3f;
        let count = u16::from_be_bytes([bytes[at + 1], bytes[at + 2]]);
        at += 3;
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
            if (32..=34).contains(&kind) {
                sets.push(Bytes::copy_from_slice(&bytes[at + 2..at + 2 + length]));
            }
            at += 2 + length;
        }
    }
    sets
}

/// The units of one track.
pub(crate) fn of<'a>(
    units: &'a [Sample<AccessUnitData>],
    track: &'a str,
) -> impl Iterator<Item = &'a AccessUnitData> + 'a {
    units.iter().map(|unit| &unit.body).filter(move |unit| unit.track == track)
}
