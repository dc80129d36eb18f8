//! A graph with a node in Python, which does not report its readiness: it is known by its registration.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use msight_test_support::blocking::until;

use crate::graph::{GRAPH, MSIGHT, Up};

const VIEWER: &str = r#"
  viewer:
    <<: *node
    entrypoint: ["msight_launch_image_viewer"]
    command: ["-n", "viewer", "-st", "frames"]
"#;

#[test]
fn a_source_starts_when_its_reader_in_python_is_registered() {
    let (sources, _) = GRAPH.split_once("  aggregator:").expect("the graph has an aggregator");
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("msight_launch_image_viewer");
    fs::write(&script, include_str!("../data/python_viewer.py")).expect("a file");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it can be run");
    let mut up = Up::within(folder, &format!("{sources}{VIEWER}"), MSIGHT.as_ref(), &[]);
    until("frames arrive", || up.log().contains("20 messages"));
    up.stop();
    let log = up.log();
    let stopped = log.lines().find(|line| line.contains(" camera ") && line.contains("stopped counts="));
    let counts = stopped.expect("the source reports what it did");
    assert!(counts.contains("published ") && !counts.contains("published_unheard"), "{counts}");
}
