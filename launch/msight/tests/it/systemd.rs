//! The unit of `compose/`, as systemd reads it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use msight_node::notify::NotifySocket;
use msight_test_support::blocking::until;
use msight_test_support::{DEADLINE, can_run, is_installed};
use tokio::time::timeout;

use crate::graph::{GRAPH, Up};

/// The exposure that `systemd-analyze security` counts, from 0 to 10, which sandboxing keeps below this.
const MOST_EXPOSURE: f32 = 1.5;

/// The variable of a process's environment.
fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    environment.split('\0').find_map(|one| one.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn up_reports_to_its_supervisor_and_keeps_its_nodes_from_that() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = NotifySocket::bind(folder.path()).expect("a socket");
    let path = socket.path().to_str().expect("a path").to_owned();
    let supervisor = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "2000000")];
    // In one process, the topics need no Redis.
    for (flags, jobs) in [(&[][..], 6), (&["--one-process"][..], 5)] {
        let mut up = Up::with_variables(GRAPH, flags, supervisor);
        let next = async || socket.recv().await.expect("a report");
        let mut seen_alive = false;
        let ready = loop {
            let report = timeout(DEADLINE, next()).await.expect("reports come");
            seen_alive |= report.alive;
            if report.ready {
                break report;
            }
        };
        assert!(seen_alive, "signs of life come before the graph is ready");
        let status = ready.status.expect("a status");
        assert!(status.contains(&format!("{jobs} of {jobs}")), "{status}");
        let nodes: Vec<u32> = up.processes().into_values().collect();
        assert!(!nodes.is_empty());
        for pid in nodes {
            assert_ne!(variable(pid, "NOTIFY_SOCKET").as_ref(), Some(&path), "process {pid}");
        }
        Up::signal(up.process.id(), "-TERM");
        while !timeout(DEADLINE, next()).await.expect("reports come").stopping {}
        until("it stops", || up.process.try_wait().expect("its status").is_some());
        // What has been reported after that is not for the next graph.
        while let Ok(Ok(_)) = timeout(Duration::from_millis(50), socket.recv()).await {}
    }
}

#[test]
fn systemd_takes_the_unit_without_a_word() {
    if !can_run(is_installed("systemd-analyze", &["--version"]), "systemd-analyze (apt-get install systemd)")
    {
        return;
    }
    let analyze = || Command::new("systemd-analyze");
    let unit =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose/msight@.service"));
    let unit = unit.expect("the unit");
    // What is started has to be there.
    let installed = "ExecStart=/usr/local/bin/msight ";
    assert!(unit.contains(installed));
    let unit = unit.replace(installed, &format!("ExecStart={} ", env!("CARGO_BIN_EXE_msight")));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("msight@gate.service");
    fs::write(&file, &unit).expect("a file");

    let output = analyze().arg("verify").arg(&file).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    // Units of the machine are looked at as well.
    assert!(output.status.success() && !said.contains("msight@gate"), "{said}");
    let output = analyze().args(["security", "--offline=true", "--no-pager"]).arg(&file).output();
    let output = output.expect("it runs");
    let table = String::from_utf8_lossy(&output.stdout);
    let exposure = table.split_once("exposure level").and_then(|(_, rest)| rest.split(": ").nth(1));
    let exposure: Option<f32> = exposure.and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(exposure.is_some_and(|exposure| exposure <= MOST_EXPOSURE), "{exposure:?}\n{table}");

    // A word that systemd does not know would be passed over, and what it should do not be done.
    fs::write(&file, unit.replace("NoNewPrivileges=", "NoNewPrivilegs=")).expect("a file");
    let output = analyze().arg("verify").arg(&file).output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("NoNewPrivilegs"));
}
