//! A node's program and a real Redis: absent at the start, emptied, killed, back.

use std::path::PathBuf;
use std::process::Command;

use msight_test_support::redis::RedisServer;
use msight_test_support::{Program, until};

/// The example `frame_gaps`, as a process of its own.
fn frame_gaps(redis: u16) -> Program {
    let mut command = Command::new(example("frame_gaps"));
    command
        .args(["-n", "gaps", "-st", "frames", "-pt", "gaps_topic", "--log-format", "text"])
        .env("MSIGHT_EDGE_DEVICE_NAME", "edge1")
        .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", redis.to_string());
    Program::start("frame_gaps", command)
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
    program.says("waiting for it").await;

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
