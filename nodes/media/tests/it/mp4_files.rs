//! MP4 files of ffmpeg and GStreamer, read: ffprobe finds the same samples with the same times.

use std::fs::{self, File};
use std::path::Path;

use msight_media::Kind;
use msight_media::mp4::{self, Movie, Track};

use crate::streams::run;

const PICTURE: &str = "-f lavfi -i testsrc2=s=160x120:r=30000/1001 -t 3";
const SOUND: &str = "-f lavfi -i sine=r=44100";

fn ffmpeg(folder: &Path, arguments: &str) {
    run("ffmpeg", folder, &format!("-v error -y {arguments}"));
}

fn movie(folder: &Path, name: &str) -> Movie {
    let mut file = File::open(folder.join(name)).unwrap();
    let length = file.metadata().unwrap().len();
    mp4::read(&mut file, length).unwrap()
}

fn track(movie: &Movie, kind: Kind) -> &Track {
    movie.tracks.iter().find(|track| track.format.kind() == kind).unwrap()
}

/// Values of the stream's field, or of each packet's, by ffprobe.
fn probed(folder: &Path, name: &str, stream: char, entries: &str) -> Vec<String> {
    let arguments = format!("-v error -select_streams {stream} -show_entries {entries} -of csv=p=0 {name}");
    let lines = run("ffprobe", folder, &arguments);
    lines.lines().filter(|line| !line.is_empty()).map(|line| line.trim_end_matches(',').to_owned()).collect()
}

/// Compares what was read with what ffprobe finds.
fn check(folder: &Path, name: &str) -> Movie {
    let movie = movie(folder, name);
    assert_eq!(movie.faults, [], "{name}");
    for (kind, stream) in [(Kind::Video, 'v'), (Kind::Audio, 'a')] {
        let Some(track) = movie.tracks.iter().find(|track| track.format.kind() == kind) else { continue };
        // The sizes and places of the samples, and whether they are key frames.
        let packets = probed(folder, name, stream, "packet=size,pos,flags");
        let samples = track
            .tables
            .placed()
            .map(|(place, sample)| format!("{},{place},{}", sample.size, if sample.key { 'K' } else { '_' }));
        let packets: Vec<String> =
            packets.iter().map(|packet| packet.trim_end_matches(['_', 'D']).to_owned()).collect();
        let samples: Vec<String> = samples.map(|sample| sample.trim_end_matches('_').to_owned()).collect();
        assert_eq!(samples, packets, "{name} {stream}");
        let timing = movie.timing(track);
        // The frames that ffmpeg shows, and when.
        let times: Vec<f64> = probed(folder, name, stream, "frame=pts_time")
            .iter()
            .filter_map(|time| time.split(',').next().unwrap().parse().ok())
            .collect();
        if kind == Kind::Video {
            assert_eq!(timing.shown as usize, times.len(), "{name}");
            let last = times.iter().copied().fold(0.0, f64::max);
            let interval = timing.intervals.unwrap();
            assert!((timing.end - last - interval.median).abs() < 0.01, "{name}: {last} {timing:?}");
            assert!((timing.start - times[0]).abs() < 0.002, "{name}: {times:?} {timing:?}");
        }
        let stated = probed(folder, name, stream, "stream=codec_name,width,height,sample_rate,channels");
        let format = &track.format;
        let found = match kind {
            Kind::Video => format.coded_size().map(|(width, height)| format!("{width},{height}")),
            _ => format
                .sampling_rate()
                .zip(format.channels())
                .map(|(rate, channels)| format!("{rate},{channels}")),
        };
        let name_of = match format.codec_name().unwrap() {
            "h265" => "hevc",
            "jpeg" => "mjpeg",
            other => other,
        };
        assert_eq!(format!("{name_of},{}", found.unwrap()), stated[0], "{name}");
    }
    movie
}

#[test]
fn files_of_ffmpeg_are_read_as_ffprobe_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let h264 = "-c:v libx264 -preset ultrafast -g 15 -bf 2 -pix_fmt yuv420p";
    ffmpeg(
        folder,
        &format!("{PICTURE} {SOUND} {h264} -c:a aac -shortest last.mp4")
            .replace("-t 3 ", "")
            .replace("-shortest", "-t 3"),
    );
    ffmpeg(folder, "-i last.mp4 -c copy -movflags faststart first.mp4");
    ffmpeg(folder, "-i last.mp4 -c copy -movflags frag_keyframe+empty_moov+default_base_moof open.mp4");
    ffmpeg(folder, "-i last.mp4 -c copy -movflags frag_keyframe half.mp4");
    ffmpeg(folder, "-ss 1.2 -i last.mp4 -c copy -t 1 cut.mp4");
    ffmpeg(
        folder,
        &format!("{PICTURE} -c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1 h265.mp4"),
    );
    ffmpeg(folder, &format!("{PICTURE} -c:v mjpeg -pix_fmt yuvj420p jpeg.mp4"));
    ffmpeg(folder, "-f lavfi -i sine=r=48000 -t 2 -c:a libopus opus.mp4");

    let last = check(folder, "last.mp4");
    assert_eq!((last.is_index_first, last.is_fragmented), (Some(false), false));
    let video = track(&last, Kind::Video);
    assert!(video.format.codec_string().starts_with("avc1.4d"), "{}", video.format.codec_string());
    assert_eq!(track(&last, Kind::Audio).format.codec_string(), "mp4a.40.2");
    let timing = last.timing(video);
    assert!((timing.rate().unwrap() - 30_000.0 / 1001.0).abs() < 1e-6, "{timing:?}");
    assert_eq!(timing.key_distances.unwrap().max, 15.0);
    assert_eq!((timing.hidden_before, timing.gap_count), (0, 0));
    assert!(last.timing(track(&last, Kind::Audio)).hidden_before > 0, "the encoder's delay");

    assert_eq!(check(folder, "first.mp4").is_index_first, Some(true));
    let open = check(folder, "open.mp4");
    assert_eq!((open.is_fragmented, open.fragments), (true, 6));
    let half = check(folder, "half.mp4");
    assert!(half.is_fragmented && half.fragments > 0);
    let cut = check(folder, "cut.mp4");
    assert!(cut.timing(track(&cut, Kind::Video)).hidden_before > 0);
    let codecs = |name| check(folder, name).tracks[0].format.codec_string();
    assert!(codecs("h265.mp4").starts_with("hvc1.1.6.L"), "{}", codecs("h265.mp4"));
    assert_eq!((codecs("jpeg.mp4"), codecs("opus.mp4")), ("mp4v.6c".to_owned(), "Opus".to_owned()));
}

#[test]
fn files_of_gstreamer_are_read_as_ffprobe_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, options) in
        [("plain.mp4", ""), ("open.mp4", "fragment-duration=500"), ("first.mp4", "faststart=true")]
    {
        run(
            "gst-launch-1.0",
            folder,
            &format!(
                "-q videotestsrc num-buffers=50 ! video/x-raw,width=160,height=120,framerate=25/1 ! \
                 x264enc key-int-max=10 ! mp4mux {options} ! filesink location={name}"
            ),
        );
        let movie = check(folder, name);
        assert_eq!(movie.is_fragmented, name == "open.mp4");
    }
}

#[test]
fn files_that_are_cut_off_play_once_they_are_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let h264 = "-c:v libx264 -preset ultrafast -g 15 -bf 2 -pix_fmt yuv420p -c:a aac";
    ffmpeg(
        folder,
        &format!("-f lavfi -i testsrc2=s=160x120:r=30 {SOUND} {h264} -t 4 -movflags faststart first.mp4"),
    );
    ffmpeg(folder, "-i first.mp4 -c copy -movflags frag_keyframe+empty_moov+default_base_moof open.mp4");
    ffmpeg(folder, "-i first.mp4 -c copy -movflags frag_keyframe half.mp4");
    for name in ["first.mp4", "open.mp4", "half.mp4"] {
        let whole = fs::read(folder.join(name)).unwrap();
        let mut last = 0;
        for part in [3, 6, 9] {
            fs::write(folder.join("cut.mp4"), &whole[..whole.len() * part / 10 + part]).unwrap();
            let mut input = File::open(folder.join("cut.mp4")).unwrap();
            let mut output = File::create(folder.join("whole.mp4")).unwrap();
            mp4::rewrite(&mut input, &mut output, None).unwrap();
            let movie = check(folder, "whole.mp4");
            assert_eq!((movie.is_index_first, movie.is_fragmented), (Some(true), false));
            let shown = movie.timing(track(&movie, Kind::Video)).shown;
            assert!(shown >= last && shown > 0, "{name} {part}: {shown}");
            last = shown;
            run("ffmpeg", folder, "-v error -xerror -i whole.mp4 -f null -");
        }
        assert!(last > 60, "{name}: {last}");
    }
}
