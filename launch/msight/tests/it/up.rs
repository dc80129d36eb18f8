//! `msight up`: a graph as processes.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use msight_test_support::blocking::until;

use crate::graph::{GRAPH, MSIGHT, Up, frames, launcher_in, make_video};

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

#[test]
fn a_password_in_the_cameras_url_is_on_no_command_line() {
    let graph = GRAPH.replace(
        "rtsp://rtsp-server:8554/live.stream\", \"-g",
        "rtsp://me:open-sesame@rtsp-server:8554/live.stream\", \"-g",
    );
    assert_ne!(graph, GRAPH);
    let mut up = Up::with(&graph, MSIGHT.as_ref(), &[]);
    until("a segment is stored with the URL", || !up.stored().is_empty());
    let of_process = |pid: u32, file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).expect("it runs");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let processes = up.processes();
    assert!(processes.contains_key("msight_launch_rtsp"), "{processes:?}");
    for (name, pid) in &processes {
        let line = of_process(*pid, "cmdline");
        assert!(!line.contains("open-sesame"), "{name}: {line}");
    }
    assert!(of_process(processes["msight_launch_rtsp"], "environ").contains("open-sesame"));
    assert_eq!(up.stop(), Some(0), "{}", up.log());
    assert!(!up.log().contains("open-sesame"), "{}", up.log());
}

/// A line of `msight up` without its time, `10:43:33 `; `None` if it has none.
fn without_time(line: &str) -> Option<&str> {
    let (time, rest) = line.split_at_checked(9)?;
    let is_time = time.bytes().enumerate().all(|(at, byte)| match at {
        2 | 5 => byte == b':',
        8 => byte == b' ',
        _ => byte.is_ascii_digit(),
    });
    is_time.then_some(rest)
}

#[test]
fn servers_that_are_used_are_named_and_lines_have_times() {
    let first = Up::start();
    until("the camera and the store answer", || first.stored().len() == 1);

    // The same graph in another folder, with the servers of the first one.
    let second = tempfile::tempdir().expect("a folder");
    for file in ["compose.yaml", "sample.mp4"] {
        fs::copy(first.folder.path().join(file), second.path().join(file)).expect("a copy");
    }
    let mut second = Up::in_prepared(second, &[]);
    until("it has begun", || second.log().contains(" | "));
    let log = second.log();
    for (service, server) in [("redis", "Redis "), ("rtsp-server", "RTSP server"), ("minio", "S3 server")] {
        let line = log.lines().find(|line| line.starts_with(&format!("{service}: using the {server}")));
        let line = line.unwrap_or_else(|| panic!("{service} is not named:\n{log}"));
        assert!(line.contains(" at 127.0.0.1:") && line.contains("which msight did not start"), "{line}");
    }
    second.stop();
    // Lines of nodes and of the launcher, but not those before the start.
    let log = second.log();
    let of_nodes: Vec<&str> = log.lines().filter(|line| line.contains(" | ")).collect();
    assert!(!of_nodes.is_empty() && of_nodes.iter().all(|line| without_time(line).is_some()), "{log}");
    assert!(log.lines().filter_map(without_time).any(|line| line.starts_with("stopping")), "{log}");
}

#[test]
fn a_camera_of_another_picture_is_refused() {
    let first = Up::start();
    until("the camera answers", || first.stored().len() == 1);
    let second = tempfile::tempdir().expect("a folder");
    fs::copy(first.folder.path().join("compose.yaml"), second.path().join("compose.yaml")).expect("a copy");
    make_video(second.path(), "640x360");
    let output = launcher_in(second.path(), MSIGHT.as_ref()).arg("up").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in
        ["compose.yaml:", "320x180", "640x360", "/live.stream", "publish another port", "nothing started"]
    {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
}
