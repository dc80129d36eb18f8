//! What `msight status` shows of a real Redis, and what others can make it do.

use std::process::Command;

use msight_test_support::redis::RedisServer;
use msight_test_support::{free_port, until};

use crate::pipeline::Pipeline;

/// What `msight status` prints with these flags.
fn status(redis: &RedisServer, flags: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msight"));
    let output =
        command.arg("status").args(flags).args(["--redis-url", &redis.url()]).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    assert!(output.status.success(), "{}", text(output.stderr));
    text(output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_in_error_is_shown_with_its_reason_beside_python_nodes() {
    let pipeline = Pipeline::around(RedisServer::start(&[])).await;
    let redis = &pipeline.redis;
    // As MSight in Python writes it, without our keys.
    let python = r#"{"name": "py", "device": "d", "publish_topic": "frames", "subscribe_topic": null, "type": "RTSPSourceNode", "last_heartbeat": 1795172267.25, "status": "ERROR"}"#;
    redis.cli(&["HSET", "MSIGHT:NODES", "py", python]);
    let url = format!("rtsp://127.0.0.1:{}/road", free_port());
    let mut command = pipeline.node("msight_launch_rtsp", "camera", "-pt frames -sn gate");
    command.env("MSIGHT_RTSP_URL", &url);
    for variable in ["USERNAME", "PASSWORD"] {
        command.env_remove(format!("MSIGHT_REDIS_MESSAGE_BROKER_{variable}"));
    }
    let mut camera = pipeline.run("camera", command);
    until("the camera is missed", async || pipeline.status("camera").as_deref() == Some("ERROR")).await;
    let readyz = camera.get("/readyz").expect("an answer");
    let (_, reason) = readyz.split_once("not ready: ").expect("a reason");
    let shown = status(redis, &[]);
    let line = format!("camera: ERROR: {}", reason.trim());
    assert!(shown.lines().any(|shown| shown == line) && line.contains(&url), "{line} is not in\n{shown}");
    assert!(!shown.contains("py: ERROR"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&status(redis, &["--json"])).expect("JSON");
    assert_eq!(json["nodes"][0]["status_reason"], reason.trim());
    assert_eq!(json["nodes"][1]["status_reason"], serde_json::Value::Null);
    camera.stop().await;
}

#[test]
fn records_of_others_cost_little_memory_and_steer_no_terminal() {
    let redis = RedisServer::start(&[]);
    let set = |key: &str, times: u32, pair: &str| {
        let script = format!("for n = 1, {times} do redis.call('HSET', KEYS[1], {pair}) end");
        assert_eq!(redis.cli(&["EVAL", &script, "1", key]), "", "{pair}");
    };
    for (key, record) in [("MSIGHT:NODES", NODE), ("MSIGHT:TOPICS", TOPIC)] {
        // Names of 64 kB in the field, long ones in the record, and one value of 100 MB.
        set(key, 50, &format!("string.rep('n', 64000) .. n, '{record}'"));
        set(key, 50, &format!("'long' .. n, (string.gsub('{record}', 'NAME', string.rep('m', 20000)))"));
        set(key, 1, "'huge', string.rep('x', 100000000)");
        // U+202E, U+009B and U+007F, in a field and in a record that is malformed and in one that is not.
        set(key, 1, "'\\226\\128\\174\\194\\155', '{\"\\226\\128\\174\\127\": 1}'");
        set(key, 1, &format!("'bidi', '{}'", record.replace("NAME", "\\226\\128\\174\\127")));
    }
    for flags in [&[][..], &["--json"]] {
        // In KiB. The threads and the heap reserve 600 MB.
        let limited = "ulimit -v 1200000 && exec \"$@\"";
        let msight = env!("CARGO_BIN_EXE_msight");
        let mut command = Command::new("sh");
        command.args(["-c", limited, "sh", msight, "status", "--redis-url", &redis.url()]).args(flags);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).expect("text");
        let steers = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202e}' | '\u{2066}'));
        assert_eq!(shown.find(steers), None, "{flags:?}");
        assert!(shown.contains("huge") && shown.contains("longer than 64 KiB"), "{flags:?}");
        if flags.is_empty() {
            let widest = shown.lines().map(|line| line.chars().count()).max().expect("lines");
            assert!(widest < 6 * 125 && shown.len() < 1 << 20, "{widest} of {}", shown.len());
        }
    }
}

const NODE: &str = r#"{"name": "NAME", "device": "d", "publish_topic": null, "subscribe_topic": null, "type": "T", "last_heartbeat": 1, "status": "NAME"}"#;
const TOPIC: &str = r#"{"name": "NAME", "description": "NAME", "data_type": "NAME"}"#;
