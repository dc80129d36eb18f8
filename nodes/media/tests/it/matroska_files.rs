//! Matroska files of units that ffmpeg has encoded: ffmpeg and GStreamer find the same units, times and pictures.

use std::fs;
use std::io::Cursor;
use std::num::NonZeroU32;
use std::path::Path;

use msight_media::matroska::{MatroskaWriter, Patch, Track, whole_length};
use msight_media::mp4::TrackFormat;
use msight_media::{Codec, Unit};

use crate::streams::{FRAMES, Sample, assert_same, film, lines, run};

/// Writes `ours.mkv`, and `open.mkv`: the same without what is written at the end.
fn write<'a>(folder: &Path, tracks: &[Track<'_>], units: impl Iterator<Item = (usize, Unit<'a>)>) {
    let mut file = Vec::new();
    let mut writer = MatroskaWriter::new(tracks, &mut file).unwrap();
    for (track, unit) in units {
        writer.write(track, &unit, &mut file).unwrap();
    }
    fs::write(folder.join("open.mkv"), &file).unwrap();
    for Patch { offset, bytes } in writer.finish(&mut file).unwrap() {
        file[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
    fs::write(folder.join("ours.mkv"), &file).unwrap();
}

fn check(codec: Codec, encoder: &str, parser: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let samples = film(folder, codec, encoder);
    let start = samples.iter().map(|sample| sample.pts).min().unwrap();
    let first = |track| samples.iter().find(|sample| sample.track == track).unwrap();
    let pictures = TrackFormat::video(codec, first(0).sets.as_ref(), &first(0).data, None).unwrap();
    let rate = NonZeroU32::new(48_000).unwrap();
    let sound = TrackFormat::audio(Codec::Aac, first(1).sets.as_ref(), rate, 2).unwrap();
    let tracks = [
        Track { codec, format: &pictures, channels: 0 },
        Track { codec: Codec::Aac, format: &sound, channels: 2 },
    ];
    let unit = |sample: &'_ Sample| Unit {
        data: &[],
        parameter_sets: None,
        pts: sample.pts - start,
        dts: sample.dts - start,
        key: sample.key,
    };
    let units = samples.iter().map(|sample| (sample.track, Unit { data: &sample.data, ..unit(sample) }));
    write(folder, &tracks, units);

    // Every unit, in the form of a byte stream, without the parameter sets, which the file has in front.
    let (filter, format) = match codec {
        Codec::H264 => ("h264_mp4toannexb,filter_units=remove_types=7-9", "h264"),
        _ => ("hevc_mp4toannexb,filter_units=remove_types=32-35", "hevc"),
    };
    for (file, out) in [("ours.mkv", "ours"), ("theirs.ts", "theirs")] {
        run(
            "ffmpeg",
            folder,
            &format!("-v error -xerror -i {file} -map 0:v -c copy -bsf:v {filter} -f {format} {out}"),
        );
    }
    assert!(fs::read(folder.join("ours")).unwrap() == fs::read(folder.join("theirs")).unwrap());

    // Every picture at its time, and every sound.
    let pictures = |file: &str, map: &str| {
        let arguments =
            format!("-v error -xerror -copyts -i {file} -map {map} -enc_time_base 1:10000 -f framehash -");
        run("ffmpeg", folder, &arguments)
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(times_and_hash)
            .collect::<Vec<_>>()
    };
    let (ours, theirs) = (pictures("ours.mkv", "0:v"), pictures("theirs.ts", "0:v"));
    assert_eq!((ours.len(), theirs.len()), (FRAMES, FRAMES));
    for ((time, hash), (their_time, their_hash)) in ours.iter().zip(&theirs) {
        assert_eq!(hash, their_hash);
        let their_time = their_time - (start + msight_media::ts::TIME_OFFSET) / 9;
        assert!((time - their_time).abs() <= 1, "{time} {their_time}");
    }
    let sound = |file: &str| pictures(file, "0:a").into_iter().map(|(_, hash)| hash).collect::<Vec<_>>();
    assert_same(&sound("ours.mkv"), &sound("theirs.ts"));

    let probe = "-v error -show_entries format=format_name,duration -of csv=p=0 ours.mkv";
    let printed = run("ffprobe", folder, probe);
    let duration: f64 = printed.trim().rsplit(',').next().unwrap().parse().unwrap();
    let end = samples.iter().map(|sample| sample.pts - start).max().unwrap() as f64 / 90_000.0;
    assert!(printed.contains("matroska") && (0.0..0.06).contains(&(duration - end)), "{printed} {end}");

    // A jump by the index ends at the picture of its time.
    let jump = "-v error -xerror -ss 2.2 -i ours.mkv -map 0:v -frames:v 1 -f framehash -";
    let hash = times_and_hash(lines(&run("ffmpeg", folder, jump)).last().unwrap()).1;
    assert_eq!(theirs.iter().position(|(_, one)| *one == hash), Some(55));

    let pipeline = |file: &str| {
        let pipeline = format!(
            "-q filesrc location={file} ! matroskademux name=demux demux. ! queue ! {parser} ! filesink location=video.yuv \
             demux. ! queue ! aacparse ! avdec_aac ! fakesink"
        );
        run("gst-launch-1.0", folder, &pipeline);
        fs::metadata(folder.join("video.yuv")).unwrap().len() as usize / (320 * 240 * 3 / 2)
    };
    assert_eq!(pipeline("ours.mkv"), FRAMES);

    // A file that was never finished lacks its last second, and plays. One that is cut plays up to the last whole cluster.
    let open = fs::read(folder.join("open.mkv")).unwrap();
    assert_eq!(whole_length(&mut Cursor::new(&open)).unwrap(), Some(open.len() as u64));
    let whole = whole_length(&mut Cursor::new(&open[..open.len() - 1])).unwrap().unwrap() as usize;
    fs::write(folder.join("cut.mkv"), &open[..whole]).unwrap();
    for (file, seconds) in [("open.mkv", 2), ("cut.mkv", 1)] {
        assert_eq!(pictures(file, "0:v"), ours[..25 * seconds], "{file}");
        assert_eq!(pipeline(file), 25 * seconds, "{file}");
    }
}

/// Presentation time and hash of a line.
fn times_and_hash(line: &str) -> (i64, String) {
    let fields: Vec<_> = line.split(',').map(str::trim).collect();
    (fields[2].parse().unwrap(), fields[5].to_owned())
}

#[test]
fn h264_with_b_frames() {
    check(Codec::H264, "-c:v libx264 -preset veryfast -bf 2 -g 25", "h264parse ! avdec_h264");
}

#[test]
fn h265_with_b_frames() {
    let encoder =
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=2:keyint=25:open-gop=0";
    check(Codec::H265, encoder, "h265parse ! avdec_h265");
}

#[test]
fn sound_that_mp4_players_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (codec, encoder, name, bytes) in [
        (Codec::Pcma, "pcm_alaw -f alaw", "pcm_alaw", 1),
        (Codec::Pcmu, "pcm_mulaw -f mulaw", "pcm_mulaw", 1),
        (Codec::L16, "pcm_s16be -f s16be", "pcm_s16be", 2),
    ] {
        run(
            "ffmpeg",
            folder,
            &format!("-v error -y -f lavfi -i sine=sample_rate=8000:duration=2 -ac 1 -c:a {encoder} sound"),
        );
        let sound = fs::read(folder.join("sound")).unwrap();
        let format = TrackFormat::audio(codec, None, NonZeroU32::new(8_000).unwrap(), 1).unwrap();
        let track = Track { codec, format: &format, channels: 1 };
        let units = sound.chunks(160 * bytes).enumerate().map(|(index, data)| {
            let pts = index as i64 * 1_800;
            (0, Unit { data, parameter_sets: None, pts, dts: pts, key: true })
        });
        write(folder, &[track], units);
        let probe = "-v error -show_entries stream=codec_name,sample_rate,channels -of csv=p=0 ours.mkv";
        assert_eq!(run("ffprobe", folder, probe).trim(), format!("{name},8000,1"));
        run(
            "ffmpeg",
            folder,
            &format!(
                "-v error -xerror -y -i ours.mkv -c copy -f {} out",
                encoder.rsplit(' ').next().unwrap()
            ),
        );
        assert!(fs::read(folder.join("out")).unwrap() == sound, "{name}");
        run("gst-launch-1.0", folder, "-q filesrc location=ours.mkv ! matroskademux ! decodebin ! fakesink");
    }
}

#[test]
fn jpeg_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(
        "ffmpeg",
        folder,
        "-v error -f lavfi -i testsrc2=size=320x240:rate=5:duration=2 -c:v mjpeg -pix_fmt yuvj420p -f image2 %d.jpg",
    );
    let pictures: Vec<_> =
        (1..=10).map(|number| fs::read(folder.join(format!("{number}.jpg"))).unwrap()).collect();
    let format = TrackFormat::video(Codec::Jpeg, None, &[], Some((320, 240))).unwrap();
    let track = Track { codec: Codec::Jpeg, format: &format, channels: 0 };
    let units = pictures.iter().enumerate().map(|(index, data)| {
        let pts = index as i64 * 18_000;
        (0, Unit { data, parameter_sets: None, pts, dts: pts, key: true })
    });
    write(folder, &[track], units);
    let hashes = |source: &str| {
        let hashes = run("ffmpeg", folder, &format!("-v error -xerror {source} -f framehash -"));
        hashes
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| times_and_hash(line).1)
            .collect::<Vec<_>>()
    };
    assert_same(&hashes("-i ours.mkv"), &hashes("-i %d.jpg"));
    run("gst-launch-1.0", folder, "-q filesrc location=ours.mkv ! matroskademux ! jpegdec ! fakesink");
}
