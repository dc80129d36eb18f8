//! A file system that fills up while a recorder writes into it.

use std::path::Path;
use std::process::Command;

use msight_media::SegmentMetadata;
use msight_test_support::probe::{decode, packets};
use msight_test_support::redis::RedisServer;
use msight_test_support::{can_run, until};

use crate::recovery::{find, is_ready, publish, recorder};
use crate::stream::{Recipe, units};

/// No two frames are equal, and each is large.
const NOISE: &str = "-vf noise=alls=60:allf=t+u -c:v libx264 -preset ultrafast -g 12";

/// A file system in memory, of 16 MB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` without the right to mount one.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_is_in_a_segment_or_counted_when_the_disk_fills_up() {
    let disk = SmallDisk::mount();
    if !can_run(disk.is_some(), "the right to mount a file system (run the tests as root)") {
        return;
    }
    let disk = disk.unwrap();
    let (redis, spool, ballast) =
        (RedisServer::start(&[]), disk.path().join("spool"), disk.path().join("ballast"));
    let bus = redis.bus().await;
    let sent = units("gate", "a", Recipe { video: NOISE, audio: "", seconds: 40 });
    let flags = ["--segment-duration=2", "--fragment-duration=0.2"];
    let mut node = recorder(&redis, "recorder", &spool, &flags);
    node.serves_metrics().await;
    until("it is ready", async || is_ready(&node)).await;
    // It leaves 1 MB.
    std::fs::write(&ballast, vec![1; 15 << 20]).unwrap();
    let mut sent_units = sent.iter();
    let dropped = "msight_recorder_dropped_total{node=\"recorder\",reason=\"disk\"}";
    let mut count = 0;
    for unit in sent_units.by_ref() {
        assert!(publish(&*bus, unit).await);
        count += 1;
        node.reaches("msight_recorder_units_total", count).await;
        if node.count(dropped) > 20 {
            break;
        }
    }
    assert!(node.count(dropped) > 20, "the disk was not full after {count} units");
    let answer = node.get("/readyz").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("No space left on device"), "{answer}");
    std::fs::remove_file(&ballast).unwrap();
    for unit in sent_units {
        assert!(publish(&*bus, unit).await);
    }
    until("it goes on by itself", async || is_ready(&node)).await;
    node.reaches("msight_recorder_units_total", sent.len() as u64).await;
    node.stop().await;
    let lost = node.counted("recorder_dropped");
    // What could not be finished on the full disk is recovered.
    let mut next = recorder(&redis, "recorder", &spool, &flags);
    next.serves_metrics().await;
    until("the next one is ready", async || is_ready(&next)).await;
    until("all is recovered", async || find(&spool, ".part").is_empty()).await;
    next.stop().await;

    let (mut frames, mut lost_before, mut within, mut endings) = (0, 0, 0, Vec::new());
    for path in find(&spool, ".mp4") {
        decode(&path);
        let shown = packets(&path).1.len();
        let sidecar: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        let times = sidecar["capture_timestamps"].as_array().unwrap();
        assert_eq!(times.len(), shown, "{}", path.display());
        let metadata = SegmentMetadata::read(&std::fs::read(&path).unwrap()).unwrap();
        frames += shown as u64;
        lost_before += metadata.frames_lost_before;
        within += metadata.frames_lost_within;
        endings.push(metadata.ending);
    }
    let report =
        format!("{endings:?}: {frames} frames, {lost_before} lost before, {lost:?} counted\n{}", node.log());
    assert_eq!(frames + lost_before, sent.len() as u64, "{report}");
    assert_eq!(within, 0, "{report}");
    assert!(endings.iter().any(|ending| ["disk", "recovered"].contains(&ending.as_str())), "{report}");
    assert!(node.lines("units lost").iter().all(|line| line.contains("ERROR")), "{report}");
}
