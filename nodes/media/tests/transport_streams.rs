//! Transport streams that ffmpeg has written, read unit by unit and written again: ffmpeg and GStreamer find the same units
//! with the same times and pictures in both.

use std::path::Path;
use std::process::{Command, Stdio};

use mpeg2ts::pes::{PesPacketReader, ReadPesPacket as _};
use mpeg2ts::ts::TsPacketReader;
use msight_media::ts::{TIME_OFFSET, Track, TsWriter, Unit};
use msight_media::{Codec, ParameterSets, h265, nal};

const FRAMES: usize = 75;

struct Sample {
    track: usize,
    data: Vec<u8>,
    sets: Option<ParameterSets>,
    pts: i64,
    dts: i64,
    key: bool,
}

fn run(program: &str, folder: &Path, arguments: &str) -> String {
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
fn samples(codec: Codec, stream: &[u8]) -> Vec<Sample> {
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

fn rewritten(codec: Codec, samples: &[Sample]) -> Vec<u8> {
    let track = |codec| Track { codec, channels: None };
    let mut writer = TsWriter::new(&[track(codec), track(Codec::Aac)]).unwrap();
    let mut out = Vec::new();
    for sample in samples {
        let Sample { track, data, sets, pts, dts, key } = sample;
        let unit = Unit { data, parameter_sets: sets.as_ref(), pts: *pts, dts: *dts, key: *key };
        writer.write(*track, &unit, &mut out).unwrap();
    }
    out
}

fn check(codec: Codec, encoder: &str, parser: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(
        "ffmpeg",
        folder,
        &format!(
            "-v error -f lavfi -i testsrc2=size=320x240:rate=25:duration=3 -f lavfi -i sine=frequency=440:sample_rate=48000:duration=3 \
             -map 0:v -map 1:a {encoder} -c:a aac -ac 2 -pix_fmt yuv420p -muxdelay 0 theirs.ts"
        ),
    );
    let theirs = std::fs::read(folder.join("theirs.ts")).unwrap();
    let samples = samples(codec, &theirs);
    std::fs::write(folder.join("ours.ts"), rewritten(codec, &samples)).unwrap();

    // Every unit with its times, by checksum. Their delimiters state the types of slices.
    let types = if codec == Codec::H264 { "9" } else { "35" };
    let units = |file| {
        let arguments = format!(
            "-v error -xerror -copyts -i {file} -map 0 -c copy -bsf:v filter_units=remove_types={types} -f framehash -"
        );
        lines(&run("ffmpeg", folder, &arguments))
    };
    let (theirs, ours) = (units("theirs.ts"), units("ours.ts"));
    assert_eq!(ours.len(), samples.len());
    assert_same(&ours, &theirs);

    // Every picture and sound.
    let pictures = |file| {
        lines(&run("ffmpeg", folder, &format!("-v error -xerror -copyts -i {file} -map 0 -f framehash -")))
    };
    let ours = pictures("ours.ts");
    assert_eq!(ours.iter().filter(|line| line.starts_with("0,")).count(), FRAMES);
    assert_same(&ours, &pictures("theirs.ts"));

    let probe = "-v error -count_frames -select_streams v -show_entries stream=nb_read_frames,start_pts -of csv=p=0 ours.ts";
    let first = samples.iter().filter(|sample| sample.track == 0).map(|sample| sample.pts).min().unwrap();
    assert!(run("ffprobe", folder, probe).starts_with(&format!("{},{FRAMES}", first + TIME_OFFSET)));

    let pipeline = format!(
        "-q filesrc location=ours.ts ! tsdemux name=demux demux. ! queue ! {parser} ! filesink location=video.yuv \
         demux. ! queue ! aacparse ! avdec_aac ! fakesink"
    );
    run("gst-launch-1.0", folder, &pipeline);
    assert_eq!(std::fs::metadata(folder.join("video.yuv")).unwrap().len(), FRAMES as u64 * 320 * 240 * 3 / 2);
}

#[track_caller]
fn assert_same(ours: &[String], theirs: &[String]) {
    let differing: Vec<_> = ours.iter().zip(theirs).filter(|(ours, theirs)| ours != theirs).take(3).collect();
    assert!(ours.len() == theirs.len() && differing.is_empty(), "{differing:#?}");
}

fn lines(hashes: &str) -> Vec<String> {
    let mut lines: Vec<_> = hashes.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn h264_with_b_frames() {
    check(Codec::H264, "-c:v libx264 -preset veryfast -bf 2 -g 25", "h264parse ! avdec_h264");
}

#[test]
fn h265_with_b_frames() {
    check(
        Codec::H265,
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=2:keyint=25",
        "h265parse ! avdec_h265",
    );
}

/// The packets of Opus in a stream of ffmpeg, each behind its control header.
fn opus_samples(stream: &[u8]) -> Vec<Sample> {
    let mut reader = PesPacketReader::new(TsPacketReader::new(stream));
    let mut samples = Vec::new();
    while let Some(packet) = reader.read_pes_packet().unwrap() {
        let mut at = packet.header.pts.unwrap().as_u64() as i64 - TIME_OFFSET;
        let mut rest = &packet.data[..];
        while let [0x7f, flags @ 0xe0..=0xff, behind @ ..] = rest {
            let size_bytes = behind.iter().take_while(|&&byte| byte == 0xff).count() + 1;
            let size = behind[..size_bytes].iter().map(|&byte| usize::from(byte)).sum::<usize>();
            // The samples that are cut off at the start and at the end.
            let trims = 2 * ((flags >> 4 & 1) + (flags >> 3 & 1));
            let (data, behind) = behind[size_bytes + usize::from(trims)..].split_at(size);
            samples.push(Sample { track: 0, data: data.to_vec(), sets: None, pts: at, dts: at, key: true });
            (rest, at) = (behind, at + 1800);
        }
    }
    samples
}

#[test]
fn opus_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let source = "-v error -f lavfi -i sine=frequency=440:sample_rate=48000:duration=2";
    run("ffmpeg", folder, &format!("{source} -ac 1 -c:a libopus -b:a 32k -muxdelay 0 theirs.ts"));
    let samples = opus_samples(&std::fs::read(folder.join("theirs.ts")).unwrap());
    let mut writer = TsWriter::new(&[Track { codec: Codec::Opus, channels: Some(1) }]).unwrap();
    let mut out = Vec::new();
    for Sample { data, pts, .. } in &samples {
        let unit = Unit { data, parameter_sets: None, pts: *pts, dts: *pts, key: true };
        writer.write(0, &unit, &mut out).unwrap();
    }
    std::fs::write(folder.join("ours.ts"), out).unwrap();
    let packets = |file| {
        lines(&run("ffmpeg", folder, &format!("-v error -xerror -copyts -i {file} -c copy -f framehash -")))
    };
    assert_eq!((packets("ours.ts").len(), packets("ours.ts")), (samples.len(), packets("theirs.ts")));
    let probe = "-v error -show_entries stream=codec_name,channels -of csv=p=0 ours.ts";
    assert_eq!(run("ffprobe", folder, probe).lines().next(), Some("opus,1"));
    run("gst-launch-1.0", folder, "-q filesrc location=ours.ts ! tsdemux ! opusparse ! opusdec ! fakesink");
}
