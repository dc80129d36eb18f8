//! `msight up`: a graph as processes.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use msight_test_support::blocking::until;

use crate::graph::{GRAPH, MSIGHT, Up, frames};

#[test]
fn a_graph_runs_survives_a_killed_node_and_stops_with_its_last_segment() {
    let mut up = Up::start();
    until("segments arrive", || up.stored().len() >= 2);
    assert!(up.log().contains("video-source: not started: "), "{}", up.log());

    let killed = up.processes()["msight_launch_image_to_video_aggregator"];
    Up::signal(killed, "-KILL");
    until("it is back", || {
        up.processes().get("msight_launch_image_to_video_aggregator").is_some_and(|pid| *pid != killed)
    });
    let stored = up.stored().len();
    until("the graph goes on", || up.stored().len() > stored + 1);

    assert_eq!(up.stop(), Some(0), "{}", up.log());
    assert_eq!(up.processes(), BTreeMap::new());
    let log = up.log();
    for node in ["camera", "aggregator", "pusher"] {
        let stopped = log
            .lines()
            .filter(|line| line.contains(&format!(" {node} ")) && line.contains("stopped counts="));
        assert_eq!(stopped.count(), 1, "{node}:\n{log}");
    }
    // The last one was cut by the stop, and is in the bucket all the same.
    let last = log.lines().rev().find(|line| line.contains("segment published bytes=")).expect("a segment");
    assert!(last.contains("reason=\"stop\"") || last.contains("frames=20"), "{last}");
    let published = log.matches("| INFO    segment published bytes=").count();
    assert_eq!(up.stored().len(), published, "{log}");
    assert!(up.stored().iter().all(|video| (1..=20).contains(&frames(video))));
    assert!(!log.contains("very-secret"), "{log}");
}

#[test]
fn nothing_outlives_it() {
    let mut up = Up::start();
    until("all run", || {
        let running = up.processes();
        ["msight_launch_rtsp", "msight_launch_aws_video_pusher", "redis-server"]
            .iter()
            .all(|name| running.keys().any(|running| running.starts_with(name)))
    });
    up.process.kill().expect("it runs");
    up.process.wait().expect("its end");
    until("all are gone", || up.processes().is_empty());
}

#[test]
fn what_is_wrong_is_said_and_nothing_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("compose.yaml"), GRAPH.replace("--fps", "--pfs")).expect("a file");
    let output = Command::new(MSIGHT).arg("up").current_dir(folder.path()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("did you mean --fps?") && said.contains("nothing started"), "{said}");
}
