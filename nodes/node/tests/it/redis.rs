//! A node's program and a real Redis: absent at the start, emptied, killed, back.

use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use msight_bus::Receivers;
use msight_proto::{Head, ImageData, Sample, encode};
use msight_test_support::bus::topic;
use msight_test_support::redis::RedisServer;
use msight_test_support::{Program, until};

/// The example `frame_gaps`, as a process of its own.
fn frame_gaps(redis: u16) -> Program {
    frame_gaps_with(redis, &[])
}

fn frame_gaps_with(redis: u16, flags: &[&str]) -> Program {
    Program::start("frame_gaps", frame_gaps_command(redis, flags))
}

fn frame_gaps_command(redis: u16, flags: &[&str]) -> Command {
    let mut command = Command::new(example("frame_gaps"));
    command
        .args(["-n", "gaps", "-st", "frames", "-pt", "gaps_topic", "--log-format", "text"])
        .args(flags)
        .env("MSIGHT_EDGE_DEVICE_NAME", "edge1")
        .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", redis.to_string());
    command
}

/// Examples are built with the tests, beside their folder.
fn example(name: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let program = deps.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is not built; run cargo build --examples", program.display());
    program
}

#[tokio::test]
async fn a_node_outlives_its_redis() {
    let mut redis = RedisServer::start(&[]);
    redis.kill();
    let mut program = frame_gaps(redis.port);
    program.says("cannot connect").await;

    redis.restart();
    let is_registered =
        |redis: &RedisServer| redis.cli(&["HGET", "MSIGHT:NODES", "gaps"]).contains(r#""status": "RUNNING""#);
    let has_topics = |redis: &RedisServer| redis.cli(&["HLEN", "MSIGHT:TOPICS"]) == "2";
    let is_subscribed = |redis: &RedisServer| redis.cli(&["PUBSUB", "NUMSUB", "frames"]).ends_with('1');
    until("registered and subscribed", async || {
        is_registered(&redis) && has_topics(&redis) && is_subscribed(&redis)
    })
    .await;

    redis.cli(&["FLUSHALL"]);
    until("registered again after FLUSHALL", async || is_registered(&redis) && has_topics(&redis)).await;

    redis.kill();
    program.says("trying again until it answers").await;
    redis.restart();
    until("back after kill -9", async || {
        is_registered(&redis) && has_topics(&redis) && is_subscribed(&redis)
    })
    .await;

    redis.cli(&["PUBLISH", "frames", "no message"]);
    program.says("message skipped").await;

    program.stop().await;
    assert_eq!(redis.cli(&["HLEN", "MSIGHT:NODES"]), "0");
}

/// A picture of 50 kB, about that of a camera of 1280x720.
fn frame(second: f64) -> Bytes {
    let image = ImageData {
        image: Some(vec![0; 50_000].into()),
        is_encoded: true,
        detection_results: None,
        size: Some(vec![720, 1280, 3]),
        access_unit: None,
    };
    encode(&Sample::new(Head::new("cam".to_owned(), second), image)).unwrap()
}

#[tokio::test]
async fn a_node_that_stood_still_gets_all_that_redis_kept_for_it() {
    const FRAMES: u64 = 400;
    let redis = RedisServer::start(&[]);
    let mut program = frame_gaps_with(redis.port, &["--metrics", "127.0.0.1:0"]);
    program.serves_metrics().await;
    let (bus, topic) = (redis.bus().await, topic("frames"));
    until("it is subscribed", async || bus.publish(&topic, frame(0.0)).await.unwrap() == Receivers::Known(1))
        .await;
    program.signal("-STOP");
    for n in 1..FRAMES {
        bus.publish(&topic, frame(n as f64)).await.unwrap();
    }
    program.signal("-CONT");
    program.reaches("msight_received_total", FRAMES).await;
    assert_eq!(program.count("msight_queue_dropped_total"), 0);
    assert_eq!(program.count("msight_bus_disconnects_total"), 0);
    let metrics = program.get("/metrics").unwrap();
    assert!(metrics.contains(r#"msight_last_received_age_seconds{node="gaps",sensor="cam"} "#), "{metrics}");
}

#[tokio::test]
async fn a_redis_that_closes_idle_connections_is_no_outage() {
    let redis = RedisServer::start(&["--timeout", "1"]);
    let mut program = frame_gaps(redis.port);
    let heartbeat = || {
        let record = redis.cli(&["HGET", "MSIGHT:NODES", "gaps"]);
        record.split_once("last_heartbeat").map(|(_, rest)| rest[..20].to_owned())
    };
    until("it is registered", async || heartbeat().is_some()).await;
    for _ in 0..2 {
        let before = heartbeat();
        until("a heartbeat over a connection that was closed", async || heartbeat() != before).await;
    }
    program.stop().await;
    assert_eq!(redis.cli(&["HLEN", "MSIGHT:NODES"]), "0");
    assert_eq!(program.lines("WARNING"), [""; 0]);
    assert_eq!(program.lines("connected again"), [""; 0]);
}

#[tokio::test]
async fn a_cluster_whose_slot_of_the_registry_has_no_master_costs_few_lines() {
    let flags = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
    let mut servers = [(); 3].map(|()| RedisServer::start(&flags));
    let addresses = servers.each_ref().map(|server| format!("127.0.0.1:{}", server.port));
    let create = ["--cluster", "create", &addresses[0], &addresses[1], &addresses[2], "--cluster-yes"];
    servers[0].cli(&create);
    for server in &servers {
        until("the cluster is ready", async || server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
            .await;
    }
    let mut command = frame_gaps_command(servers[0].port, &[]);
    // What is logged as a rule, and the kit's lines about heartbeats.
    command.env("RUST_LOG", "info,redis=off,msight_node=debug");
    command.env("MSIGHT_REDIS_MESSAGE_BROKER_USE_CLUSTER", "true");
    command.env("MSIGHT_REDIS_MESSAGE_BROKER_CLUSTER_NODES", format!("{addresses:?}").replace('"', "'"));
    let mut program = Program::start("frame_gaps", command);
    // The others answer that the key is elsewhere.
    let holds_registry = |server: &RedisServer| server.cli(&["HLEN", "MSIGHT:NODES"]) == "1";
    until("it is registered", async || servers.iter().any(holds_registry)).await;
    let holder = servers.iter_mut().find(|server| holds_registry(server)).unwrap();
    let before = program.log().lines().count();
    holder.kill();
    // A heartbeat comes every 5 s.
    until("two heartbeats fail", async || program.lines("heartbeat failed").len() >= 2).await;
    let log = program.log();
    let lines: Vec<_> = log.lines().skip(before).filter(|line| !line.contains(" DEBUG ")).collect();
    assert!((1..=3).contains(&lines.len()), "{lines:#?}");
    assert!(program.is_running());
}
