//! Segments in the spool folder.

use std::path::Path;

use msight_node::testing::run_processor;
use msight_proto::{AccessUnitData, Sample};
use msight_recorder::Recorder;
use msight_spool::Spool;
use msight_test_support::probe::decode;

use crate::segments::{H264, check_track, files};
use crate::stream::{Recipe, units};

fn stream() -> Vec<Sample<AccessUnitData>> {
    units("gate", "a", Recipe { video: H264, audio: "-c:a aac", seconds: 5 })
}

fn spool_flag(folder: &Path) -> String {
    format!("--spool={}", folder.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_name_whole_files_with_their_sidecars() {
    let (folder, sent) = (tempfile::tempdir().unwrap(), stream());
    let flags = [spool_flag(folder.path()), "--segment-duration=1".to_owned()];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let segments = run_processor::<Recorder>(&flags, &sent).await.unwrap();
    assert!(segments.iter().all(|segment| segment.body.video.is_none()));
    let files = files(folder.path(), &segments);
    check_track(&sent, "video", &files);
    check_track(&sent, "audio", &files);
    files.iter().for_each(|path| decode(path));
    let waiting = Spool::open(folder.path()).unwrap().waiting(100).unwrap();
    let paths: Vec<_> = waiting.iter().map(|segment| segment.relative_path().to_owned()).collect();
    let named: Vec<_> = segments.iter().map(|s| s.body.video_file.as_ref().unwrap().path.clone()).collect();
    assert_eq!(paths, named);
    for (segment, file) in segments.iter().zip(&waiting) {
        let sidecar: serde_json::Value = serde_json::from_slice(&file.sidecar().unwrap()).unwrap();
        assert_eq!(sidecar["sensor_name"], "gate");
        assert_eq!(sidecar["video"], serde_json::Value::Null);
        let times = segment.body.capture_timestamps.as_ref().unwrap();
        assert_eq!(sidecar["capture_timestamps"].as_array().unwrap().len(), times.len());
        assert_eq!(
            segment.body.video_file.as_ref().unwrap().bytes,
            file.open().unwrap().metadata().unwrap().len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_without_room_is_written_into_a_copy() {
    let (folder, sent) = (tempfile::tempdir().unwrap(), stream());
    // The room is that of a segment of a few seconds at the most, and the first fragment has a single unit.
    let flags = [
        spool_flag(folder.path()),
        "--segment-duration=0.1".to_owned(),
        "--fragment-duration=0.02".to_owned(),
    ];
    let mut flags: Vec<_> = flags.iter().map(String::as_str).collect();
    flags.push("--audio=none");
    let segments = run_processor::<Recorder>(&flags, &sent).await.unwrap();
    check_track(&sent, "video", &files(folder.path(), &segments));
}
