//! The program with a spool folder: killed in the middle of uploads, and with more segments than it keeps in mind.

use std::sync::Arc;

use msight_bus::{Bus, Receivers};
use msight_proto::{Head, Sample, VideoData, VideoFile, encode};
use msight_spool::{Spool, SpooledSegment};
use msight_test_support::bus::topic;
use msight_test_support::redis::RedisServer;
use msight_test_support::s3::{Fault, Server};
use msight_test_support::{Program, until};

use crate::program::program;
use crate::spool::write;

fn pusher(redis: &RedisServer, server: &Server, spool: &Spool) -> Program {
    let endpoint = format!("http://{}", server.address);
    let folder = spool.root().display().to_string();
    let flags = ["--endpoint-url", &endpoint, "--no-sign-request", "--spool", &folder];
    Program::start("pusher", program(redis, &flags))
}

async fn announce(bus: &Arc<dyn Bus>, segment: &SpooledSegment) {
    let file = VideoFile { path: segment.relative_path().to_owned(), bytes: segment.bytes() };
    let body = VideoData { video_file: Some(file), ..VideoData::default() };
    let payload = encode(&Sample::new(Head::new("north".to_owned(), 1.0), body)).unwrap();
    until("a subscriber", async || {
        bus.publish(&topic("segments"), payload.clone()).await.unwrap() != Receivers::Known(0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pusher_uploads_every_segment_exactly_once() {
    let (redis, server) = (RedisServer::start(&[]), Server::start_unsigned().await);
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path().join("spool")).unwrap();
    let bus = redis.bus().await;
    let content = |number: usize| vec![number as u8; 300_000 + number];
    let mut written = 0;
    for kill_after in [1, 2, 3, 5, 8] {
        let mut pusher = pusher(&redis, &server, &spool);
        let before = server.count(|seen| seen.method == "PUT");
        for _ in 0..8 {
            let second = 1_700_000_000.5 + written as f64 * 10.0;
            let segment = write(&spool, "north", second, "mp4", &content(written));
            // Every third one is found in the folder alone.
            if written % 3 > 0 {
                announce(&bus, &segment).await;
            }
            written += 1;
        }
        until("some uploads", async || server.count(|seen| seen.method == "PUT") >= before + kill_after)
            .await;
        pusher.signal("-KILL");
        pusher.ended().await;
    }
    assert!(!spool.waiting(1).unwrap().is_empty(), "it was killed too late");
    let mut last = pusher(&redis, &server, &spool);
    // Not the oldest one alone: it may be uploaded while the folder is read.
    until("no segment waits", async || spool.waiting(usize::MAX).unwrap().is_empty()).await;
    last.stop().await;
    // A kill between the removal of a video and that of its sidecar leaves the sidecar, which a recorder's start removes.
    let unfinished = spool.unfinished().unwrap();
    assert!(unfinished.parts.is_empty() && unfinished.errors.is_empty(), "{unfinished:?}");
    assert_eq!(std::fs::read_dir(spool.root().join("north/2023-11-14")).map_or(0, Iterator::count), 0);

    let keys = server.keys();
    assert_eq!(keys.len(), 2 * written, "{keys:?}");
    for number in 0..written {
        let second = 1_700_000_000 + number * 10;
        let key = keys.iter().find(|key| key.contains(&format!("/{second}_")) && key.ends_with(".mp4"));
        assert!(server.object(key.unwrap()) == content(number), "{number}");
    }
    assert!(last.lines("segment lost").is_empty(), "{}", last.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_waiting_segments_cost_little_memory() {
    let (redis, server) = (RedisServer::start(&[]), Server::start_unsigned().await);
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path().join("spool")).unwrap();
    let few = {
        server.fault(usize::MAX, Fault::Answer(403, "AccessDenied"), |seen| seen.method == "PUT");
        write(&spool, "north", 1_700_000_000.5, "mp4", b"the first one");
        let mut pusher = pusher(&redis, &server, &spool);
        pusher.says("allow s3:PutObject").await;
        let few = pusher.peak_memory();
        pusher.stop().await;
        few
    };
    // Without the syncs of a recorder. Each sidecar has the times of 2000 frames.
    let times = vec!["1700000000.123456"; 2000].join(", ");
    let day = spool.root().join("south/2023-11-14");
    std::fs::create_dir_all(&day).unwrap();
    for number in 0..10_000 {
        let begin = 1_700_000_100.5 + f64::from(number);
        let sidecar = format!(r#"{{"sensor_name": "south", "capture_timestamps": [{begin}, {times}]}}"#);
        std::fs::write(day.join(format!("23-{number:05}.mp4")), "an mp4").unwrap();
        std::fs::write(day.join(format!("23-{number:05}.json")), sidecar).unwrap();
    }
    let mut pusher = pusher(&redis, &server, &spool);
    pusher.says("allow s3:PutObject").await;
    until("a bounded list", async || pusher.count("msight_segments_pending") == 4096).await;
    let many = pusher.peak_memory();
    assert!(many < few + (24 << 20), "{few} bytes with one segment, {many} with 10,001");

    // The oldest are uploaded first.
    server.behave();
    pusher.stop().await;
    let mut pusher = self::pusher(&redis, &server, &spool);
    until("the first hundred", async || server.keys().len() >= 200).await;
    pusher.stop().await;
    assert!(server.keys().iter().any(|key| key.contains("/north/")));
    let left = spool.waiting(usize::MAX).unwrap();
    assert!(left.iter().all(|segment| segment.relative_path() > "south/2023-11-14/23-00050"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_without_a_folder_names_the_flag() {
    let (redis, server) = (RedisServer::start(&[]), Server::start_unsigned().await);
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path().join("spool")).unwrap();
    let endpoint = format!("http://{}", server.address);
    let flags = ["--endpoint-url", &endpoint, "--no-sign-request"];
    let mut pusher = Program::start("pusher", program(&redis, &flags));
    let segment = write(&spool, "north", 1_700_000_000.5, "mp4", b"video");
    announce(&redis.bus().await, &segment).await;
    let said = pusher.says("--spool").await;
    assert!(said.contains(segment.relative_path()), "{said}");
    assert_eq!(pusher.count("msight_segments_failed_total"), 1);
    let answer = pusher.get("/readyz").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("--spool DIR"), "{answer}");
    pusher.stop().await;
    assert!(segment.path().exists());
}
