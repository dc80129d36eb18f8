//! The program as users run it: over a real Redis, into a bucket that misbehaves.

use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use msight_bus::{Bus, Receivers};
use msight_proto::{Head, Sample, VideoData, encode};
use msight_test_support::bus::topic;
use msight_test_support::redis::RedisServer;
use msight_test_support::s3::{ACCESS_KEY, Fault, SECRET_KEY, Server};
use msight_test_support::{Program, eventually, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_msight_launch_aws_video_pusher");

/// The program with a node's flags, in an environment of its own.
pub(crate) fn program(redis: &RedisServer, flags: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["-n", "pusher", "-st", "segments", "--bucket-name", "videos", "--aws-region", "eu-central-1"])
        .args(["--metrics", "127.0.0.1:0", "--log-format", "text"])
        .args(flags)
        .env_clear()
        .env("MSIGHT_EDGE_DEVICE_NAME", "edge1")
        .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", redis.port.to_string())
        .env("AWS_SHARED_CREDENTIALS_FILE", redis.folder.path().join("credentials"))
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn pusher(redis: &RedisServer, server: &Server, flags: &[&str]) -> Program {
    let endpoint = format!("http://{}", server.address);
    let flags = [&["--endpoint-url", &endpoint, "--grace", "60"], flags].concat();
    Program::start("pusher", program(redis, &flags))
}

/// A credentials file, as `aws configure` and those who rotate tokens write it.
fn credentials(redis: &RedisServer, token: &str) {
    let text = format!(
        "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\naws_session_token = {token}\n"
    );
    let path = redis.folder.path().join("credentials");
    std::fs::write(path.with_extension("new"), text).unwrap();
    std::fs::rename(path.with_extension("new"), path).unwrap();
}

async fn publish(bus: &Arc<dyn Bus>, second: u32) {
    let begin = 1_700_000_000.5 + f64::from(second);
    let body = VideoData {
        video: Some(Bytes::from_static(b"an mp4")),
        detection_results: None,
        frame_ids: None,
        capture_timestamps: Some(vec![begin, begin + 0.9]),
        video_file: None,
    };
    let payload = encode(&Sample::new(Head::new("north".to_owned(), begin), body)).unwrap();
    until("a subscriber", async || {
        bus.publish(&topic("segments"), payload.clone()).await.unwrap() != Receivers::Known(0)
    })
    .await;
}

async fn has_keys(server: &Server, count: usize) {
    until("the objects", async || server.keys().len() == count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_is_read_anew_from_its_file() {
    let (redis, server) = (RedisServer::start(&[]), Server::start().await);
    credentials(&redis, "old-token");
    let mut pusher = pusher(&redis, &server, &[]);
    let bus = redis.bus().await;
    publish(&bus, 0).await;
    has_keys(&server, 2).await;

    server.fault(usize::MAX, Fault::Answer(400, "ExpiredToken"), |seen| {
        seen.headers.get("x-amz-security-token").is_none_or(|token| token == "old-token")
    });
    credentials(&redis, "new-token");
    publish(&bus, 1).await;
    has_keys(&server, 4).await;
    let refused = server.count(|seen| {
        seen.method == "PUT" && seen.headers.get("x-amz-security-token").unwrap() == "old-token"
    });
    assert_eq!(refused, 3, "video and sidecar of the first, and one refusal");

    pusher.stop().await;
    let log = pusher.log();
    for secret in [SECRET_KEY, "old-token", "new-token"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_takes_nothing_shows_everywhere_and_a_stop_still_saves_what_it_can() {
    let (redis, server) = (RedisServer::start(&[]), Server::start().await);
    credentials(&redis, "a-token");
    let mut pusher =
        pusher(&redis, &server, &["--upload-buffer", "128KiB", "--queue-size", "2", "--max-concurrent", "1"]);
    let bus = redis.bus().await;
    publish(&bus, 0).await;
    has_keys(&server, 2).await;
    assert!(pusher.get("/readyz").unwrap().starts_with("HTTP/1.1 200 "));

    server.fault(usize::MAX, Fault::Answer(403, "AccessDenied"), |seen| seen.method == "PUT");
    publish(&bus, 1).await;
    pusher.says("allow s3:PutObject").await;
    let unready = eventually("not ready", async || {
        pusher.get("/readyz").filter(|answer| answer.starts_with("HTTP/1.1 503 "))
    })
    .await;
    assert!(
        unready.contains("bucket videos at http://127.0.0.1:") && unready.contains("AccessDenied"),
        "{unready}"
    );
    let record = || redis.cli(&["HGET", "MSIGHT:NODES", "pusher"]);
    until("ERROR in the registry", async || record().contains(r#""status": "ERROR""#)).await;

    // Two fit into the buffer and one waits in front of it; of what comes then, two stay in the queue.
    for second in [2, 3] {
        publish(&bus, second).await;
    }
    pusher.says("upload buffer full").await;
    for second in 4..10 {
        publish(&bus, second).await;
    }
    let metrics = eventually("4 dropped, as counted", async || {
        pusher.get("/metrics").filter(|text| text.contains(r#"msight_queue_dropped_total{node="pusher"} 4"#))
    })
    .await;
    assert!(metrics.contains(r#"msight_segments_pending{node="pusher"} 2"#), "{metrics}");
    assert!(metrics.contains(r#"msight_uploads_held{node="pusher",reason="denied"} 1"#), "{metrics}");

    // The bucket works again, and the next probe would come after half a minute: a stop tries at once.
    server.behave();
    pusher.stop().await;
    assert_eq!(server.keys().len(), 2 * (1 + 5), "{}", pusher.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_aws_refuses_for_new_buckets_is_accepted_with_a_warning() {
    let redis = RedisServer::start(&[]);
    let flags = ["--bucket-name", "My_Videos", "--aws-region", "us-east-1", "--wait", "3600"];
    let mut pusher = Program::start("pusher", program(&redis, &flags));
    let said = pusher.says("legacy-bucket-name").await;
    assert!(said.contains("WARN") && said.contains("My_Videos") && said.contains("us-east-1"), "{said}");
    pusher.stop().await;
}

#[test]
fn what_can_never_work_ends_it_before_anything_is_connected_to() {
    for (flags, said) in [
        (&["--bucket-name", "s3://videos"][..], "--prefix"),
        (&["--bucket-name", "SOME_BUCKET_NAME"], "replace it by the name of your bucket"),
        (&["--bucket-name", "My_Videos", "--endpoint-url", "http://h"], "lower-case"),
        (&["--bucket-name", "videos", "--endpoint-url", "localhost:9000"], "http://host[:port]"),
        (&["--bucket-name", "videos", "--endpoint-url", "http://me:hunter2@h"], "AWS_ACCESS_KEY_ID"),
        (&["--bucket-name", "videos", "--aws-region", "EU (Frankfurt)"], "eu-west-1"),
        (&["--bucket-name", "videos", "--prefix", &"p".repeat(500)], "500 bytes"),
        (&["--bucket-name", "videos", "--sse-kms-key-id", "k"], "--sse"),
        (&["--bucket-name", "videos", "--tags", "a"], "key=value"),
        (
            &["--bucket-name", "videos", "--use-dualstack-endpoint", "--endpoint-url", "http://h"],
            "cannot be used",
        ),
    ] {
        let output = Command::new(PROGRAM)
            .args(["-n", "pusher", "-st", "segments"])
            .args(flags)
            .env("MSIGHT_EDGE_DEVICE_NAME", "edge1")
            // A Redis that is not there would be waited for.
            .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", "1")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {text}");
        assert!(text.contains(said) && !text.contains("hunter2"), "{text}");
    }
}
