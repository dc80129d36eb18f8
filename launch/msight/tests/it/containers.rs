//! `compose/local.yml` as it stands, on a real Docker engine: the nodes in the image of `compose/Dockerfile`, whose runtime
//! stage is built of the program under test.
//!
//! It needs root, an engine, and the images that `.ci/engine` makes without a registry, and it takes the tag `msight-rs`:
//! so it runs where `MSIGHT_DOCKER_TESTS` is set, and is reported as left out elsewhere. `DOCKER` is a client with
//! BuildKit that is not the one on the PATH.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use msight_test_support::blocking::until;
use msight_test_support::can_run;
use serde_json::Value;

use crate::pipeline::{frames_and_seconds, plays, sidecar};

const NODES: [&str; 3] = ["rtsp", "aggregator", "pusher"];
const SERVICES: [&str; 6] = ["redis", "camera", "s3", "rtsp", "aggregator", "pusher"];

fn compose_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// The output of a command that succeeds.
fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn docker(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("DOCKER").unwrap_or_else(|| "docker".into()));
    command.args(args).env("DOCKER_BUILDKIT", "1");
    command
}

/// The graph on the engine. It is removed when this is dropped; should the test fail, its logs are shown.
struct Graph {
    project: String,
}

impl Graph {
    fn start() -> Self {
        let graph = Self { project: format!("msight-test-{}", std::process::id()) };
        graph.compose(&["up", "-d"]);
        graph
    }

    fn compose_command(&self, args: &[&str]) -> Command {
        let is_plugin = docker(&["compose", "version"]).output().is_ok_and(|output| output.status.success());
        let mut command = match is_plugin {
            true => docker(&["compose"]),
            false => Command::new("docker-compose"),
        };
        command.args(["-p", &self.project, "-f"]).arg(compose_folder().join("local.yml")).args(args);
        command
    }

    fn compose(&self, args: &[&str]) -> String {
        done(&mut self.compose_command(args))
    }

    /// The id of a service's container.
    fn container(&self, service: &str) -> String {
        let label = |name: &str, value: &str| format!("label=com.docker.compose.{name}={value}");
        let filters = [label("project", &self.project), label("service", service)];
        let id = done(&mut docker(&["ps", "-aq", "--filter", &filters[0], "--filter", &filters[1]]));
        assert!(!id.is_empty() && !id.contains('\n'), "{service}: {id:?}");
        id
    }

    fn inspect(&self, service: &str) -> Value {
        let json = done(&mut docker(&["inspect", &self.container(service)]));
        serde_json::from_str::<Value>(&json).expect("JSON")[0].take()
    }

    fn exec(&self, service: &str, words: &[&str]) -> Output {
        docker(&[&["exec", &self.container(service)], words].concat()).output().expect("docker")
    }

    fn is_healthy(&self, service: &str) -> bool {
        self.inspect(service)["State"]["Health"]["Status"] == "healthy"
    }

    /// How many segments are in the bucket, each with its sidecar, which comes second.
    fn stored(&self) -> usize {
        let found = self.exec("s3", &["find", "/data/videos", "-name", "*.json"]);
        text(&found.stdout).lines().count()
    }

    /// The lines of a node's log with this message.
    fn said(&self, service: &str, message: &str) -> Vec<Value> {
        let output = docker(&["logs", &self.container(service)]).output().expect("docker");
        let log = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == message).collect()
    }
}

impl Drop for Graph {
    #[expect(clippy::print_stderr, reason = "a test that fails shows what its containers said")]
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(output) = self.compose_command(&["logs", "--no-color", "--tail=50"]).output()
        {
            eprintln!("{}\n{}", text(&output.stdout), text(&output.stderr));
        }
        let _ = self.compose_command(&["down", "-v", "-t", "1"]).output();
    }
}

/// The image of `compose/Dockerfile`, without its compiler stage: around the program under test.
fn build_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let programs = folder.path().join("programs");
    fs::create_dir(&programs).expect("a folder");
    let msight = programs.join("msight");
    fs::copy(env!("CARGO_BIN_EXE_msight"), &msight).expect("the program");
    done(Command::new(msight).arg("links").arg(&programs));
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY programs /programs\n").expect("a file");
    done(docker(&["build", "-q", "-t", "msight-test-binary"]).arg(folder.path()));
    let build = ["build", "-q", "-t", "msight-rs", "--build-arg", "BINARY=msight-test-binary"];
    let dockerfile = compose_folder().join("Dockerfile");
    done(docker(&build).arg("-f").arg(dockerfile).arg(compose_folder().join("..")));
}

#[test]
fn the_graph_runs_in_containers_survives_a_kill_and_stops_with_its_last_segment() {
    let is_wanted = std::env::var_os("MSIGHT_DOCKER_TESTS").is_some();
    if !can_run(is_wanted, "a Docker engine, and MSIGHT_DOCKER_TESTS=1 (see .ci/engine)") {
        return;
    }
    build_image();
    let graph = Graph::start();
    for service in SERVICES {
        is_confined(&graph, service);
    }
    until("the nodes are healthy", || NODES.iter().all(|node| graph.is_healthy(node)));
    until("a segment arrives", || graph.stored() >= 1);
    for node in NODES {
        let output = graph.exec(node, &["msight", "healthy", "--ready"]);
        assert!(output.status.success(), "{node}: {}", text(&output.stderr));
    }

    // Not by `docker kill`, which the engine takes for a stop that was asked for.
    let pid = graph.inspect("aggregator")["State"]["Pid"].to_string();
    done(Command::new("kill").args(["-KILL", &pid]));
    until("it is started again", || graph.inspect("aggregator")["RestartCount"] == 1);
    until("it is healthy again", || graph.is_healthy("aggregator"));
    let stored = graph.stored();
    until("the graph goes on", || graph.stored() > stored);

    graph.compose(&["stop"]);
    for service in SERVICES {
        let state = &graph.inspect(service)["State"];
        // One that was ended by force, after the 10 s that docker waits, has 137.
        assert_eq!((&state["Status"], &state["ExitCode"]), (&"exited".into(), &0.into()), "{service}");
    }
    for node in NODES {
        assert_eq!(
            graph.said(node, "stopped").len(),
            1,
            "{node} says so at its stop, and not when it is killed"
        );
    }
    the_bucket_has_all(&graph);
}

/// What a container may not do: seen from inside, where it counts.
fn is_confined(graph: &Graph, service: &str) {
    let status = text(&graph.exec(service, &["cat", "/proc/1/status"]).stdout);
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().unwrap_or_default().to_owned()
    };
    let user = if service == "redis" { "999" } else { "10001" };
    assert_eq!(value("Uid:"), user, "{service}\n{status}");
    assert_eq!(value("CapEff:"), "0000000000000000", "{service}");
    assert_eq!(value("NoNewPrivs:"), "1", "{service}");
    let written = graph.exec(service, &["touch", "/tmp/probe"]);
    assert!(text(&written.stderr).contains("Read-only file system"), "{service}: {}", text(&written.stderr));
}

/// Every segment that the aggregator has published, the last one cut by the stop, and each decodes.
fn the_bucket_has_all(graph: &Graph) {
    let folder = tempfile::tempdir().expect("a folder");
    let bucket = folder.path().join("data");
    let from = format!("{}:/data", graph.container("s3"));
    done(docker(&["cp", &from]).arg(&bucket));
    let found = done(Command::new("find").arg(&bucket).args(["-name", "*.mp4"]));
    let published = graph.said("aggregator", "segment published");
    // The one that was killed may have published one more than it could say.
    let unsaid = found.lines().count().checked_sub(published.len());
    assert!(unsaid.is_some_and(|unsaid| unsaid <= 1), "{found}\n{published:?}");
    let last = published.last().expect("a segment");
    assert!(last["fields"]["reason"] == "stop" || last["fields"]["frames"] == 100, "{last}");
    for video in found.lines().map(Path::new) {
        plays(video);
        let (frames, _) = frames_and_seconds(video, (1280, 720));
        assert!((1..=100).contains(&frames), "{}: {frames} frames", video.display());
        let times = sidecar(video)["capture_timestamps"].as_array().map(Vec::len);
        assert_eq!(times, Some(frames as usize), "{}", video.display());
    }
}
