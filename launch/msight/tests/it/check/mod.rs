//! `msight check` and `msight graph` as users run them.

mod drawing;
mod mistakes;
mod reports;
mod servers;
mod shipped;

use std::path::Path;
use std::process::{Command, Output};

use crate::graph::MSIGHT;

/// The tutorial's graph. Each test breaks it in its own way.
const GRAPH: &str = r#"
x-node: &node
  image: msight
  restart: unless-stopped
  network_mode: host
  environment: { MSIGHT_EDGE_DEVICE_NAME: box }
services:
  redis:
    image: redis:7
  camera:
    <<: *node
    entrypoint: ["msight_launch_rtsp"]
    command: ["-n", "camera", "-pt", "frames", "-sn", "gate", "-u", "rtsp://camera.example/live"]
  aggregator:
    <<: *node
    entrypoint: ["msight_launch_image_to_video_aggregator"]
    command: ["-n", "aggregator", "-st", "frames", "-pt", "segments", "--fps", "10", "--buffer-size", "100", "--overlap-size", "0"]
  pusher:
    <<: *node
    entrypoint: ["msight_launch_aws_video_pusher"]
    command: ["-n", "pusher", "-st", "segments", "--bucket-name", "videos"]
"#;

/// Runs `msight` in a folder with this graph.
fn msight(graph: &str, args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("compose.yaml"), graph).expect("a file");
    run(folder.path(), args)
}

fn run(folder: &Path, args: &[&str]) -> Output {
    // Without a PATH the result does not depend on the programs of this machine.
    Command::new(MSIGHT).args(args).current_dir(folder).env("PATH", "").output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn said(output: &Output) -> String {
    text(&output.stderr)
}

/// Checks the graph with `from` replaced: there is an error at the line that contains `at`, with these key words.
#[track_caller]
fn broken(from: &str, to: &str, at: &str, expected: &[&str]) {
    assert!(GRAPH.contains(from), "{from}");
    let graph = GRAPH.replacen(from, to, 1);
    let output = msight(&graph, &["check"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = graph.lines().position(|line| line.contains(at)).expect("the line") + 1;
    assert!(said.contains(&format!("compose.yaml:{line}:")), "not at line {line}:\n{said}");
    for part in expected.iter().chain(&["error: "]) {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
}

/// Checks a graph with one mistake: there is one error, with this key word.
#[track_caller]
fn reported_once(graph: &str, expected: &str) {
    let output = msight(graph, &["check"]);
    let said = said(&output);
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(said.contains(expected), "no {expected:?} in\n{said}");
}

/// A node of Python's that reads the segments as pictures, and the key of the node behind it.
const VIEWER: &str = r#"  viewer:
    <<: *node
    entrypoint: ["msight_launch_image_viewer"]
    command: ["-n", "viewer", "-st", "segments"]
  pusher:
"#;
