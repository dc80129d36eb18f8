//! The programs as their users run them.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const MSIGHT: &str = env!("CARGO_BIN_EXE_msight");

/// A Redis server that ends with the test.
struct Redis {
    server: Child,
    port: String,
}

impl Redis {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port().to_string();
        drop(free);
        let server = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let redis = Self { server, port };
        let deadline = Instant::now() + Duration::from_secs(20);
        while redis.cli(&["ping"]).stdout != b"PONG\n" {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        redis
    }

    fn cli(&self, args: &[&str]) -> Output {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port]).args(args).output().expect("redis-cli is installed")
    }

    /// Runs one of our programs with this server in its environment.
    fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_remove("MSIGHT_EDGE_DEVICE_NAME")
            .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", &self.port)
            .stdin(Stdio::null());
        command.output().expect("it runs")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Frames of the videos below a folder, as FFmpeg decodes them without a complaint.
fn decoded_frames(folder: &Path) -> Vec<usize> {
    let find = Command::new("find").arg(folder).args(["-name", "*.mp4"]).output().expect("find");
    let mut videos: Vec<String> = text(&find.stdout).lines().map(str::to_owned).collect();
    videos.sort();
    let decode = |video: &String| {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-xerror", "-i", video, "-f", "framecrc", "-"]);
        let output = ffmpeg.output().expect("ffmpeg is installed");
        assert!(output.status.success() && output.stderr.is_empty(), "{video}: {}", text(&output.stderr));
        text(&output.stdout).lines().filter(|line| !line.starts_with('#')).count()
    };
    videos.iter().map(decode).collect()
}

#[test]
fn the_demo_makes_segments_of_its_own_camera() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["demo", "--segments", "2", "--buffer-size", "10"];
    let mut demo = Command::new(MSIGHT);
    let output = demo
        .args(arguments)
        .env_remove("MSIGHT_EDGE_DEVICE_NAME")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(said.contains(" 10 frames\n") && said.contains("1280x720") && said.contains("ffplay "), "{said}");
    let frames = decoded_frames(&folder.path().join("msight-demo/segments/demo/rtsp_sensor"));
    assert!(frames.len() >= 2 && frames[..2] == [10, 10], "{frames:?}");
}

#[test]
fn the_demo_uses_a_real_redis_and_leaves_no_nodes_behind() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("text");
    let output =
        redis.run(MSIGHT, &["demo", "--redis", "--segments", "1", "--buffer-size", "10", "--out", out]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&redis.cli(&["hlen", "MSIGHT:NODES"]).stdout), "0\n");
    assert_eq!(text(&redis.cli(&["hlen", "MSIGHT:TOPICS"]).stdout), "2\n");
    assert_eq!(decoded_frames(folder.path())[0], 10);
}

#[test]
fn a_camera_that_is_not_there_is_an_error_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = Command::new(MSIGHT);
    demo.args(["demo", "--url", "rtsp://user:hunter2@127.0.0.1:9/x", "--seconds", "2"])
        .current_dir(folder.path());
    let output = demo.stdin(Stdio::null()).output().expect("it runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no segment") && !said.contains("hunter2"), "{said}");
}

#[test]
fn status_and_reset_work_on_what_is_in_redis() {
    let redis = Redis::start();
    let node = r#"{"name": "n", "device": "d", "publish_topic": "t", "subscribe_topic": null, "type": "RTSPSourceNode", "last_heartbeat": 1.0, "status": "RUNNING"}"#;
    redis.cli(&["hset", "MSIGHT:NODES", "n", node, "broken", "{"]);
    redis.cli(&["set", "other", "kept"]);
    let status = text(&redis.run(env!("CARGO_BIN_EXE_msight_status"), &["ignored", "--words"]).stdout);
    assert!(
        status.contains("RTSPSourceNode")
            && status.contains("RUNNING (stale ")
            && status.contains("malformed"),
        "{status}"
    );
    let json = redis.run(MSIGHT, &["status", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["nodes"][1]["name"], "n");

    let refused = redis.run(MSIGHT, &["reset"]);
    assert_eq!(refused.status.code(), Some(1), "it must not delete without a yes");
    assert_eq!(text(&redis.cli(&["exists", "MSIGHT:NODES"]).stdout), "1\n");
    let reset = redis.run(env!("CARGO_BIN_EXE_msight_reset_redis"), &["--host", "elsewhere", "-d", "0"]);
    assert!(reset.status.success() && text(&reset.stdout).lines().count() == 1, "{}", text(&reset.stdout));
    assert!(text(&reset.stderr).contains("--host has no effect"), "{}", text(&reset.stderr));
    assert_eq!(text(&redis.cli(&["keys", "*"]).stdout), "other\n");
}

#[test]
fn without_a_redis_the_next_step_is_said() {
    let mut status = Command::new(MSIGHT);
    let output = status.args(["status", "--redis-url", "redis://127.0.0.1:9/0"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("start a Redis server"), "{}", text(&output.stderr));
}
