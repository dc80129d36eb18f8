//! The program, on a memory bus.

use std::io::Write as _;
use std::process::Command;

use msight_test_support::Program;

/// Starts `msight_launch_rtsp` for this camera.
pub(crate) fn start(url: &str, flags: &[&str]) -> Program {
    Program::start("msight_launch_rtsp", command(url, flags))
}

fn command(url: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msight_launch_rtsp"));
    command
        .args(["-n", "test", "-pt", "frames", "-sn", "sensor", "--redis-url", "memory://"])
        .args(flags)
        .env("MSIGHT_RTSP_URL", url)
        .env("MSIGHT_EDGE_DEVICE_NAME", "test");
    command
}

#[tokio::test]
async fn a_log_that_is_not_read_holds_up_neither_the_node_nor_its_stop() {
    let (unread, mut full) = std::io::pipe().unwrap();
    // The capacity of a pipe on Linux (pipe(7)).
    full.write_all(&[b'.'; 1 << 16]).unwrap();
    let command = command("rtsp://127.0.0.1:1/nothing", &["--metrics", "127.0.0.1:0"]);
    let mut node = Program::start_logging_to("msight_launch_rtsp", command, full.into());
    node.serves_metrics().await;
    // More lines than the queue holds are not needed: each one waited for the pipe before.
    node.reaches("msight_source_reopened_total", 2).await;
    assert!(node.get("/healthz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    node.stop().await;
    drop(unread);
}
