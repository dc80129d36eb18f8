//! What happens to Redis, and what the three programs make of it.

use std::time::{Duration, Instant};

use msight_test_support::redis::RedisServer;
use msight_test_support::{Program, tls, until};

use crate::pipeline::{Pipeline, SECRET, frames_and_seconds, plays, sidecar, small_camera};

const NODES: [&str; 3] = ["camera", "aggregator", "pusher"];
const BEGINNING: &str = "trying again until it answers";
const END: &str = "connected again after";

/// How long a fault lasts: the usual time, or a short one that shows the same.
async fn lasting(usual: u64, short: u64) {
    let is_long = std::env::var_os("MSIGHT_LONG_TESTS").is_some();
    tokio::time::sleep(Duration::from_secs(if is_long { usual } else { short })).await;
}

/// The pipeline through one outage after the other.
struct Road {
    pipeline: Pipeline,
    source: Program,
    aggregator: Program,
    pusher: Program,
}

impl Road {
    fn programs(&self) -> [&Program; 3] {
        [&self.source, &self.aggregator, &self.pusher]
    }

    /// Waits until all nodes are registered and segments come through again.
    async fn flows(&mut self) {
        until("all nodes are registered", async || self.pipeline.are_running(&NODES)).await;
        let before = self.pipeline.stored("json").len();
        until("two more segments", async || self.pipeline.stored("json").len() >= before + 2).await;
        for program in [&mut self.source, &mut self.aggregator, &mut self.pusher] {
            assert!(program.is_running(), "{} has ended", program.name);
        }
    }

    /// Waits until the programs have said the end of every outage that they have said the beginning of, and checks
    /// that this was `outages` at most, each with the server's address.
    async fn has_said(&self, outages: usize) {
        for program in self.programs() {
            let what = format!("{} says the end of the outage", program.name);
            until(&what, async || program.lines(BEGINNING).len() == program.lines(END).len()).await;
            let beginnings = program.lines(BEGINNING);
            assert!(beginnings.len() <= outages, "{}: {beginnings:#?}", program.name);
            let address = format!("127.0.0.1:{}", self.pipeline.redis.port);
            let unnamed = |line: &String| !line.contains(&address);
            assert!(!beginnings.into_iter().chain(program.lines(END)).any(|line| unnamed(&line)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pipeline_outlives_its_redis_and_the_ledger_balances() {
    let camera = small_camera(10.0).await;
    let mut pipeline = Pipeline::start().await;

    // Absent at the start.
    pipeline.redis.kill();
    let source = pipeline.source(&camera, "");
    let aggregator = pipeline.aggregator("--fps 10 --buffer-size 10");
    let pusher = pipeline.pusher("");
    let mut road = Road { pipeline, source, aggregator, pusher };
    for program in [&mut road.source, &mut road.aggregator, &mut road.pusher] {
        program.says("cannot connect").await;
    }
    lasting(20, 1).await;
    for program in road.programs() {
        let answer = program.get("/readyz").expect("it answers while it waits");
        assert!(answer.contains(" 503 ") && answer.contains("waiting for the bus"), "{answer}");
    }
    road.pipeline.redis.restart();
    road.flows().await;
    for program in road.programs() {
        assert_eq!(program.lines("cannot connect").len(), 1, "{}", program.name);
        assert_eq!(program.lines(" connected after ").len(), 1, "{}", program.name);
    }

    // Killed and restarted in mid-stream, with everything in it gone.
    road.pipeline.redis.kill();
    for program in [&mut road.source, &mut road.aggregator, &mut road.pusher] {
        program.says(BEGINNING).await;
    }
    lasting(10, 1).await;
    road.pipeline.redis.restart();
    road.flows().await;
    road.has_said(1).await;
    for program in road.programs() {
        assert_eq!(program.lines(BEGINNING).len(), 1, "{}", program.name);
    }

    // Frozen, for longer than a command may take.
    road.pipeline.redis.signal("-STOP");
    lasting(20, 3).await;
    road.pipeline.redis.signal("-CONT");
    road.flows().await;
    road.has_said(2).await;

    // Subscriptions cut off.
    let subscriptions = road.pipeline.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(subscriptions, "2");
    road.flows().await;
    road.has_said(3).await;

    // Emptied. A heartbeat comes every 5 s, and this is a busy machine.
    road.pipeline.redis.cli(&["FLUSHALL"]);
    let emptied = Instant::now();
    until("all nodes are registered again", async || road.pipeline.are_running(&NODES)).await;
    assert!(emptied.elapsed() < Duration::from_secs(15), "{:?}", emptied.elapsed());
    let topics = || road.pipeline.redis.cli(&["HKEYS", "MSIGHT:TOPICS"]);
    until("both topics are declared again", async || {
        ["frames", "segments"].iter().all(|topic| topics().contains(topic))
    })
    .await;
    road.flows().await;
    road.pipeline.assert_no_secret(&road.programs());

    for program in [&mut road.source, &mut road.aggregator, &mut road.pusher] {
        program.stop().await;
    }
    assert_eq!(road.pipeline.redis.cli(&["HLEN", "MSIGHT:NODES"]), "0");
    check_ledger(&road);
    road.pipeline.assert_no_secret(&[]);
}

/// Every frame that the camera's decoder gave is in a segment, or counted where it was left out or lost.
fn check_ledger(road: &Road) {
    let [source, aggregator, pusher] = road.programs();
    let shown: Vec<u64> = road
        .pipeline
        .stored("mp4")
        .iter()
        .flat_map(|video| {
            plays(video);
            let ids = sidecar(video)["frame_ids"].as_array().expect("ids").clone();
            assert_eq!(frames_and_seconds(video, (320, 180)).0 as usize, ids.len(), "{}", video.display());
            ids.into_iter().map(|id| id.as_u64().expect("an id"))
        })
        .collect();

    let decoded = source.counted("rtsp_decoded");
    let made = source.counted("rtsp_frames");
    assert_eq!(decoded, made + source.counted("rtsp_left_out"));
    let published = source.counted("published");
    assert_eq!(made, published + source.counted("publish_dropped"));

    // The only hole is Redis itself. Each of its faults may take the message with it that it had taken from the
    // source and not given to the aggregator; the frozen one may give a message twice that was sent again meanwhile.
    let arrived = aggregator.counted("queue_arrived");
    let heard = published - source.counted("published_unheard");
    assert!(heard.abs_diff(arrived) <= 3, "{heard} published, {arrived} arrived");

    let received = aggregator.counted("received");
    assert_eq!(arrived, received + aggregator.counted("queue_dropped") + aggregator.counted("abandoned"));
    let frames = aggregator.counted("aggregator_frames");
    assert_eq!(received, frames + aggregator.counted("bad_messages") + aggregator.counted("gap_left_out"));
    let encoded = aggregator.counted("aggregator_encoded");
    let missing = aggregator.counted("aggregator_left_out") + aggregator.counted("aggregator_dropped");
    assert_eq!(frames, encoded + missing);

    let segments = aggregator.counted("aggregator_segments");
    assert_eq!(segments, aggregator.counted("published"));
    let uploaded = pusher.counted("segments_uploaded");
    assert!(segments.abs_diff(uploaded) <= 3, "{segments} segments, {uploaded} uploaded");
    if segments == uploaded {
        assert_eq!(shown.len() as u64, encoded, "every encoded frame is in a segment");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_is_named_and_ends_the_program() {
    let mut refused = Vec::new();

    let pipeline = Pipeline::around(RedisServer::start(&["--requirepass", "another"])).await;
    for (program, flags) in [
        ("msight_launch_rtsp", "-pt frames -sn gate -u rtsp://127.0.0.1:9/"),
        ("msight_launch_image_to_video_aggregator", "-st a -pt b --fps 10 --buffer-size 1 --overlap-size 0"),
        ("msight_launch_aws_video_pusher", "-st segments --bucket-name segments"),
    ] {
        let mut node = pipeline.run("locked-out", pipeline.node(program, "node", flags));
        assert_eq!(node.ended().await, Some(2), "{program}");
        refused.push((node.log(), vec!["WRONGPASS", "MSIGHT_REDIS_MESSAGE_BROKER_PASSWORD"]));
    }

    let user = ["--user", "node", "on", &format!(">{SECRET}"), "~*", "&segments", "+@all"];
    let pipeline = Pipeline::around(RedisServer::start(&user)).await;
    let mut aggregator = pipeline.aggregator("--fps 10 --buffer-size 1");
    assert_eq!(aggregator.ended().await, Some(2));
    refused.push((aggregator.log(), vec!["lacks the channel &frames"]));

    let redis = tls::server("server");
    let ca = redis.folder.path().join("other.pem");
    let pipeline = Pipeline::around(redis).await;
    let mut pusher =
        pipeline.node("msight_launch_aws_video_pusher", "p", "-st segments --bucket-name bucket");
    pusher.env("MSIGHT_REDIS_MESSAGE_BROKER_USE_TLS", "true");
    pusher.env("MSIGHT_REDIS_MESSAGE_BROKER_TLS_CA_CERT_FILE", ca);
    let mut pusher = pipeline.run("pusher", pusher);
    assert_eq!(pusher.ended().await, Some(2));
    refused.push((pusher.log(), vec!["TLS failed", "MSIGHT_REDIS_MESSAGE_BROKER_TLS_*"]));

    for (log, reasons) in refused {
        assert!(reasons.iter().all(|reason| log.contains(reason)), "{reasons:?} is not said:\n{log}");
        assert!(!log.contains(SECRET), "{log}");
    }
}

/// Redis checks the right to publish at the first message. The camera is not let go over it: messages wait, the
/// missing right is said, and once it is granted they flow.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_to_publish_is_named_and_waited_for() {
    let camera = small_camera(10.0).await;
    let user = ["--user", "node", "on", &format!(">{SECRET}"), "~*", "&other", "+@all"];
    let pipeline = Pipeline::around(RedisServer::start(&user)).await;
    let mut source = pipeline.source(&camera, "");
    source.says("lacks the channel &frames").await;
    assert_eq!(pipeline.redis.cli(&["ACL", "SETUSER", "node", "&frames"]), "OK");
    source.says("the bus takes messages again").await;
    until("frames are published", async || source.count("msight_published_total") > 10).await;
    pipeline.assert_no_secret(&[&source]);
    source.stop().await;
}
