//! Streams that ffmpeg has written, unit by unit.

use std::path::Path;
use std::process::{Command, Stdio};

use mpeg2ts::pes::{PesPacketReader, ReadPesPacket as _};
use mpeg2ts::ts::TsPacketReader;
use msight_media::ts::TIME_OFFSET;
use msight_media::{Codec, ParameterSets, h265, nal};

/// Pictures of a stream.
pub(crate) const FRAMES: usize = 75;

/// A unit of a stream that ffmpeg has written.
pub(crate) struct Sample {
    pub(crate) track: usize,
    pub(crate) data: Vec<u8>,
    pub(crate) sets: Option<ParameterSets>,
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) key: bool,
}

/// What a program prints. It has to succeed, and to report nothing.
pub(crate) fn run(program: &str, folder: &Path, arguments: &str) -> String {
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} is installed: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.trim().is_empty(), "{program} {arguments}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The units of a stream of ffmpeg with video of the codec, and AAC or Opus.
pub(crate) fn samples(codec: Codec, stream: &[u8]) -> Vec<Sample> {
    let mut reader = PesPacketReader::new(TsPacketReader::new(stream));
    let mut samples = Vec::new();
    let mut frames = 0;
    while let Some(packet) = reader.read_pes_packet().unwrap() {
        let pts = packet.header.pts.unwrap().as_u64() as i64 - TIME_OFFSET;
        let dts = packet.header.dts.map_or(pts, |dts| dts.as_u64() as i64 - TIME_OFFSET);
        if packet.header.stream_id.is_video() {
            samples.push(video(codec, &packet.data, pts, dts));
        } else if packet.header.stream_id.is_audio() {
            // One packet of ffmpeg holds several frames.
            let mut rest = &packet.data[..];
            let mut at = pts;
            while let Some(header) = rest.first_chunk::<7>() {
                let length = usize::from(header[3] & 3) << 11
                    | usize::from(header[4]) << 3
                    | usize::from(header[5] >> 5);
                let sets = ParameterSets::new(vec![vec![0x11, 0x90].into()]);
                let data = rest[7..length].to_vec();
                samples.push(Sample { track: 1, data, sets: Some(sets), pts: at, dts: at, key: true });
                (rest, at) = (&rest[length..], at + 1920);
                frames += 1;
            }
        }
    }
    assert!(frames > 0);
    samples.sort_by_key(|sample| sample.dts);
    samples
}

fn video(codec: Codec, stream: &[u8], pts: i64, dts: i64) -> Sample {
    let kind = |unit: &[u8]| match codec {
        Codec::H264 => nal::unit_type(unit[0]),
        _ => h265::unit_type(unit[0]),
    };
    let (delimiter, sets) = match codec {
        Codec::H264 => (9, nal::SPS..=nal::PPS),
        _ => (35, h265::VPS..=h265::PPS),
    };
    let units = nal::annex_b_units(stream).filter(|unit| kind(unit) != delimiter);
    let parameter_sets: Vec<_> =
        units.clone().filter(|unit| sets.contains(&kind(unit))).map(|unit| unit.to_vec().into()).collect();
    let data = units.filter(|unit| !sets.contains(&kind(unit))).collect::<Vec<_>>();
    let key = data.iter().any(|unit| match codec {
        Codec::H264 => kind(unit) == 5,
        _ => h265::is_random_access(kind(unit)),
    });
    let data = data.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect();
    let sets = (!parameter_sets.is_empty()).then(|| ParameterSets::new(parameter_sets));
    Sample { track: 0, data, sets, pts, dts, key }
}

/// Writes `theirs.ts`: three seconds of video by this encoder, and AAC. Returns its units.
pub(crate) fn film(folder: &Path, codec: Codec, encoder: &str) -> Vec<Sample> {
    run(
        "ffmpeg",
        folder,
        &format!(
            "-v error -f lavfi -i testsrc2=size=320x240:rate=25:duration=3 -f lavfi -i \
             sine=frequency=440:sample_rate=48000:duration=3 -map 0:v -map 1:a {encoder} -c:a aac -ac 2 -pix_fmt yuv420p \
             -muxdelay 0 theirs.ts"
        ),
    );
    samples(codec, &std::fs::read(folder.join("theirs.ts")).unwrap())
}

#[track_caller]
pub(crate) fn assert_same(ours: &[String], theirs: &[String]) {
    let differing: Vec<_> = ours.iter().zip(theirs).filter(|(ours, theirs)| ours != theirs).take(3).collect();
    assert!(ours.len() == theirs.len() && differing.is_empty(), "{differing:#?}");
}

/// The lines of ffmpeg's hashes without the comments, sorted, as tracks alternate at will.
pub(crate) fn lines(hashes: &str) -> Vec<String> {
    let mut lines: Vec<_> = hashes.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    lines.sort();
    lines
}
