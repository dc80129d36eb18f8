//! Segments of streams: every unit once, in order, at the times of the camera.

use std::path::{Path, PathBuf};

use msight_node::testing::run_processor;
use msight_proto::{AccessUnitData, Sample, VideoData};
use msight_recorder::Recorder;
use msight_test_support::probe::{Packet, decode, packets};

use crate::stream::{Recipe, START, ZERO, of, units};

/// H.264 with B-frames.
pub(crate) const H264: &str = "-c:v libx264 -preset ultrafast -bf 2 -g 12 -keyint_min 12 -sc_threshold 0";
pub(crate) const H265: &str = "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=12:min-keyint=12:scenecut=0:bframes=2:open-gop=0";

/// The published segments as files.
pub(crate) fn files(folder: &Path, segments: &[Sample<VideoData>]) -> Vec<PathBuf> {
    let write = |(number, segment): (usize, &Sample<VideoData>)| match &segment.body.video_file {
        Some(file) => folder.join(&file.path),
        None => {
            let path = folder.join(format!("{number}.bin"));
            std::fs::write(&path, segment.body.video.as_ref().unwrap()).unwrap();
            path
        }
    };
    segments.iter().enumerate().map(write).collect()
}

/// Checks that the segments have the units of a track, each once and in order, at the times of the camera.
pub(crate) fn check_track(sent: &[Sample<AccessUnitData>], track: &str, files: &[PathBuf]) {
    let is_video = track == "video";
    let has_video = of(sent, "video").next().is_some();
    // The first unit of AAC comes before the first picture.
    let mut sent = of(sent, track).skip_while(|unit| has_video && unit.pts < ZERO);
    let mut total = 0;
    for path in files {
        let (streams, found) = packets(path);
        let Some(at) = streams.iter().position(|stream| stream.size.is_some() == is_video) else { continue };
        let found: Vec<&Packet> = found.iter().filter(|packet| packet.stream == at as u64).collect();
        let rate = streams[at].rate;
        let mut first: Option<(i64, i64)> = None;
        for packet in &found {
            let unit = sent.next().expect("no more units than were sent");
            assert_eq!(packet.data, unit.data, "{}: unit {}", path.display(), unit.sequence);
            assert_eq!(rate, unit.rate);
            let (pts, dts) = *first.get_or_insert((packet.pts - unit.pts, packet.dts - unit.dts));
            assert!((packet.pts - unit.pts - pts).abs() <= 1, "{}: {packet:?}", path.display());
            assert!((packet.dts - unit.dts - dts).abs() <= 1, "{}: {packet:?}", path.display());
            total += 1;
        }
        if is_video {
            assert!(found[0].key);
            assert_eq!(
                found.iter().map(|packet| packet.pts).min(),
                Some(0),
                "the presentation begins at zero"
            );
        }
    }
    assert_eq!(sent.next().map(|unit| unit.sequence), None, "after {total} units");
}

fn capture_times(segments: &[Sample<VideoData>]) -> Vec<f64> {
    segments.iter().flat_map(|segment| segment.body.capture_timestamps.clone().unwrap()).collect()
}

async fn record(recipe: Recipe, flags: &[&str]) {
    let sent = units("gate", "a", recipe);
    let segments = run_processor::<Recorder>(flags, &sent).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), &segments);
    assert!(files.len() > 1, "{} segments", files.len());
    files.iter().for_each(|path| decode(path));
    let tracks = [("video", recipe.video), ("audio", recipe.audio)];
    for (track, _) in tracks.iter().filter(|(_, args)| !args.is_empty()) {
        check_track(&sent, track, &files);
    }
    if !recipe.video.is_empty() {
        let mut shown: Vec<f64> =
            of(&sent, "video").map(|unit| START + (unit.pts - ZERO) as f64 / f64::from(unit.rate)).collect();
        shown.sort_by(f64::total_cmp);
        let times = capture_times(&segments);
        assert_eq!(times.len(), shown.len());
        assert!(times.iter().zip(&shown).all(|(time, shown)| (time - shown).abs() < 1e-4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_with_b_frames_and_aac() {
    record(Recipe { video: H264, audio: "-c:a aac", seconds: 5 }, &["--segment-duration=1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_with_b_frames_and_opus() {
    record(Recipe { video: H265, audio: "-c:a libopus", seconds: 5 }, &["--segment-duration=1.4"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn video_alone_and_sound_alone() {
    record(
        Recipe { video: H264, audio: "", seconds: 4 },
        &["--segment-duration=0.9", "--fragment-duration=0.1"],
    )
    .await;
    record(Recipe { video: "", audio: "-c:a aac", seconds: 4 }, &["--segment-duration=1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn picture_and_sound_begin_together() {
    let recipe = Recipe { video: H264, audio: "-c:a aac", seconds: 4 };
    let sent = units("gate", "a", recipe);
    let segments = run_processor::<Recorder>(&["--segment-duration=1"], &sent).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for path in &files(folder.path(), &segments)[1..] {
        let (streams, found) = packets(path);
        let sound = streams.iter().position(|stream| stream.size.is_none()).unwrap();
        let first = found.iter().find(|packet| packet.stream == sound as u64).unwrap();
        let seconds = first.pts as f64 / f64::from(streams[sound].rate);
        // One unit of AAC has 1024 samples.
        assert!((-0.0001..0.0215).contains(&seconds), "{}: {seconds} s", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_of_telephones_becomes_aac_or_is_kept_or_left_out() {
    let recipe = Recipe { video: H264, audio: "-c:a pcm_mulaw -ar 8000 -ac 1", seconds: 3 };
    let sent = units("gate", "a", recipe);
    for (mode, codec) in [("aac", Some("aac")), ("keep", Some("pcm_mulaw")), ("none", None)] {
        let flags = [format!("--audio={mode}"), "--segment-duration=1".to_owned()];
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let segments = run_processor::<Recorder>(&flags, &sent).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), &segments);
        check_track(&sent, "video", &files);
        for path in &files {
            decode(path);
            let (streams, _) = packets(path);
            let sound = streams.iter().find(|stream| stream.size.is_none());
            assert_eq!(sound.map(|stream| stream.codec.as_str()), codec, "{mode}: {}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transport_streams_have_all_units() {
    let recipe = Recipe { video: H264, audio: "-c:a aac", seconds: 4 };
    let sent = units("gate", "a", recipe);
    let segments =
        run_processor::<Recorder>(&["--segment-duration=1", "--container=ts"], &sent).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mut video, mut sound) = (0, 0);
    for path in files(folder.path(), &segments) {
        decode(&path);
        let (streams, found) = packets(&path);
        let is_video = |packet: &&Packet| streams[packet.stream as usize].size.is_some();
        video += found.iter().filter(is_video).count();
        sound += found.iter().filter(|packet| !is_video(packet)).count();
    }
    let of_sound = of(&sent, "audio").filter(|unit| unit.pts >= ZERO).count();
    assert_eq!((video, sound), (of(&sent, "video").count(), of_sound));
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_of_one_topic_are_kept_apart_and_sessions_follow_each_other() {
    let recipe = Recipe { video: H264, audio: "", seconds: 3 };
    let one = units("gate", "a", recipe);
    let mut two = units("yard", "b", recipe);
    // The camera restarts.
    two.iter_mut().filter(|unit| unit.body.sequence >= 36).for_each(|unit| {
        unit.body.session = "c".to_owned();
        unit.body.sequence -= 36;
        unit.head.capture_timestamp += 100.0;
    });
    let both: Vec<_> = one.iter().zip(&two).flat_map(|(one, two)| [one.clone(), two.clone()]).collect();
    let segments = run_processor::<Recorder>(&["--segment-duration=60"], &both).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let of_sensor = |name: &str| -> Vec<_> {
        segments.iter().filter(|one| one.head.sensor_name.as_deref() == Some(name)).cloned().collect()
    };
    let (gate, yard) = (of_sensor("gate"), of_sensor("yard"));
    assert_eq!((gate.len(), yard.len()), (1, 2));
    check_track(&one, "video", &files(folder.path(), &gate));
    check_track(&two, "video", &files(folder.path(), &yard));
    assert_eq!(yard[1].body.capture_timestamps.as_ref().unwrap()[0], START + 36.0 / 25.0 + 100.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn units_lost_on_the_way_cost_only_what_cannot_be_decoded() {
    let recipe = Recipe { video: "-c:v libx264 -preset ultrafast -g 12 -bf 0", audio: "", seconds: 2 };
    let mut sent = units("gate", "a", recipe);
    sent.retain(|unit| unit.body.sequence != 15);
    let segments = run_processor::<Recorder>(&[], &sent).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), &segments);
    assert_eq!(files.len(), 1);
    decode(&files[0]);
    sent.retain(|unit| !(16..24).contains(&unit.body.sequence));
    check_track(&sent, "video", &files);
}

#[tokio::test]
async fn settings_that_do_not_fit_into_messages_are_refused() {
    for (flags, word) in [
        (&["--segment-bytes=29MiB"][..], "--spool"),
        (&["--segment-duration=none"], "--spool"),
        (&["--segment-duration=0"], "none"),
        (&["--pre-record=5"], "--trigger-topic"),
        (&["--spool=/dev/null/spool"], "through /dev/null"),
        (&["--align-to-clock", "--segment-duration=none", "--spool=/tmp"], "--segment-duration"),
    ] {
        let error = run_processor::<Recorder>(flags, &[] as &[Sample<AccessUnitData>]).await.unwrap_err();
        assert!(format!("{error:#}").contains(word), "{flags:?}: {error:#}");
    }
}
