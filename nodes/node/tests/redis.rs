//! A node's program and a real Redis: absent at the start, emptied, killed, back.

#[path = "../../../bus/tests/support/mod.rs"]
mod redis;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use msight_node::testing::until;
use redis::RedisServer;

const DEADLINE: Duration = Duration::from_secs(30);

/// The example `frame_gaps`, as a process of its own.
struct Program {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Program {
    fn start(port: u16) -> Self {
        let mut process = Command::new(example("frame_gaps"))
            .args(["-n", "gaps", "-st", "frames", "-pt", "gaps_topic", "--log-format", "text"])
            .env("MSIGHT_EDGE_DEVICE_NAME", "edge1")
            .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", port.to_string())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { process, lines }
    }

    /// Waits for a log line with this text.
    fn says(&self, text: &str) {
        let begun = Instant::now();
        let mut said = Vec::new();
        while begun.elapsed() < DEADLINE {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => said.push(line),
                Err(_) => {}
            }
        }
        panic!("{text:?} was not said, but\n{}", said.join("\n"));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
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
    let mut program = Program::start(redis.port);
    program.says("waiting for it");

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
    program.says("trying again until it answers");
    redis.restart();
    until("back after kill -9", async || {
        is_registered(&redis) && has_topics(&redis) && is_subscribed(&redis)
    })
    .await;

    redis.cli(&["PUBLISH", "frames", "no message"]);
    program.says("message skipped");

    let pid = program.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(program.process.wait().unwrap().code(), Some(0));
    assert_eq!(redis.cli(&["HLEN", "MSIGHT:NODES"]), "0");
}
