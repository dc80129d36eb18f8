//! Transport streams that ffmpeg has written, read unit by unit and written again: ffmpeg and GStreamer find the same units
//! with the same times and pictures in both.

use std::fs;
use std::io::Cursor;

use mpeg2ts::pes::{PesPacketReader, ReadPesPacket as _};
use mpeg2ts::ts::TsPacketReader;
use msight_media::ts::{TIME_OFFSET, Track, TsWriter, whole_length};
use msight_media::{Codec, Unit};

use crate::streams::{FRAMES, Sample, assert_same, film, lines, run};

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
    let samples = film(folder, codec, encoder);
    fs::write(folder.join("ours.ts"), rewritten(codec, &samples)).unwrap();

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
    let all = pictures("ours.ts");
    assert_eq!(all.iter().filter(|line| line.starts_with("0,")).count(), FRAMES);
    assert_same(&all, &pictures("theirs.ts"));

    let probe = "-v error -count_frames -select_streams v -show_entries stream=nb_read_frames,start_pts -of csv=p=0 ours.ts";
    let first = samples.iter().filter(|sample| sample.track == 0).map(|sample| sample.pts).min().unwrap();
    assert!(run("ffprobe", folder, probe).starts_with(&format!("{},{FRAMES}", first + TIME_OFFSET)));

    let pipeline = format!(
        "-q filesrc location=ours.ts ! tsdemux name=demux demux. ! queue ! {parser} ! filesink location=video.yuv \
         demux. ! queue ! aacparse ! avdec_aac ! fakesink"
    );
    run("gst-launch-1.0", folder, &pipeline);
    assert_eq!(fs::metadata(folder.join("video.yuv")).unwrap().len(), FRAMES as u64 * 320 * 240 * 3 / 2);

    // A file that is cut within a picture plays up to the one before.
    let ours = fs::read(folder.join("ours.ts")).unwrap();
    let cut = &ours[..ours.len() * 2 / 3 - 77];
    let whole = whole_length(&mut Cursor::new(cut)).unwrap() as usize;
    assert!(whole < cut.len());
    fs::write(folder.join("cut.ts"), &cut[..whole]).unwrap();
    let hashes = pictures("cut.ts").into_iter().filter(|line| line.starts_with("0,"));
    let whole = hashes.map(|line| assert!(all.contains(&line), "{line}")).count();
    assert!((FRAMES / 3..FRAMES).contains(&whole), "{whole} pictures");
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
    let samples = opus_samples(&fs::read(folder.join("theirs.ts")).unwrap());
    let mut writer = TsWriter::new(&[Track { codec: Codec::Opus, channels: Some(1) }]).unwrap();
    let mut out = Vec::new();
    for Sample { data, pts, .. } in &samples {
        let unit = Unit { data, parameter_sets: None, pts: *pts, dts: *pts, key: true };
        writer.write(0, &unit, &mut out).unwrap();
    }
    fs::write(folder.join("ours.ts"), out).unwrap();
    let packets = |file| {
        lines(&run("ffmpeg", folder, &format!("-v error -xerror -copyts -i {file} -c copy -f framehash -")))
    };
    assert_eq!((packets("ours.ts").len(), packets("ours.ts")), (samples.len(), packets("theirs.ts")));
    let probe = "-v error -show_entries stream=codec_name,channels -of csv=p=0 ours.ts";
    assert_eq!(run("ffprobe", folder, probe).lines().next(), Some("opus,1"));
    run("gst-launch-1.0", folder, "-q filesrc location=ours.ts ! tsdemux ! opusparse ! opusdec ! fakesink");
}
