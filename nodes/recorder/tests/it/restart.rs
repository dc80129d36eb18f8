//! Recorders that are killed and started again: what is lost until the next key frame is reported, and in the next segment.

use std::fs::File;
use std::path::Path;

use msight_media::SegmentMetadata;
use msight_media::mp4::{self, Extent};
use msight_test_support::redis::RedisServer;
use msight_test_support::until;

use crate::recovery::{find, is_ready, publish, recorder};
use crate::stream::{Recipe, units};

/// A key frame every 20 frames.
const RARE: &str = "-c:v libx264 -preset ultrafast -bf 0 -g 20 -keyint_min 20 -sc_threshold 0";
const FLAGS: [&str; 2] = ["--segment-duration=60", "--fragment-duration=0.1"];

fn metadata(path: &Path) -> SegmentMetadata {
    let mut file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    mp4::read(&mut file, length).unwrap().metadata.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn units_before_the_first_key_frame_are_reported_and_lost_after_a_crash() {
    let redis = RedisServer::start(&[]);
    let bus = redis.bus().await;
    let folder = tempfile::tempdir().unwrap();
    let sent = units("gate", "a", Recipe { video: RARE, audio: "", seconds: 8 });

    let mut node = recorder(&redis, "recorder", folder.path(), &FLAGS);
    node.serves_metrics().await;
    until("it is ready", async || is_ready(&node)).await;
    for unit in &sent[5..75] {
        assert!(publish(&*bus, unit).await);
    }
    let line = node.says("units left out").await;
    assert!(line.contains("WARN") && line.contains("units=15") && line.contains("seconds=0.6"), "{line}");
    node.reaches("msight_recorder_recorded_total", 30).await;
    node.signal("-KILL");
    node.ended().await;

    let mut node = recorder(&redis, "recorder", folder.path(), &FLAGS);
    node.serves_metrics().await;
    until("it is ready", async || is_ready(&node)).await;
    until("it is recovered", async || find(folder.path(), ".part").is_empty()).await;
    for unit in &sent[76..150] {
        assert!(publish(&*bus, unit).await);
    }
    let line = node.says("units lost").await;
    assert!(line.contains("ERROR") && line.contains("units=4"), "{line}");
    assert_eq!(node.count("msight_recorder_dropped_total{node=\"recorder\",reason=\"after_restart\"}"), 4);
    node.stop().await;
    let whole = find(folder.path(), ".mp4");
    let [recovered, next] = &whole[..] else { panic!("{whole:?}") };
    assert_eq!(metadata(recovered).ending, "recovered");
    assert_eq!(metadata(next).frames_lost_before, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repaired_segment_that_the_recorder_takes_over_is_a_recovered_one() {
    let redis = RedisServer::start(&[]);
    let bus = redis.bus().await;
    let folder = tempfile::tempdir().unwrap();
    let sent = units("gate", "a", Recipe { video: RARE, audio: "", seconds: 4 });
    let mut node = recorder(&redis, "recorder", folder.path(), &FLAGS);
    node.serves_metrics().await;
    until("it is ready", async || is_ready(&node)).await;
    for unit in &sent {
        assert!(publish(&*bus, unit).await);
    }
    node.reaches("msight_recorder_recorded_total", 60).await;
    node.signal("-KILL");
    node.ended().await;
    // As `msight repair --in-place` does.
    let part = find(folder.path(), ".part").pop().unwrap();
    let mut file = File::options().read(true).write(true).open(&part).unwrap();
    mp4::finish(&mut file, Extent::Readable, &[]).unwrap();
    drop(file);

    let mut node = recorder(&redis, "recorder", folder.path(), &FLAGS);
    until("it is recovered", async || find(folder.path(), ".part").is_empty()).await;
    node.stop().await;
    let path = find(folder.path(), ".mp4").pop().unwrap();
    assert_eq!(metadata(&path).ending, "recovered");
    msight_test_support::probe::decode(&path);
}
