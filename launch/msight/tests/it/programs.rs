//! The programs as their users run them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use msight_store::{Store, StoreConfig};
use msight_test_support::blocking;
use msight_test_support::redis::RedisServer;

const MSIGHT: &str = env!("CARGO_BIN_EXE_msight");

/// Runs one of our programs with this server in its environment.
fn run(redis: &RedisServer, program: &str, args: &[&str]) -> Output {
    with(redis, program, args).output().expect("it runs")
}

fn with(redis: &RedisServer, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .env_remove("MSIGHT_EDGE_DEVICE_NAME")
        .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", redis.port.to_string())
        .stdin(Stdio::null());
    command
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
    let redis = RedisServer::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("text");
    let output =
        run(&redis, MSIGHT, &["demo", "--redis-url", "--segments", "1", "--buffer-size", "10", "--out", out]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(redis.cli(&["hlen", "MSIGHT:NODES"]), "0");
    assert_eq!(redis.cli(&["hlen", "MSIGHT:TOPICS"]), "2");
    assert_eq!(decoded_frames(folder.path())[0], 10);
}

/// Gives a name to an MSight node that was seen now, or will be so many seconds from now: its clock is ahead.
fn hold(redis: &RedisServer, name: &str, ahead: u64) {
    let seen = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs() + ahead;
    let record = format!(
        r#"{{"name": "{name}", "device": "d", "publish_topic": null, "subscribe_topic": null, "type": "T", "last_heartbeat": {seen}.0, "status": "RUNNING"}}"#
    );
    redis.cli(&["hset", "MSIGHT:NODES", name, &record]);
}

#[test]
fn a_signal_ends_a_start_that_takes_long_and_leaves_no_nodes_behind() {
    let redis = RedisServer::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    // The aggregator watches the holder for longer than the demo waits; the pusher is there by then.
    hold(&redis, "image_aggregator", 0);
    let mut demo = with(&redis, MSIGHT, &["demo", "--redis"]);
    let demo = demo.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let demo = demo.spawn().expect("it runs");
    blocking::until("the pusher starts", || redis.cli(&["hexists", "MSIGHT:NODES", "video_pusher"]) == "1");
    let killed = Command::new("kill").args(["-TERM", &demo.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let output = demo.wait_with_output().expect("its end");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("interrupted before all nodes were ready"), "{said}");
    assert_eq!(redis.cli(&["hkeys", "MSIGHT:NODES"]), "image_aggregator");
}

#[test]
fn a_start_that_fails_leaves_no_nodes_behind() {
    let redis = RedisServer::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    // A holder that lives is seen as soon as it has given another sign of life.
    hold(&redis, "image_aggregator", 3600);
    let output = with(&redis, MSIGHT, &["demo", "--redis-url"]).current_dir(folder.path()).output();
    let output = output.expect("it runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("\"image_aggregator\" is taken"), "{said}");
    assert_eq!(redis.cli(&["hkeys", "MSIGHT:NODES"]), "image_aggregator");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_says_where_in_a_bucket_the_segments_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { buckets: vec!["roads".to_owned()], ..StoreConfig::new(folder.path()) };
    let store = Store::start(config).await.expect("a store");
    let server = store.endpoint();
    let bucket = ["--bucket-name", "roads", "--prefix", "a/b/", "--endpoint-url", &server];
    let output = Command::new(MSIGHT)
        .args([&["demo", "--segments", "1", "--buffer-size", "10"], &bucket[..]].concat())
        .env_remove("MSIGHT_EDGE_DEVICE_NAME")
        .env("AWS_ACCESS_KEY_ID", &store.keys().access_key)
        .env("AWS_SECRET_ACCESS_KEY", &store.keys().secret_key)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let (said, progress) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{progress}");
    assert!(said.contains("aws s3 ls --recursive --endpoint-url URL s3://roads/a/b/\n"), "{said}");
    assert!(!said.contains(&server) && !progress.contains(&server), "{said}{progress}");
    assert_eq!(decoded_frames(&folder.path().join("roads/a/b/demo/rtsp_sensor"))[0], 10);
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
    let redis = RedisServer::start(&[]);
    let node = r#"{"name": "n", "device": "d", "publish_topic": "t", "subscribe_topic": null, "type": "RTSPSourceNode", "last_heartbeat": 1.0, "status": "RUNNING"}"#;
    redis.cli(&["hset", "MSIGHT:NODES", "n", node, "broken", "{"]);
    redis.cli(&["set", "other", "kept"]);
    let msight_status = env!("CARGO_BIN_EXE_msight_status");
    let status = run(&redis, msight_status, &["ignored", "--words"]);
    assert!(text(&status.stderr).contains("the last 2"), "{}", text(&status.stderr));
    let status = text(&status.stdout);
    assert!(
        status.contains("RTSPSourceNode")
            && status.contains("RUNNING (stale ")
            && status.contains("malformed"),
        "{status}"
    );
    for mut same in [Command::new(MSIGHT), Command::new(msight_status)] {
        if same.get_program() == MSIGHT {
            same.arg("status");
        }
        let json = same.args(["--json", "--redis-url", &redis.url()]).output().expect("it runs").stdout;
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["nodes"][1]["name"], "n");
    }

    let refused = run(&redis, MSIGHT, &["reset"]);
    assert_eq!(refused.status.code(), Some(1), "it must not delete without a yes");
    assert_eq!(redis.cli(&["exists", "MSIGHT:NODES"]), "1");
    let reset = run(&redis, env!("CARGO_BIN_EXE_msight_reset_redis"), &["--host", "elsewhere", "-d", "0"]);
    assert!(reset.status.success() && text(&reset.stdout).lines().count() == 1, "{}", text(&reset.stdout));
    assert!(text(&reset.stderr).contains("--host has no effect"), "{}", text(&reset.stderr));
    assert_eq!(redis.cli(&["keys", "*"]), "other");
}

#[test]
fn help_needs_no_redis() {
    for program in [env!("CARGO_BIN_EXE_msight_status"), env!("CARGO_BIN_EXE_msight_reset_redis"), MSIGHT] {
        let help = Command::new(program).arg("--help").env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", "9").output();
        let help = help.expect("it runs");
        assert!(help.status.success() && text(&help.stdout).contains("Usage: "), "{program}");
    }
}

#[test]
fn without_a_redis_the_next_step_is_said() {
    let mut status = Command::new(MSIGHT);
    let output = status.args(["status", "--redis-url", "redis://127.0.0.1:9/0"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    // The key word of the way out.
    let way_out = "MSIGHT_REDIS_MESSAGE_BROKER_HOST";
    assert!(text(&output.stderr).contains(way_out), "{}", text(&output.stderr));

    // One that runs and refuses needs no starting.
    let redis = RedisServer::start(&["--requirepass", "right"]);
    let url = redis.url().replacen("://", "://:wrong@", 1);
    let output = Command::new(MSIGHT).args(["status", "--redis-url", &url]).output().expect("it runs");
    let said = text(&output.stderr);
    assert!(said.contains("refused") && !said.contains(way_out) && !said.contains("wrong@"), "{said}");
}
