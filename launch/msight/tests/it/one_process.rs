//! `msight up --one-process`: a graph as tasks of one process.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use msight_bus::{QueueConfig, Topic};
use msight_proto::{Message, Sample, VideoData, decode};
use msight_test_support::blocking::until;

use crate::graph::{GRAPH, MSIGHT, Up, frames};

const ONE_PROCESS: &str = "--one-process";

/// A node that no `msight` is built with.
const METER: &str = r#"
  meter:
    <<: *node
    entrypoint: ["brightness_meter"]
    command: ["-n", "meter", "-st", "frames", "-pt", "brightness"]
"#;

/// The example, which is built with it.
fn own_launcher() -> PathBuf {
    let path = Path::new(MSIGHT).with_file_name("examples").join("own_launcher");
    assert!(path.exists(), "{} is not built; run cargo build -p msight --examples", path.display());
    path
}

/// Whether a line is of this node. Lines of nodes begin with the time.
fn is_of(node: &str, line: &str) -> bool {
    line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':' || c == ' ').starts_with(node)
}

/// How often a node has said it.
fn said(log: &str, node: &str, what: &str) -> usize {
    log.lines().filter(|line| is_of(node, line) && line.contains(what)).count()
}

/// The number behind a word that a node has said.
fn number(log: &str, node: &str, word: &str) -> u64 {
    let line = log.lines().rev().find(|line| is_of(node, line) && line.contains(word));
    let rest =
        line.and_then(|line| line.split_once(word)).unwrap_or_else(|| panic!("{node}: {word}\n{log}")).1;
    rest.trim_start()
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|text| text.parse().ok())
        .expect("a number")
}

#[test]
fn the_tutorial_runs_in_one_process_and_stops_with_its_last_segment() {
    let mut up = Up::with(GRAPH, MSIGHT.as_ref(), &[ONE_PROCESS]);
    until("segments arrive", || up.stored().len() >= 2);
    assert_eq!(said(&up.log(), "redis", "not started: no topic leaves the process"), 1, "{}", up.log());
    let processes = up.processes();
    assert!(processes.keys().all(|name| ["msight", "sh"].contains(&name.as_str())), "{processes:?}");
    let arguments =
        fs::read(format!("/proc/{}/cmdline", up.shared_process().expect("it runs"))).expect("it runs");
    assert!(!String::from_utf8_lossy(&arguments).contains("rtsp"));

    assert_eq!(up.stop(), Some(0), "{}", up.log());
    assert_eq!(up.processes(), BTreeMap::new());
    let log = up.log();
    for node in ["camera", "aggregator", "pusher"] {
        assert_eq!(said(&log, node, "stopped counts="), 1, "{node}:\n{log}");
    }
    // Each frame that the camera has given is in a segment, the last of which the stop has cut.
    let published = number(&log, "camera", "published");
    let stored: u64 = up.stored().iter().map(|video| u64::from(frames(video))).sum();
    assert_eq!(stored, published, "{log}");
    assert!(!log.contains("very-secret"), "{log}");
}

#[test]
fn a_node_that_panics_is_started_again_alone() {
    let graph =
        GRAPH.to_owned() + &METER.replace("\"brightness\"]", "\"brightness\", \"--panic-after\", \"10\"]");
    let mut up = Up::with(&graph, &own_launcher(), &[ONE_PROCESS]);
    until("it runs", || up.shared_process().is_some());
    let process = up.shared_process();
    until("it panics and comes back", || said(&up.log(), "meter", "the node panicked: it was told to") >= 2);
    let stored = up.stored().len();
    until("the graph goes on", || up.stored().len() > stored + 1);
    assert_eq!(up.shared_process(), process);
    assert_eq!(up.stop(), Some(0), "{}", up.log());
    let log = up.log();
    for node in ["camera", "aggregator", "pusher"] {
        assert_eq!(said(&log, node, "registered"), 1, "{node}:\n{log}");
    }
    let stored: u64 = up.stored().iter().map(|video| u64::from(frames(video))).sum();
    assert_eq!(stored, number(&log, "camera", "published"), "{log}");
}

#[test]
fn its_end_is_not_that_of_the_graph_and_nothing_outlives_the_launcher() {
    let mut up = Up::with(GRAPH, MSIGHT.as_ref(), &[ONE_PROCESS]);
    until("segments arrive", || !up.stored().is_empty());
    let killed = up.shared_process().expect("it runs");
    // As systemd sends to all processes of a service: the launcher has the nodes stop, in their order.
    Up::signal(killed, "-TERM");
    let stored = up.stored().len();
    until("it goes on", || up.stored().len() > stored);
    assert_eq!(up.shared_process(), Some(killed), "{}", up.log());
    Up::signal(killed, "-KILL");
    until("it is back", || up.shared_process().is_some_and(|process| process != killed));
    let stored = up.stored().len();
    until("the graph goes on", || up.stored().len() > stored + 1);
    for node in ["camera", "aggregator", "pusher"] {
        let why = "ended: signal: 9 (SIGKILL); restarting in";
        assert_eq!(said(&up.log(), node, why), 1, "{node}:\n{}", up.log());
    }

    up.process.kill().expect("it runs");
    up.process.wait().expect("its end");
    until("all are gone", || up.processes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_reach_programs_outside_of_it_over_redis() {
    let folder = tempfile::tempdir().expect("a folder");
    symlink(own_launcher(), folder.path().join("brightness_meter")).expect("a link");
    let graph = GRAPH.to_owned() + METER;
    let mut up = Up::within(folder, &graph, MSIGHT.as_ref(), &[ONE_PROCESS, "--expose", "segments"]);
    tokio::task::block_in_place(|| until("segments arrive", || !up.stored().is_empty()));
    assert_eq!(said(&up.log(), "meter", "runs as a separate process"), 1, "{}", up.log());
    assert!(up.processes().contains_key("brightness_meter"));

    let bus =
        msight_bus::connect(Some(&format!("redis://127.0.0.1:{}", up.redis))).await.expect("a Redis").bus;
    let take = async |topic: &str| {
        let topic = Topic::new(topic).expect("a topic");
        let mut messages = bus.subscribe(&topic, QueueConfig::default()).await.expect("a subscription");
        let message = tokio::time::timeout(Duration::from_secs(60), messages.recv()).await;
        message.unwrap_or_else(|_| panic!("nothing on {topic}\n{}", up.log())).expect("a message").payload
    };
    // What it makes of the frames, which it gets from the process that way, too.
    let brightness: Sample<Brightness> = decode(&take("brightness").await).expect("a message");
    assert!((1.0..255.0).contains(&brightness.body.mean), "{}", brightness.body.mean);
    let segment: Sample<VideoData> = decode(&take("segments").await).expect("a message");
    assert_eq!(segment.head.sensor_name.as_deref(), Some("gate"));
    tokio::task::block_in_place(|| assert_eq!(up.stop(), Some(0), "{}", up.log()));
    assert_eq!(up.processes(), BTreeMap::new());
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Brightness {
    mean: f64,
}
impl Message for Brightness {
    const TYPE: &'static str = "example.Brightness";
}

/// What is said of a graph that cannot run in one process.
fn refused(graph: &str, flags: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    // Ports at which nothing is.
    let graph = graph.replace("\"REDIS:", "\"1:").replace("\"RTSP:", "\"2:").replace("\"S3:", "\"3:");
    fs::write(folder.path().join("compose.yaml"), graph).expect("a file");
    let mut command = Command::new(MSIGHT);
    let output =
        command.args(["up", ONE_PROCESS]).args(flags).current_dir(folder.path()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("nothing started"), "{said}");
    said
}

#[test]
fn variables_that_differ_are_said_with_their_place() {
    let second = r#"
  second:
    <<: *node
    entrypoint: ["msight_launch_aws_video_pusher"]
    command: ["-n", "second", "-st", "segments", "--bucket-name", "others", "--prefix", "x"]
    environment:
      <<: *environment
      AWS_ACCESS_KEY_ID: user
      AWS_SECRET_ACCESS_KEY: very-secret
      AWS_REGION: eu-central-1
"#;
    let graph = GRAPH.to_owned() + second;
    let said = refused(&graph, &[]);
    let line = 1 + graph.lines().position(|line| line.contains("eu-central-1")).expect("it is there");
    assert!(said.contains(&format!("compose.yaml:{line}:")), "{said}");
    assert!(["AWS_REGION", "`pusher`", "`second`"].iter().all(|word| said.contains(word)), "{said}");
    assert!(said.contains("without --one-process") && !said.contains("very-secret"), "{said}");

    // A password is for one camera, not for all.
    let graph = GRAPH.replacen(
        "\"-g\", \"0\"]\n",
        "\"-g\", \"0\"]\n    environment: { MSIGHT_EDGE_DEVICE_NAME: box, MSIGHT_RTSP_PASSWORD: very-secret }\n  other:\n    \
         <<: *node\n    entrypoint: [\"msight_launch_rtsp\"]\n    \
         command: [\"-n\", \"other\", \"-pt\", \"frames\", \"-sn\", \"back\", \"-u\", \"rtsp://user@back/live\"]\n",
        1,
    );
    let said = refused(&graph, &[]);
    assert!(["MSIGHT_RTSP_PASSWORD", "`camera`", "`other`"].iter().all(|word| said.contains(word)), "{said}");
    assert!(!said.contains("very-secret"), "{said}");
}

#[test]
fn a_folder_of_its_own_is_said_with_its_place() {
    let graph =
        GRAPH.replacen("  pusher:\n", "  pusher:\n    volumes: [\"/srv:/srv\"]\n    working_dir: /srv\n", 1);
    let said = refused(&graph, &[]);
    assert!(said.contains("services.pusher.working_dir") && said.contains("working directory"), "{said}");
}

#[test]
fn an_unpublished_topic_cannot_be_exposed() {
    let said = refused(GRAPH, &["--expose", "segment"]);
    assert!(said.contains("did you mean segments?"), "{said}");
}
