//! Segments copied from streams that x264 made: ffmpeg, GStreamer and Chromium show exactly the frames of the segment, and the
//! same pictures as in the camera's stream.

use crate::video::{START, jpeg, quarters};
use msight_image_to_video::ImageToVideo;
use msight_media::SegmentMetadata;
use msight_node::testing::run_processor;
use msight_proto::{AccessUnitData, Head, ImageData, Sample, VideoData};
use msight_test_support::players::{self, Chromium};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const RATE: u32 = 10;

/// A camera's stream, unit by unit in decoding order, and the checksum of each picture in presentation order.
struct Camera {
    units: Vec<AccessUnitData>,
    pictures: Vec<String>,
}

impl Camera {
    /// Has x264 encode `frames` moving pictures, with these options.
    fn new(frames: u32, x264: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("camera.mp4");
        let source = format!("testsrc2=size=320x180:rate={RATE},format=yuv420p");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", &source, "-frames:v", &frames.to_string()]);
        ffmpeg.args(["-c:v", "libx264", "-preset", "veryfast", "-b:v", "80k", "-x264-params", x264]);
        assert!(ffmpeg.arg(&path).status().unwrap().success());
        let file = File::open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        let mut film = mp4::Mp4Reader::read_header(BufReader::new(file), length).unwrap();
        let track = &film.tracks()[&1];
        let sets = [track.sequence_parameter_set().unwrap(), track.picture_parameter_set().unwrap()];
        let sets: Vec<_> = sets.iter().map(|set| set.to_vec().into()).collect();
        let (rate, count) = (track.timescale(), track.sample_count());
        let units = (1..=count).map(|k| {
            let sample = film.read_sample(1, k).unwrap().unwrap();
            let dts = i64::try_from(sample.start_time).unwrap();
            AccessUnitData {
                track: "video".to_owned(),
                codec: "h264".to_owned(),
                key: sample.is_sync,
                pts: dts + i64::from(sample.rendering_offset),
                dts,
                rate,
                sequence: u64::from(k) - 1,
                session: "c0ffee".to_owned(),
                after_loss: false,
                parameter_sets: sample.is_sync.then(|| sets.clone()),
                size: Some(vec![180, 320]),
                channels: None,
                data: sample.bytes,
            }
        });
        Self { units: units.collect(), pictures: checksums(&path) }
    }

    /// The units as messages of a topic of access units, beside the sound of the camera.
    fn units(&self) -> Vec<Sample<AccessUnitData>> {
        let with_sound = self.units.iter().flat_map(|unit| {
            let sound = AccessUnitData {
                track: "audio".to_owned(),
                codec: "pcma".to_owned(),
                key: true,
                parameter_sets: None,
                ..unit.clone()
            };
            [sound, unit.clone()]
        });
        with_sound.map(|unit| Sample::new(self.head(&unit), unit)).collect()
    }

    /// Pictures as messages, each with its unit. The pictures are others than those in the units, so that they show whether
    /// a segment is a copy.
    fn pictures(&self) -> Vec<Sample<ImageData>> {
        let grey = jpeg(&quarters(320, 180, [[128; 3]; 4]));
        let mut units = self.units.clone();
        units.sort_by_key(|unit| unit.pts);
        let picture = |unit: AccessUnitData| {
            let head = self.head(&unit);
            Sample::new(head, ImageData { access_unit: Some(Arc::new(unit)), ..grey.clone() })
        };
        units.into_iter().map(picture).collect()
    }

    fn head(&self, unit: &AccessUnitData) -> Head {
        let first = self.units.iter().map(|unit| unit.pts).min().unwrap();
        Head::new("gate".to_owned(), START + (unit.pts - first) as f64 / f64::from(unit.rate))
    }
}

/// The checksum of each picture that ffmpeg shows of a file.
fn checksums(file: &Path) -> Vec<String> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-xerror", "-i"]).arg(file);
    let output = ffmpeg.args(["-vsync", "passthrough", "-f", "framemd5", "-"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// The frames of a segment by their numbers, and whether it is a copy. Checks that players show these frames, and that a copy
/// shows the camera's pictures.
fn check(
    segment: &Sample<VideoData>,
    camera: &Camera,
    case: &str,
    chromium: Option<&Chromium>,
) -> (Vec<usize>, SegmentMetadata) {
    let times = segment.body.capture_timestamps.as_ref().unwrap();
    let frames: Vec<usize> =
        times.iter().map(|time| ((time - START) * f64::from(RATE)).round() as usize).collect();
    let video = segment.body.video.as_ref().unwrap();
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), video).unwrap();
    let metadata = SegmentMetadata::read(video).unwrap();
    let wanted: Vec<f64> = times.iter().map(|time| time - times[0]).collect();
    let mut shown = vec![
        // What each shows, and how exact its times are.
        ("ffmpeg", players::ffmpeg(file.path()), 2e-5),
        ("GStreamer", players::gstreamer(file.path()), 2e-5),
    ];
    if let Some(chromium) = chromium {
        let middles: Vec<_> = wanted.iter().map(|time| time + 0.5 / f64::from(RATE)).collect();
        let played = chromium.play(file.path(), &middles);
        shown.push(("Chromium", played.unwrap_or_else(|error| panic!("{case}: Chromium: {error}")), 1e-3));
    }
    for (player, shown, tolerance) in shown {
        let shown = shown.pictures;
        assert_eq!(
            shown.len(),
            wanted.len(),
            "{case}: {player} shows {shown:?}, not {wanted:?}; {metadata:?}"
        );
        for (shown, wanted) in shown.iter().zip(&wanted) {
            assert!((shown - wanted).abs() < tolerance, "{case}: {player} shows {shown}, not {wanted}");
        }
    }
    if metadata.copied {
        let wanted: Vec<_> = frames.iter().map(|&frame| camera.pictures[frame].clone()).collect();
        assert_eq!(checksums(file.path()), wanted, "{case}: {metadata:?}");
    }
    (frames, metadata)
}

fn windows(frames: usize, buffer: usize, overlap: usize) -> Vec<Vec<usize>> {
    let starts = (0..frames).step_by(buffer - overlap).take_while(|&at| at == 0 || at + overlap < frames);
    starts.map(|at| (at..frames.min(at + buffer)).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_show_the_frames_of_their_window_in_every_player() {
    let chromium = Chromium::open();
    let mut table = Vec::new();
    for (stream, x264, overlap, copied) in [
        ("every 24 frames", "keyint=24:min-keyint=24:scenecut=0:bframes=0", 0, [true; 3].as_slice()),
        (
            "every 24 frames, with B-frames",
            "keyint=24:min-keyint=24:scenecut=0:bframes=2:b-adapt=0",
            0,
            &[true; 3],
        ),
        (
            "every 17 frames, with B-frames that others refer to",
            "keyint=17:min-keyint=17:scenecut=0:bframes=3:b-adapt=0:b-pyramid=normal",
            13,
            &[true; 4],
        ),
        ("all frames", "keyint=1", 7, &[true; 3]),
        ("every 250 frames", "keyint=250:min-keyint=250:scenecut=0:bframes=0", 0, &[true, false, false]),
        (
            "every 250 frames, with B-frames",
            "keyint=250:min-keyint=250:scenecut=0:bframes=2:b-adapt=0",
            0,
            &[true, false, false],
        ),
    ] {
        let camera = Camera::new(130, x264);
        let overlap_flag = format!("--overlap-size={overlap}");
        let flags = ["--buffer-size=50", &overlap_flag, "--fps=10", "--sensor-queue=1000", "--bitrate=1M"];
        for case in ["units", "pictures"] {
            let made = match case {
                "units" => run_processor::<ImageToVideo>(&flags, &camera.units()).await.unwrap(),
                _ => run_processor::<ImageToVideo>(&flags, &camera.pictures()).await.unwrap(),
            };
            // Both cases give the same segments.
            let chromium = chromium.as_ref().filter(|_| case == "units");
            let case = format!("{case} {x264}");
            let seen: Vec<_> = made.iter().map(|segment| check(segment, &camera, &case, chromium)).collect();
            let frames: Vec<_> = seen.iter().map(|(frames, _)| frames.clone()).collect();
            assert_eq!(frames, windows(130, 50, overlap), "{case}");
            let is_copy: Vec<_> = seen.iter().map(|(_, metadata)| metadata.copied).collect();
            assert_eq!(is_copy, copied, "{case}");
            let copied = seen.iter().filter(|(_, metadata)| metadata.copied);
            let count: usize = copied.map(|(frames, _)| frames.len()).sum();
            let players = if chromium.is_some() { 3 } else { 2 };
            let mut row = vec![stream.to_owned()];
            row.extend(std::iter::repeat_n(format!("{count} of {count}"), players));
            table.push(row);
        }
    }
    // Each player was seen to show the frames of each segment.
    players::check_table(Path::new(env!("CARGO_MANIFEST_DIR")), &table);
}

#[tokio::test(flavor = "multi_thread")]
async fn units_are_decoded_and_encoded_without_copies() {
    let camera = Camera::new(60, "keyint=24:min-keyint=24:scenecut=0:bframes=2:b-adapt=0");
    let flags = ["--buffer-size=25", "--overlap-size=5", "--fps=10", "--sensor-queue=1000", "--copy=never"];
    let made = run_processor::<ImageToVideo>(&flags, &camera.units()).await.unwrap();
    let seen: Vec<_> = made.iter().map(|segment| check(segment, &camera, "never", None)).collect();
    assert_eq!(seen.iter().map(|(frames, _)| frames.clone()).collect::<Vec<_>>(), windows(60, 25, 5));
    assert!(seen.iter().all(|(_, metadata)| !metadata.copied && metadata.frames_hidden == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_faster_than_fps_is_decoded_and_thinned() {
    let camera = Camera::new(60, "keyint=24:min-keyint=24:scenecut=0:bframes=0");
    let flags = ["--buffer-size=10", "--overlap-size=0", "--fps=5", "--sensor-queue=1000"];
    let made = run_processor::<ImageToVideo>(&flags, &camera.units()).await.unwrap();
    let seen: Vec<_> = made.iter().map(|segment| check(segment, &camera, "thinned", None)).collect();
    let frames: Vec<_> = seen.iter().flat_map(|(frames, _)| frames.clone()).collect();
    assert!(frames.windows(2).all(|pair| pair[1] - pair[0] <= 2) && frames.len() <= 32, "{frames:?}");
    assert!(seen.iter().all(|(_, metadata)| !metadata.copied));
}
