//! Segments in a spool folder, announced and found.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use msight_node::health::Health;
use msight_node::metrics::Metrics;
use msight_proto::{Head, Sample, VideoData};
use msight_s3_pusher::bucket::Bucket;
use msight_s3_pusher::spooling::{Keep, SpoolSettings};
use msight_s3_pusher::stats::Stats;
use msight_s3_pusher::uploader::{SpoolError, Uploader};
use msight_segment::{Folders, Layout, message_json};
use msight_spool::{PathError, Spool, SpooledSegment};
use msight_test_support::s3::{Fault, Server};
use msight_test_support::until;
use tempfile::TempDir;

use crate::support::{Log, STEM, both, connection, json, mp4, options, policy, segment, submit};

const DELETE: Keep = Keep::For(Duration::ZERO);
/// A scan that no test waits for.
const LATER: Duration = Duration::from_secs(3600);
/// A scan that a test waits for.
const SOON: Duration = Duration::from_millis(20);

fn spool() -> (TempDir, Spool) {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path().join("spool")).unwrap();
    (folder, spool)
}

/// A segment as a recorder leaves it.
pub(crate) fn write(
    spool: &Spool,
    sensor: &str,
    second: f64,
    extension: &str,
    video: &[u8],
) -> SpooledSegment {
    let body = VideoData { capture_timestamps: Some(vec![second, second + 9.9]), ..VideoData::default() };
    let sidecar = message_json(&Sample::new(Head::new(sensor.to_owned(), second), body)).unwrap();
    let mut part = spool.create(Some(sensor), second, extension).unwrap();
    part.file().write_all(video).unwrap();
    part.complete(sidecar.as_bytes()).unwrap()
}

struct Pusher {
    uploader: Uploader,
    metrics: Metrics,
    health: Health,
}

fn pusher(server: &Server, spool: &Spool, keep: Keep, scan_interval: Duration) -> Pusher {
    pusher_of(server, spool.root(), keep, scan_interval)
}

fn pusher_of(server: &Server, folder: &Path, keep: Keep, scan_interval: Duration) -> Pusher {
    let bucket = Bucket::new("videos", connection(server), options(), policy());
    let layout = Layout::new("p", "edge1", Folders::Utc).unwrap();
    let settings =
        SpoolSettings { folder: folder.to_owned(), keep, scan_interval, layout, device: "edge1".to_owned() };
    let metrics = Metrics::default();
    let stats = Stats::new(&metrics);
    let health = Health::default();
    health.set_ready(true);
    let uploader = Uploader::with_spool(bucket, 2, 1 << 20, stats, health.clone(), Some(settings));
    Pusher { uploader, metrics, health }
}

impl Pusher {
    fn count(&self, series: &str) -> u64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0)
    }

    fn failed(&self, reason: &str) -> u64 {
        self.count(&format!("msight_segments_failed_total{{reason=\"{reason}\"}}"))
    }

    async fn stop(mut self) {
        assert_eq!(self.uploader.finish(std::future::ready(())).await, [], "nothing in a folder is lost");
    }
}

fn is_empty(spool: &Spool) -> bool {
    std::fs::read_dir(spool.root()).unwrap().next().is_none()
}

fn stem(second: u32) -> String {
    format!("p/edge1/cam ü/2023-11-14/22/{}_{}", 1_700_000_000 + second, 1_700_000_010 + second)
}

#[tokio::test]
async fn what_waits_at_the_start_and_what_is_announced_later_is_uploaded_once() {
    let (server, (_folder, spool)) = (Server::start().await, spool());
    write(&spool, "cam ü", 1_700_000_000.5, "mp4", b"one");
    let mut pusher = pusher(&server, &spool, DELETE, LATER);
    until("the first one", async || server.keys() == both(STEM)).await;
    assert_eq!(server.object(&format!("{STEM}.mp4")), b"one");

    let second = write(&spool, "cam ü", 1_700_000_010.5, "ts", b"two");
    let path = second.relative_path().to_owned();
    pusher.uploader.submit_spooled(path.clone()).await.unwrap();
    pusher.uploader.submit_spooled(path.clone()).await.unwrap();
    until("the folder is empty", async || is_empty(&spool)).await;
    let ts = |seen: &msight_test_support::s3::Seen| seen.puts(".ts");
    assert_eq!((server.count(mp4), server.count(ts), server.count(json)), (1, 1, 2));
    assert_eq!(server.seen(ts)[0].header("content-type"), Some("video/mp2t"));
    // A message that comes after its segment was uploaded is fine.
    pusher.uploader.submit_spooled(path).await.unwrap();
    assert_eq!(pusher.failed("vanished"), 0);
    until("both are counted", async || pusher.count("msight_segments_uploaded_total") == 2).await;
    pusher.stop().await;
}

#[tokio::test]
async fn a_segment_that_no_message_announces_is_found_later() {
    let (server, (_folder, spool)) = (Server::start().await, spool());
    let pusher = pusher(&server, &spool, DELETE, SOON);
    write(&spool, "cam ü", 1_700_000_000.5, "mp4", b"one");
    until("it is uploaded", async || server.keys() == both(STEM)).await;
    until("the folder is empty", async || is_empty(&spool)).await;
    pusher.stop().await;
}

#[tokio::test]
async fn kept_segments_are_marked_and_not_uploaded_again() {
    let (server, (_folder, spool)) = (Server::start().await, spool());
    let kept = write(&spool, "cam ü", 1_700_000_000.5, "mp4", b"one");
    let mut first = pusher(&server, &spool, Keep::Forever, SOON);
    until("the marker", async || kept.is_uploaded().unwrap()).await;
    first.uploader.submit_spooled(kept.relative_path().to_owned()).await.unwrap();
    until("it is known", async || first.count("msight_segments_pending") == 0).await;
    first.stop().await;
    let marker = std::fs::read_to_string(kept.path().with_extension("uploaded")).unwrap();
    let marker: serde_json::Value = serde_json::from_str(&marker).unwrap();
    assert_eq!((&marker["bucket"], &marker["key"]), (&"videos".into(), &format!("{STEM}.mp4").into()));

    let next = pusher(&server, &spool, Keep::For(Duration::from_secs(3600)), SOON);
    let second = write(&spool, "cam ü", 1_700_000_010.5, "mp4", b"two");
    until("the second one", async || second.is_uploaded().unwrap()).await;
    next.stop().await;
    assert_eq!(server.keys().len(), 4);
    assert_eq!((server.count(mp4), server.count(json)), (2, 2));
    assert_eq!(spool.waiting(9).unwrap().len(), 0);
}

#[tokio::test]
async fn messages_that_name_no_segment_are_refused() {
    let (server, (folder, spool)) = (Server::start().await, spool());
    std::fs::create_dir_all(folder.path().join("2026-11-28")).unwrap();
    std::fs::write(folder.path().join("2026-11-28/1.mp4"), "secret").unwrap();
    let mut pusher = pusher(&server, &spool, DELETE, LATER);
    for path in ["../2026-11-28/1.mp4", "/etc/passwd", "a/../../2026-11-28/1.mp4"] {
        let error = pusher.uploader.submit_spooled(path.to_owned()).await.unwrap_err();
        assert!(matches!(error, SpoolError::Path(PathError::Invalid { .. })), "{error}");
    }
    let error = pusher.uploader.submit_spooled("s/2026-11-28/1.mp4".to_owned()).await.unwrap_err();
    assert!(matches!(error, SpoolError::Gone { .. }), "{error}");
    // The node goes on.
    submit(&mut pusher.uploader, segment(1_700_000_000.5, "by value")).await;
    write(&spool, "cam ü", 1_700_000_010.5, "mp4", b"by reference");
    let announced = spool.waiting(1).unwrap()[0].relative_path().to_owned();
    pusher.uploader.submit_spooled(announced).await.unwrap();
    until("both kinds", async || server.keys() == [both(STEM), both(&stem(10))].concat()).await;
    until("both are counted", async || pusher.count("msight_segments_uploaded_total") == 2).await;
    pusher.stop().await;
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_awaited_and_reported() {
    let (log, server, (parent, spool)) = (Log::capture(), Server::start().await, spool());
    let folder = parent.path().join("other");
    let pusher = pusher_of(&server, &folder, DELETE, SOON);
    let is_unready = |text: &str| pusher.health.unready().is_some_and(|reason| reason.contains(text));
    until("it is not ready", async || is_unready("other") && is_unready("start the program that writes it"))
        .await;
    assert!(!folder.exists(), "the pusher makes no folder");
    write(&spool, "cam ü", 1_700_000_000.5, "mp4", b"one");
    std::fs::rename(spool.root(), &folder).unwrap();
    until("its segments are uploaded", async || server.keys() == both(STEM)).await;
    until("it is ready", async || pusher.health.unready().is_none()).await;
    std::fs::remove_dir_all(&folder).unwrap();
    until("it misses the folder", async || is_unready("other")).await;
    assert_eq!(log.lines("ERROR").len(), 2, "one line for each time");
    pusher.stop().await;
}

#[tokio::test]
async fn a_pusher_with_another_folder_than_the_recorder_is_not_ready() {
    let (server, (parent, spool)) = (Server::start().await, spool());
    let folder = parent.path().join("other");
    std::fs::create_dir(&folder).unwrap();
    let mut pusher = pusher_of(&server, &folder, DELETE, LATER);
    let segment = write(&spool, "cam ü", 1_700_000_000.5, "mp4", b"one");
    let path = segment.relative_path().to_owned();
    let error = pusher.uploader.submit_spooled(path.clone()).await.unwrap_err();
    assert!(error.to_string().contains("the same volume"), "{error}");
    let reason = pusher.health.unready().expect("it is not ready");
    assert!(reason.contains(&path) && reason.contains("the same --spool"), "{reason}");
    // The folder is corrected.
    for entry in std::fs::read_dir(spool.root()).unwrap().flatten() {
        std::fs::rename(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    pusher.uploader.submit_spooled(path).await.unwrap();
    assert_eq!(pusher.health.unready(), None);
    until("it is uploaded", async || server.keys() == both(STEM)).await;
    pusher.stop().await;
}

#[tokio::test]
async fn a_segment_that_vanishes_says_so_and_holds_up_no_other() {
    let (log, server, (_folder, spool)) = (Log::capture(), Server::start().await, spool());
    server.fault(usize::MAX, Fault::Answer(503, "SlowDown"), mp4);
    let first = write(&spool, "cam ü", 1_700_000_000.5, "mp4", b"one");
    let pusher = pusher(&server, &spool, DELETE, SOON);
    until("the first try", async || server.count(mp4) > 0).await;
    first.delete().unwrap();
    until("it is missed", async || pusher.failed("vanished") == 1).await;
    assert_eq!(log.lines("vanished").len(), 1);
    server.behave();
    write(&spool, "cam ü", 1_700_000_010.5, "mp4", b"two");
    until("the next one", async || server.keys() == both(&stem(10))).await;
    pusher.stop().await;
}

#[tokio::test]
async fn segments_that_cannot_be_uploaded_stay_until_the_next_start() {
    let (log, server, (_folder, spool)) = (Log::capture(), Server::start().await, spool());
    server.fault(1, Fault::Answer(400, "EntityTooLarge"), mp4);
    let refused = write(&spool, "cam ü", 1_700_000_000.5, "mp4", b"refused");
    let first = pusher(&server, &spool, DELETE, SOON);
    until("the refusal", async || first.failed("refused") == 1).await;

    let broken = write(&spool, "cam ü", 1_700_000_010.5, "mp4", b"broken");
    std::fs::write(broken.path().with_extension("json"), "{").unwrap();
    until("the broken sidecar", async || first.failed("unusable") == 1).await;
    let empty = write(&spool, "cam ü", 1_700_000_020.5, "mp4", b"");
    until("the empty file", async || first.failed("unusable") == 2).await;
    write(&spool, "cam ü", 1_700_000_030.5, "mp4", b"no mp4 at all, and fine");
    until("the next one", async || server.keys() == both(&stem(30))).await;
    // Several scans have passed by.
    assert_eq!(server.count(mp4), 2);
    assert_eq!(log.lines("left in the spool folder").len(), 3);
    assert_eq!((first.failed("refused"), first.failed("unusable")), (1, 2));
    for left in [&refused, &broken, &empty] {
        assert!(left.path().exists() && log.lines(&left.path().display().to_string()).len() == 1);
    }
    first.stop().await;

    let next = pusher(&server, &spool, DELETE, SOON);
    until("the first one after all", async || server.keys() == [both(STEM), both(&stem(30))].concat()).await;
    next.stop().await;
}

#[tokio::test]
async fn what_is_not_uploaded_at_the_stop_stays_in_the_folder() {
    let (log, server, (_folder, spool)) = (Log::capture(), Server::start().await, spool());
    server.fault(usize::MAX, Fault::Stall, mp4);
    for number in 0..5 {
        write(&spool, "cam ü", 1_700_000_000.5 + f64::from(number) * 10.0, "mp4", b"video");
    }
    let pusher = pusher(&server, &spool, DELETE, LATER);
    until("two are under way", async || server.count(mp4) == 2).await;
    let metrics = pusher.metrics.clone();
    pusher.stop().await;
    assert_eq!(spool.waiting(9).unwrap().len(), 5);
    assert!(log.lines("wait in memory").is_empty(), "they wait in the folder");
    assert!(log.lines("stay in the spool folder")[0].contains("segments=5"));
    assert!(log.lines("segment lost").is_empty() && !metrics.render().contains("reason=\"stopped\""));
}

#[tokio::test]
async fn uploads_under_way_at_the_stop_are_finished_and_not_reported_as_left() {
    let (log, server, (_folder, spool)) = (Log::capture(), Server::start().await, spool());
    // The first two are slow: half a second for 5 bytes.
    server.fault(2, Fault::Drip(10), mp4);
    for number in 0..5 {
        write(&spool, "cam ü", 1_700_000_000.5 + f64::from(number) * 10.0, "mp4", b"video");
    }
    let mut pusher = pusher(&server, &spool, DELETE, LATER);
    until("two are under way", async || server.count(mp4) == 2).await;
    assert_eq!(pusher.uploader.finish(std::future::pending()).await, []);
    assert_eq!(spool.waiting(9).unwrap().len(), 3);
    assert!(log.lines("stay in the spool folder")[0].contains("segments=3"));
}

#[tokio::test]
async fn a_sidecar_without_a_video_is_removed_at_the_start() {
    let (server, (_folder, spool)) = (Server::start().await, spool());
    let killed = write(&spool, "cam ü", 1_700_000_000.5, "mp4", b"one");
    std::fs::remove_file(killed.path()).unwrap();
    // A writer lives, and has written its sidecar.
    let part = spool.create(Some("yard"), 1_700_000_010.5, "mp4").unwrap();
    let sidecar = part.path().with_extension("").with_extension("json");
    std::fs::write(&sidecar, "{}").unwrap();
    let pusher = pusher(&server, &spool, DELETE, LATER);
    until("it is removed", async || !killed.path().with_extension("json").exists()).await;
    pusher.stop().await;
    assert!(sidecar.exists() && part.path().exists());
}

#[tokio::test]
async fn large_files_are_read_part_by_part() {
    let (server, (_folder, spool)) = (Server::start().await, spool());
    server.fault(1, Fault::Answer(503, "SlowDown"), |seen| seen.query.contains("partNumber=2"));
    let video: Vec<u8> = (0..(16 << 20) + 1000).map(|i| (i / 251) as u8).collect();
    write(&spool, "cam ü", 1_700_000_000.5, "mp4", &video);
    let pusher = pusher(&server, &spool, DELETE, LATER);
    until("the folder is empty", async || is_empty(&spool)).await;
    assert_eq!(server.keys(), both(STEM));
    assert!(server.object(&format!("{STEM}.mp4")) == video);
    assert_eq!(
        server.count(|seen| seen.query.contains("partNumber=1")),
        1,
        "a part that is stored is not sent again"
    );
    pusher.stop().await;
}

#[tokio::test]
async fn a_damaged_upload_of_a_file_is_sent_again() {
    let (server, (_folder, spool)) = (Server::start().await, spool());
    server.fault(1, Fault::Tear(2), mp4);
    write(&spool, "cam ü", 1_700_000_000.5, "mp4", b"video");
    let pusher = pusher(&server, &spool, DELETE, LATER);
    until("the folder is empty", async || is_empty(&spool)).await;
    assert_eq!(server.object(&format!("{STEM}.mp4")), b"video");
    assert_eq!(server.count(mp4), 2);
    pusher.stop().await;
}

#[tokio::test]
async fn segments_of_the_same_seconds_both_stay_after_a_restart_too() {
    let (server, (_folder, spool)) = (Server::start().await, spool());
    for video in [b"one", b"two"] {
        write(&spool, "cam ü", 1_700_000_000.5, "mp4", video);
    }
    // The videos are stored, the answers to their sidecars are not.
    server.fault(usize::MAX, Fault::Stall, json);
    let first = pusher(&server, &spool, DELETE, LATER);
    until("both wait for their sidecar", async || server.count(json) == 2).await;
    first.stop().await;
    server.behave();
    let next = pusher(&server, &spool, DELETE, LATER);
    until("the folder is empty", async || is_empty(&spool)).await;
    next.stop().await;
    assert_eq!(server.keys().len(), 4);
    let mut videos: Vec<_> =
        server.keys().iter().filter(|key| key.ends_with(".mp4")).map(|key| server.object(key)).collect();
    videos.sort();
    assert_eq!(videos, [b"one", b"two"]);
}
