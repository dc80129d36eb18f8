//! `msight healthy` as a container's health check runs it, on a node that waits, hangs and is gone.

use std::process::{Command, Output};

use msight_test_support::Program;

const MSIGHT: &str = env!("CARGO_BIN_EXE_msight");

fn healthy(metrics: &str, args: &[&str]) -> Output {
    Command::new(MSIGHT).arg("healthy").args(args).env("MSIGHT_METRICS", metrics).output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_node_is_healthy_while_its_process_works() {
    let mut command = Command::new(MSIGHT);
    std::os::unix::process::CommandExt::arg0(&mut command, "msight_launch_image_to_video_aggregator");
    command
        .args(
            "-n node -st frames -pt segments --buffer-size 10 --overlap-size 0 --log-format text".split(' '),
        )
        .env("MSIGHT_EDGE_DEVICE_NAME", "box")
        .env("MSIGHT_METRICS", "127.0.0.1:0")
        // Where there is no Redis: it waits.
        .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", "1");
    let mut node = Program::start("node", command);
    let metrics = node.serves_metrics().await.to_string();

    let output = healthy(&metrics, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let output = healthy("127.0.0.1:1", &[&metrics]);
    assert!(output.status.success(), "an argument goes before the variable: {}", said(&output));
    let output = healthy(&metrics, &["--ready"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).starts_with("error: ") && said(&output).contains("waiting for the bus"),
        "{}",
        said(&output)
    );

    node.signal("-STOP");
    let output = healthy(&metrics, &[]);
    assert_eq!(output.status.code(), Some(1), "a frozen one");
    assert!(said(&output).contains("no answer in time"), "{}", said(&output));

    node.signal("-KILL");
    node.ended().await;
    assert_eq!(healthy(&metrics, &[]).status.code(), Some(1), "one that is gone");
}
