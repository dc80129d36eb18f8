//! What happens to the processes: signals, names that are taken, no file descriptors, nowhere to write.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use msight_camera::Camera;
use msight_proto::{Head, Sample, VideoData, encode};
use msight_test_support::{Program, until};

use crate::pipeline::{BUCKET, Pipeline, files, frames_and_seconds, plays, sidecar, small_camera, tool};

/// More frames than any test sends: such a segment ends by the stop.
const ENDLESS: &str = "--fps 10 --buffer-size 100000";

async fn start(pipeline: &Pipeline, camera: &Camera) -> [Program; 3] {
    // The subscribers first: nothing that is published is unheard.
    let pusher = pipeline.pusher("");
    let aggregator = pipeline.aggregator(ENDLESS);
    until("subscribed", async || pipeline.are_running(&["aggregator", "pusher"])).await;
    [pipeline.source(camera, ""), aggregator, pusher]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_in_mid_segment_flushes_uploads_and_unregisters() {
    let camera = small_camera(10.0).await;
    let pipeline = Pipeline::start().await;
    for (run, signal) in ["-TERM", "-INT"].into_iter().enumerate() {
        let mut nodes = start(&pipeline, &camera).await;
        let aggregator = &nodes[1];
        until("frames are encoded", async || aggregator.count("msight_aggregator_encoded_total") >= 10).await;
        for node in &mut nodes {
            node.signal(signal);
            assert_eq!(node.ended().await, Some(0), "{} after {signal}", node.name);
            assert_eq!(node.lines(":: stopped ").len(), 1, "{}", node.name);
        }
        assert_eq!(pipeline.redis.cli(&["HLEN", "MSIGHT:NODES"]), "0");
        let videos = pipeline.stored("mp4");
        assert_eq!(
            (videos.len(), pipeline.stored("json").len()),
            (run + 1, run + 1),
            "one segment of each run"
        );
        let video = videos.last().expect("a segment");
        plays(video);
        let frames = frames_and_seconds(video, (320, 180)).0;
        assert_eq!(
            u64::from(frames),
            nodes[1].counted("aggregator_encoded"),
            "all that was encoded is in it"
        );
        // Without a fault nothing is lost on the way.
        assert_eq!(nodes[0].counted("published"), nodes[1].counted("received"));
        assert_eq!(nodes[2].counted("segments_uploaded"), 1);
    }
}

/// A pusher that has a segment in hand and no server to bring it to.
async fn stuck_pusher(pipeline: &Pipeline) -> Program {
    let flags = format!("-st segments --bucket-name {BUCKET} --grace 60 --endpoint-url http://127.0.0.1:9");
    let pusher = pipeline.run("stuck", pipeline.node("msight_launch_aws_video_pusher", "stuck", &flags));
    let bus = pipeline.redis.bus().await;
    let body = VideoData {
        video: Some(vec![7; 1000].into()),
        detection_results: None,
        frame_ids: None,
        capture_timestamps: None,
        video_file: None,
    };
    let segment = encode(&Sample::new(Head::new("gate".to_owned(), 1.0), body)).expect("a message");
    let topic = msight_test_support::bus::topic("segments");
    until("it is subscribed", async || {
        bus.publish(&topic, segment.clone()).await.expect("Redis takes it") != msight_bus::Receivers::Known(0)
    })
    .await;
    until("it has a segment in hand", async || pusher.count("msight_segments_pending") >= 1).await;
    pusher
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let pipeline = Pipeline::start().await;
    for (signal, code) in [("-TERM", 128 + 15), ("-INT", 128 + 2)] {
        let mut pusher = stuck_pusher(&pipeline).await;
        pusher.signal(signal);
        pusher.says("a second signal stops at once").await;
        // Signals in quick succession are one: a terminal's Ctrl-C comes from the parent process too.
        pusher.signal(signal);
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(pusher.is_running(), "it takes its time to save the segment");
        pusher.signal(signal);
        assert_eq!(pusher.ended().await, Some(code));
        assert!(pusher.log().contains("unfinished work is lost"), "{}", pusher.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_of_a_name_is_refused_and_told_the_process_of_the_first() {
    let pipeline = Pipeline::start().await;
    let mut first = pipeline.aggregator(ENDLESS);
    until("the first runs", async || pipeline.are_running(&["aggregator"])).await;
    let mut second = pipeline.aggregator(ENDLESS);
    assert_eq!(second.ended().await, Some(1));
    let holder = format!("held by process {} on host", first.pid());
    assert!(second.log().contains(&holder), "{holder:?} is not said:\n{}", second.log());
    assert!(first.is_running() && pipeline.are_running(&["aggregator"]), "the first is undisturbed");

    // One that was killed gave no sign of its end, and still does not keep its successor out.
    first.signal("-KILL");
    first.ended().await;
    let mut third = pipeline.aggregator(ENDLESS);
    third.says("subscribed").await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_nodes_wait_and_lose_nothing() {
    let camera = small_camera(10.0).await;
    let pipeline = Pipeline::start().await;
    let [mut source, mut aggregator, mut pusher] = start(&pipeline, &camera).await;
    until("frames are encoded", async || aggregator.count("msight_aggregator_encoded_total") >= 5).await;
    let limit = |node: &Program, files: &str| {
        let (pid, files) = (node.pid().to_string(), format!("--nofile={files}:"));
        tool("prlimit", &["--pid", &pid, &files]);
    };
    // No more than are open: 3 are enough to be below that.
    [&source, &aggregator, &pusher].iter().for_each(|node| limit(node, "3"));
    pipeline.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    for node in [&mut aggregator, &mut pusher] {
        node.says("the connection was closed").await;
    }
    let subscribed = || pipeline.redis.cli(&["PUBSUB", "NUMSUB", "frames", "segments"]).matches('1').count();
    for _ in 0..50 {
        assert_eq!(subscribed(), 0, "a node without file descriptors has connected");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    [&source, &aggregator].iter().for_each(|node| limit(node, "1024"));
    until("the aggregator is back", async || subscribed() >= 1).await;
    limit(&pusher, "1024");
    until("the pusher is back", async || subscribed() == 2).await;

    // The pusher has no connection to the bucket yet.
    limit(&pusher, "3");
    source.stop().await;
    aggregator.stop().await;
    pusher.says("Too many open files").await;
    limit(&pusher, "1024");
    until("the segment is stored", async || pipeline.stored("json").len() == 1).await;
    pusher.stop().await;
    let frames = sidecar(&pipeline.stored("mp4")[0])["frame_ids"].as_array().expect("ids").len();
    assert_eq!(frames as u64, aggregator.counted("aggregator_encoded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_a_full_disk_ends_no_node() {
    let camera = small_camera(10.0).await;
    let pipeline = Pipeline::start().await;
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    let flags = format!("-st frames -pt segments --overlap-size 0 {ENDLESS}");
    let mut nodes = [
        pipeline.node(
            "msight_launch_aws_video_pusher",
            "pusher",
            &format!("-st segments --bucket-name {BUCKET}"),
        ),
        pipeline.node("msight_launch_image_to_video_aggregator", "aggregator", &flags),
        pipeline.node("msight_launch_rtsp", "camera", &format!("-pt frames -sn gate -u {}", camera.url())),
    ]
    .map(|mut command| command.stderr(full()).stdout(full()).spawn().expect("it starts"));
    until("all run", async || pipeline.are_running(&["camera", "aggregator", "pusher"])).await;
    // Frames go by, and then each is asked to stop: the source first.
    let frames = || pipeline.redis.cli(&["INFO", "commandstats"]).contains("cmdstat_publish:calls=");
    until("frames are published", async || frames()).await;
    nodes.reverse();
    for node in &mut nodes {
        tool("kill", &["-TERM", &node.id().to_string()]);
        until("it ends", async || node.try_wait().expect("its status").is_some()).await;
        assert_eq!(node.wait().expect("its status").code(), Some(0));
    }
    let stored = files(&pipeline.store.root().join(BUCKET), "json");
    assert_eq!(stored.len(), 1, "the segment is stored all the same");
}

/// The nodes write no files; what writes is the store of the demo. While it cannot, the pusher keeps what it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_write_costs_no_segment() {
    let camera = small_camera(10.0).await;
    let pipeline = Pipeline::start().await;
    // A file in place of the folder: not even root can write below it.
    fs::write(pipeline.objects(), "in the way").expect("a file");
    let [mut source, mut aggregator, mut pusher] = start(&pipeline, &camera).await;
    until("frames are encoded", async || aggregator.count("msight_aggregator_encoded_total") >= 5).await;
    source.stop().await;
    aggregator.stop().await;
    until("the store has refused", async || pusher.count("msight_upload_retries_total") >= 2).await;
    fs::remove_file(pipeline.objects()).expect("the file");
    until("the segment is stored", async || pipeline.stored("json").len() == 1).await;
    pusher.stop().await;
}

#[test]
fn a_demo_that_cannot_write_says_so() {
    let demo = Command::new(env!("CARGO_BIN_EXE_msight"))
        .args(["demo", "--seconds", "2", "--out", "/proc/self/no/folder"])
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&demo.stderr);
    assert_eq!(demo.status.code(), Some(1), "{said}");
    assert!(said.contains("/proc/self/no/folder"), "{said}");
}

/// Flags that cannot work are found before anything is contacted, and nothing is left behind.
#[tokio::test(flavor = "multi_thread")]
async fn flags_that_cannot_work_are_an_error_of_usage() {
    let pipeline = Pipeline::start().await;
    let aggregator = "-st frames -pt segments --fps 10 --buffer-size 10 --overlap-size 0";
    for (program, flags, reason) in [
        (
            "msight_launch_image_to_video_aggregator",
            format!("{aggregator} --fps 0"),
            "--fps 0 is out of range",
        ),
        (
            "msight_launch_image_to_video_aggregator",
            format!("{aggregator} --overlap-size 11"),
            "--overlap-size 11",
        ),
        (
            "msight_launch_image_to_video_aggregator",
            format!("{aggregator} --buffer-size 0"),
            "--buffer-size 0",
        ),
        ("msight_launch_image_to_video_aggregator", format!("{aggregator} -pt frames"), "both are 'frames'"),
        ("msight_launch_rtsp", "-pt t -sn s -u http://camera/".to_owned(), "rtsp://"),
        ("msight_launch_rtsp", "-pt t -sn s -u rtsp://camera/ -r 0".to_owned(), "--resize-ratio"),
        ("msight_launch_rtsp", "-pt t -sn s --url-file /no/such/file".to_owned(), "/no/such/file"),
        ("msight_launch_aws_video_pusher", "-st t --bucket-name= ".to_owned(), "argument --bucket-name"),
        (
            "msight_launch_aws_video_pusher",
            "-st t --bucket-name bucket --sse AES256 --sse-kms-key-id k".to_owned(),
            "--sse aws:kms",
        ),
    ] {
        let mut node = pipeline.run("mistaken", pipeline.node(program, "mistaken", &flags));
        assert_eq!(node.ended().await, Some(2), "{flags}: {}", node.log());
        let said = node.log();
        assert!(said.contains("usage: ") && said.contains(&format!("{program}: error: ")), "{said}");
        assert!(said.contains(reason), "{reason:?} is not said:\n{said}");
    }
    assert_eq!(pipeline.redis.cli(&["DBSIZE"]), "0", "no topic is declared");
}
