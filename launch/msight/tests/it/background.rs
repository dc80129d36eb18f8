//! `msight up -d`, and what is done with a graph that was left running.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use msight_test_support::blocking::until;
use tempfile::TempDir;

use crate::graph::{GRAPH, MSIGHT, frames, launcher_in, prepare, processes, stored};

/// A folder with a graph; whatever runs in it ends with it.
struct Folder(TempDir);

impl Folder {
    fn new(graph: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(folder.path(), graph);
        Self(folder)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = launcher_in(self.0.path(), MSIGHT.as_ref());
        command.args(args);
        command
    }

    /// Runs a command to its end.
    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.command(args).output().expect("it runs");
        (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
    }

    /// What `msight ps` knows of the nodes.
    fn nodes(&self) -> BTreeMap<String, serde_json::Value> {
        let (status, said) = self.run(&["ps", "--json"]);
        assert_eq!(status, Some(0), "{said}");
        let graphs: Vec<serde_json::Value> = serde_json::from_str(&said).expect("JSON");
        let nodes = graphs[0]["nodes"].as_array().expect("nodes");
        nodes.iter().map(|node| (node["node"].as_str().expect("a name").to_owned(), node.clone())).collect()
    }
}

impl Drop for Folder {
    #[expect(clippy::print_stderr, reason = "a failed test shows the log of its graph")]
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(log) = self.command(&["logs"]).output()
        {
            eprintln!("{}", String::from_utf8_lossy(&log.stdout));
        }
        for (_, pid) in processes(self.0.path()) {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    }
}

#[test]
fn a_graph_that_was_left_running_is_seen_restarted_and_stopped() {
    let folder = Folder::new(GRAPH);
    let (status, said) = folder.run(&["up", "-d"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("pusher: running") && said.contains("runs in the background"), "{said}");

    let before = folder.nodes();
    assert_eq!(before.len(), 6, "{before:?}");
    assert!(before.values().all(|node| node["state"] == "ready" && node["pid"].is_u64()), "{before:?}");
    let (status, shown) = folder.run(&["ps"]);
    assert_eq!(status, Some(0));
    assert!(shown.contains("in the background") && shown.contains("aggregator"), "{shown}");

    let (status, said) = folder.run(&["up"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("already running") && said.contains("msight down"), "{said}");

    until("segments arrive", || stored(folder.0.path()).len() >= 2);
    assert_eq!(folder.run(&["restart", "aggregator"]), (Some(0), "aggregator: running\n".to_owned()));
    let after = folder.nodes();
    for (name, node) in &before {
        assert_eq!(after[name]["pid"] == node["pid"], name != "aggregator", "{name}: {after:?}");
    }
    assert_eq!(after["aggregator"]["starts"], 2);
    let (status, said) = folder.run(&["restart", "agregator"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("no node agregator"), "{said}");

    let (status, log) = folder.run(&["logs", "aggregator"]);
    assert_eq!(status, Some(0));
    assert!(log.contains("| INFO    segment published bytes=") && !log.contains("camera |"), "{log}");
    assert_eq!(folder.run(&["logs", "-n", "3"]).1.lines().count(), 3);
    let (status, said) = folder.run(&["logs", "kamera"]);
    assert!(status == Some(1) && said.contains("did you mean camera?"), "{said}");

    let followed = folder.0.path().join("followed");
    let file = fs::File::create(&followed).expect("a file");
    let mut following = folder.command(&["logs", "-f"]).stdout(file).spawn().expect("it runs");
    let segments = stored(folder.0.path()).len();
    until("the graph goes on", || stored(folder.0.path()).len() > segments);
    assert!(following.try_wait().expect("its status").is_none());

    let (status, said) = folder.run(&["down"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("has stopped"), "{said}");
    until("all are gone", || processes(folder.0.path()).iter().all(|(_, pid)| *pid == following.id()));
    until("a client that follows the log has all of it", || {
        following.try_wait().expect("its status").is_some()
    });
    let log = folder.run(&["logs"]).1;
    assert_eq!(fs::read_to_string(&followed).expect("a file").lines().last(), log.lines().last());
    assert!(log.lines().last().is_some_and(|line| line.ends_with("| stopped")), "{log}");
    assert_eq!(
        stored(folder.0.path()).len(),
        log.matches("| INFO    segment published bytes=").count(),
        "{log}"
    );
    assert!(stored(folder.0.path()).iter().all(|video| (1..=20).contains(&frames(video))));
    assert!(!log.contains("very-secret"), "{log}");

    let (status, said) = folder.run(&["ps"]);
    assert!(status == Some(1) && said.contains("is not running"), "{said}");
    assert_eq!(folder.run(&["down"]).0, Some(0));
    // Not the graph that a name would be corrected to.
    let (status, said) = folder.run(&["down", "-p", "Gate"]);
    assert!(status == Some(1) && said.contains("invalid graph name"), "{said}");
}

#[test]
fn a_launcher_that_was_killed_takes_its_nodes_along_and_another_may_start() {
    let folder = Folder::new(GRAPH);
    assert_eq!(folder.run(&["up", "-d", "--one-process"]).0, Some(0));
    let (_, shown) = folder.run(&["ps", "--json"]);
    let graphs: Vec<serde_json::Value> = serde_json::from_str(&shown).expect("JSON");
    let launcher = graphs[0]["pid"].to_string();
    assert!(Command::new("kill").args(["-KILL", &launcher]).status().expect("kill").success());
    until("all are gone", || processes(folder.0.path()).is_empty());
    assert_eq!(folder.run(&["ps"]).0, Some(1));

    let (status, said) = folder.run(&["up", "-d"]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(folder.run(&["down"]).0, Some(0));
}

#[test]
fn what_does_not_come_up_is_said_before_the_terminal_is_left() {
    let folder = Folder::new(&GRAPH.replace("--fps", "--pfs"));
    let (status, said) = folder.run(&["up", "-d"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("did you mean --fps?") && said.contains("nothing started"), "{said}");
    assert_eq!(folder.run(&["ps"]).0, Some(1));

    // No look at the file can tell that this address (RFC 5737) is not one of this machine's.
    let elsewhere = r#"restart: "no"
    command: ["--metrics", "192.0.2.1:9100", "-n", "camera","#;
    let folder = Folder::new(&GRAPH.replace(r#"command: ["-n", "camera","#, elsewhere));
    let (status, said) = folder.run(&["up", "-d"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("camera: failed: ") && said.contains("1 of 6 failed"), "{said}");
    assert_eq!(folder.nodes()["camera"]["state"], "failed");
    assert_eq!(folder.run(&["down"]).0, Some(0));
}

#[test]
fn two_graphs_do_not_disturb_each_other() {
    let (one, other) = (Folder::new(GRAPH), Folder::new(GRAPH));
    let state = one.0.path().join("state");
    let run = |folder: &Folder, args: &[&str]| {
        let output = folder.command(args).env("XDG_STATE_HOME", &state).stderr(Stdio::inherit()).output();
        let output = output.expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for folder in [&one, &other] {
        assert_eq!(run(folder, &["up", "-d"]).0, Some(0));
    }
    let (_, all) = run(&one, &["ps", "--all"]);
    assert_eq!(all.matches("in the background").count(), 2, "{all}");

    // A copy of the first one has nodes of the same names on its Redis.
    let copy = tempfile::tempdir().expect("a folder");
    for file in ["compose.yaml", "sample.mp4"] {
        fs::copy(one.0.path().join(file), copy.path().join(file)).expect("a copy");
    }
    let copy = Folder(copy);
    let refused = copy.command(&["up", "-d"]).env("XDG_STATE_HOME", &state).output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let folder = one.0.path().display().to_string();
    for part in ["(process ", folder.as_str(), "aggregator, camera, pusher", "msight down -p "] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }

    // One that shares the first one's servers, and its topics with them.
    let shared = tempfile::tempdir().expect("a folder");
    let mut graph = fs::read_to_string(one.0.path().join("compose.yaml")).expect("a file");
    for name in ["camera", "aggregator", "pusher"] {
        graph = graph.replace(&format!(r#""-n", "{name}""#), &format!(r#""-n", "{name}-2""#));
    }
    fs::write(shared.path().join("compose.yaml"), graph).expect("a file");
    fs::copy(one.0.path().join("sample.mp4"), shared.path().join("sample.mp4")).expect("a file");
    let shared = Folder(shared);
    let (_, said) = shared.run(&["up", "-d"]);
    assert!(
        said.contains(r#"the node "camera" of another graph publishes "frames" there as well"#),
        "{said}"
    );
    // Its status says whether frames of one of the two cameras of the same sensor were left out meanwhile.
    let (_, said) = shared.run(&["down"]);
    assert!(said.contains(" has stopped"), "{said}");
    let (code, said) = run(&one, &["down"]);
    assert_eq!(code, Some(0), "{said}");
    let segments = stored(other.0.path()).len();
    until("the other goes on", || stored(other.0.path()).len() > segments + 1);
    assert_eq!(run(&other, &["ps"]).1.matches("in the background").count(), 1);
    assert_eq!(run(&other, &["down"]).0, Some(0));
}

#[test]
fn errors_of_the_stop_are_shown_by_down() {
    // An S3 server that is not there, so that segments are lost at the stop.
    let graph = GRAPH.replace("\"http://minio:9000\"]", "\"http://127.0.0.1:9\", \"--grace\", \"1\"]");
    let folder = Folder::new(&graph);
    folder.run(&["up", "-d"]);
    until("a segment waits", || {
        folder.run(&["logs", "aggregator"]).1.contains("| INFO    segment published bytes=")
    });
    let (status, said) = folder.run(&["down"]);
    assert_eq!(status, Some(1), "{said}");
    let lost = said.lines().find(|line| line.starts_with("pusher: ERROR "));
    assert!(lost.is_some_and(|line| line.contains("lost")), "{said}");
    assert!(said.contains("has stopped; ") && said.contains("while it stopped"), "{said}");
    assert!(folder.run(&["logs"]).1.lines().last().is_some_and(|line| line.contains("stopped; ")));
}

/// The files and folders below a folder, with their permissions.
fn permissions(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let about = entry.metadata().expect("its permissions");
        found.push((entry.path(), about.permissions().mode() & 0o777));
        if about.is_dir() {
            found.extend(permissions(&entry.path()));
        }
    }
    found
}

#[test]
fn files_of_a_running_graph_are_closed_to_others_whatever_the_umask() {
    let folder = Folder::new(GRAPH);
    let mut command = launcher_in(folder.0.path(), "sh".as_ref());
    let output = command.args(["-c", "umask 0; exec \"$0\" up -d", MSIGHT]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    until("lines are logged", || !folder.run(&["logs"]).1.is_empty());
    let found = permissions(&folder.0.path().join("state"));
    let names = ["lock", "about.json", "control", "log", "errors"];
    for name in names {
        assert!(found.iter().any(|(path, _)| path.ends_with(name)), "no {name}: {found:?}");
    }
    // The folder that XDG_STATE_HOME names belongs to all programs of the user.
    let of_msight =
        found.iter().filter(|(path, _)| path.components().any(|part| part.as_os_str() == "msight"));
    for (path, mode) in of_msight {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(*mode, expected, "{}: {mode:o}", path.display());
    }
    assert_eq!(folder.run(&["down"]).0, Some(0));
}
