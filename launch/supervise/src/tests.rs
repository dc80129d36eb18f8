//! The supervisor with real processes: shells that run short scripts.

use std::fs;
use std::path::Path;
use std::time::Duration;

use msight_test_support::until;
use rustix::process::{Pid, Signal, test_kill_process};
use tempfile::TempDir;

use super::*;
use msight_compose::{Condition, Restart};

fn job(name: &str, script: &str, folder: &Path) -> Job {
    let args = vec!["-c".to_owned(), script.to_owned()];
    Job { folder: folder.to_owned(), ..Job::new(name, "/bin/sh", args) }
}

fn after(job: &str, condition: Condition) -> JobDependency {
    JobDependency { job: job.to_owned(), condition, required: true, patience: None }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn text(folder: &TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap_or_default()
}

fn phase(supervisor: &Supervisor, name: &str) -> Phase {
    supervisor.states().of(name).expect("a job").phase
}

/// Each job is ready, or over.
async fn settled(supervisor: &Supervisor) {
    let is_settled = |state: State| state.phase == Phase::Ready || state.is_over();
    until("all are ready or over", async || supervisor.states().iter().all(|(_, state)| is_settled(state)))
        .await;
}

fn lives(pid: u32) -> bool {
    Pid::from_raw(pid.cast_signed()).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Appends a word to the file `log` of the folder.
fn says(word: &str) -> String {
    format!("echo {word} >> log")
}

const FOR_EVER: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";

#[tokio::test]
async fn jobs_start_one_after_the_other_and_stop_by_rank() {
    let folder = folder();
    let long = |name: &str, rank| {
        let script = format!(
            "{}; trap '{}; exit 0' TERM; while :; do sleep 0.02; done",
            says(name),
            says(&format!("{name}-stops"))
        );
        Job { rank, ..job(name, &script, folder.path()) }
    };
    let mut first = long("bucket", 2);
    first.readiness = Readiness::Test(Test {
        command: vec!["test".into(), "-e".into(), "open".into()],
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(5),
        retries: 3,
        start_period: Duration::ZERO,
    });
    let second = Job { after: vec![after("bucket", Condition::Healthy)], ..long("aggregator", 1) };
    let mut third = Job { after: vec![after("aggregator", Condition::Started)], ..long("camera", 0) };
    // A job counts as started before its shell has written a word.
    let script = third.args.last_mut().expect("a script");
    script.insert_str(0, "until grep -q aggregator log; do sleep 0.01; done; ");
    let (supervisor, _lines) = Supervisor::start(vec![third, second, first]).expect("they start");
    until("the bucket is tested", async || text(&folder, "log") == "bucket\n").await;
    assert_eq!(phase(&supervisor, "aggregator"), Phase::Waiting("bucket".into()));
    fs::write(folder.path().join("open"), "").unwrap();
    settled(&supervisor).await;
    until("all run", async || text(&folder, "log").lines().count() == 3).await;
    let began = |name| supervisor.states().of(name).expect("a job").since;
    assert!(began("aggregator") <= began("camera"));
    supervisor.stop().await;
    let log = "bucket\naggregator\ncamera\ncamera-stops\naggregator-stops\nbucket-stops\n";
    assert_eq!(text(&folder, "log"), log);
}

#[tokio::test]
async fn a_job_that_cannot_start_tells_why_and_jobs_that_depend_on_it_are_left_out() {
    let folder = folder();
    let broken = r#"echo '{"level":"ERROR","message":"no such camera"}' >&2; echo bye; exit 2"#;
    let broken =
        Job { readiness: Readiness::Node, restart: Restart::Always, ..job("camera", broken, folder.path()) };
    let first =
        Job { after: vec![after("camera", Condition::Healthy)], ..job("recorder", FOR_EVER, folder.path()) };
    let missing = Job { program: "/no/such/program".into(), ..job("missing", "", folder.path()) };
    let (supervisor, mut lines) = Supervisor::start(vec![broken, first, missing]).expect("they start");
    settled(&supervisor).await;
    let Phase::Failed(why) = phase(&supervisor, "camera") else { panic!("{}", phase(&supervisor, "camera")) };
    assert_eq!(why, "exit status: 2: no such camera");
    let Phase::LeftOut(why) = phase(&supervisor, "recorder") else {
        panic!("{}", phase(&supervisor, "recorder"))
    };
    assert!(why.contains("camera") && why.contains("no such camera"), "{why}");
    assert!(matches!(phase(&supervisor, "missing"), Phase::Failed(why) if why.contains("/no/such/program")));
    supervisor.stop().await;
    let mut said = Vec::new();
    while let Some(line) = lines.try_recv() {
        said.push(format!("{}: {}", line.job, line.text));
    }
    assert!(said.contains(&"camera: failed: exit status: 2: no such camera".to_owned()), "{said:?}");
}

#[tokio::test]
async fn what_never_becomes_ready_is_not_waited_for_for_ever() {
    let folder = folder();
    let never = job("viewer", "exit 1", folder.path());
    let never = Job { restart: Restart::Always, readiness: Readiness::Node, ..never };
    let patience = Some(Duration::from_millis(100));
    let wanted = JobDependency { required: false, patience, ..after("viewer", Condition::Healthy) };
    let camera = Job { after: vec![wanted], ..job("camera", FOR_EVER, folder.path()) };
    let (supervisor, mut lines) = Supervisor::start(vec![never, camera]).expect("they start");
    until("the camera runs all the same", async || phase(&supervisor, "camera") == Phase::Ready).await;
    supervisor.stop().await;
    let mut said = Vec::new();
    while let Some(line) = lines.try_recv() {
        said.push(line.text);
    }
    assert!(said.iter().any(|text| text == "starting without viewer, which is not ready"), "{said:?}");
}

#[tokio::test]
async fn what_ends_is_started_again_as_its_policy_says() {
    let folder = folder();
    let twice = format!("{}; exit 1", says("twice"));
    let twice = Job { restart: Restart::OnFailure(Some(1)), ..job("twice", &twice, folder.path()) };
    let often = Job { restart: Restart::Always, ..job("often", &says("often"), folder.path()) };
    let once = job("once", &says("once"), folder.path());
    let (supervisor, _lines) = Supervisor::start(vec![twice, often, once]).expect("they start");
    let count = |word: &str| text(&folder, "log").lines().filter(|line| *line == word).count();
    until("it has started often", async || count("often") >= 3 && count("twice") == 2).await;
    until("the policy ends", async || matches!(phase(&supervisor, "twice"), Phase::Failed(_))).await;
    assert_eq!((count("once"), phase(&supervisor, "once")), (1, Phase::Ended));

    let restarted = supervisor.restart("once").expect("it was started").await;
    assert!(restarted.is_settled() && restarted.starts == 2, "{restarted:?}");
    until("it runs once more", async || count("once") == 2).await;
    assert!(supervisor.restart("missing").is_err());
    supervisor.stop().await;
}

#[tokio::test]
async fn a_killed_job_is_back_and_the_others_run_on() {
    let folder = folder();
    let kept = Job { restart: Restart::UnlessStopped, ..job("kept", FOR_EVER, folder.path()) };
    let other = job("other", FOR_EVER, folder.path());
    let (supervisor, _lines) = Supervisor::start(vec![kept, other]).expect("they start");
    settled(&supervisor).await;
    let pid = |supervisor: &Supervisor, at: usize| supervisor.states().iter().nth(at).expect("a job").1.pid;
    let (killed, other) = (pid(&supervisor, 0).expect("it runs"), pid(&supervisor, 1));
    rustix::process::kill_process(Pid::from_raw(killed.cast_signed()).unwrap(), Signal::KILL).unwrap();
    until("it is back", async || pid(&supervisor, 0).is_some_and(|pid| pid != killed)).await;
    assert_eq!(pid(&supervisor, 1), other);
    supervisor.stop().await;
}

#[tokio::test]
async fn nothing_is_left_of_a_job_that_does_not_stop_or_of_its_children() {
    let folder = folder();
    let deaf = "trap '' TERM; sleep 600 & echo $! > child; while :; do sleep 0.05; done";
    let deaf = Job { stop_grace: Duration::from_millis(100), ..job("deaf", deaf, folder.path()) };
    let (supervisor, mut lines) = Supervisor::start(vec![deaf]).expect("it starts");
    settled(&supervisor).await;
    until("its child runs", async || text(&folder, "child").ends_with('\n')).await;
    let child = text(&folder, "child").trim().parse().expect("a process");
    assert!(lives(child));
    supervisor.stop().await;
    assert!(lines.recv().await.expect("a line").text.starts_with("killed"));
    until("its child is gone", async || !lives(child)).await;
}

/// A job in a shared process, which is a shell that does `script` for each line after the first.
fn node_in_process(script: &str, folder: &Path) -> Job {
    let script = format!("read -r setup; while read -r order; do case $order in {script} esac; done");
    let process = SharedProcess::new(
        "/bin/sh".into(),
        vec!["-c".into(), script],
        BTreeMap::new(),
        folder.into(),
        wire::Setup::default(),
    );
    let node = InProcessNode {
        process: process.into(),
        entry: "node".into(),
        node: "camera_node".into(),
        variables: BTreeMap::new(),
    };
    Job { in_process: Some(node), restart: Restart::Always, ..job("camera", "", folder) }
}

#[tokio::test]
async fn a_node_of_a_process_that_does_not_stop_is_aborted_and_its_lines_are_its_own() {
    let folder = folder();
    let script = r#"*start*) echo '{"level":"INFO","message":"hello","node":"camera_node"}' >&2; echo loose >&2;;
        *abort*) echo aborted > aborted; echo '{"ended":1,"failure":null,"is_final":false}' >&2;;"#;
    let deaf = Job { stop_grace: Duration::from_millis(50), ..node_in_process(script, folder.path()) };
    let (supervisor, mut lines) = Supervisor::start(vec![deaf]).expect("it starts");
    settled(&supervisor).await;
    let mut said = Vec::new();
    while said.len() < 2 {
        let line = lines.recv().await.expect("a line");
        said.push(format!("{}: {}", line.job, line.text));
    }
    assert_eq!(said, ["camera: hello", "one process: loose"]);
    supervisor.stop().await;
    let aborted = lines.recv().await.expect("a line");
    assert!(aborted.level.as_deref() == Some("ERROR") && aborted.text.contains("abort"), "{}", aborted.text);
    assert_eq!(text(&folder, "aborted"), "aborted\n");
}

#[tokio::test]
async fn a_node_that_can_never_run_is_not_restarted_and_one_whose_process_ends_is() {
    let folder = folder();
    let refused = r#"*start*) echo '{"ended":1,"failure":"no such flag","is_final":true}' >&2;;"#;
    let (mut supervisor, _lines) =
        Supervisor::start(vec![node_in_process(refused, folder.path())]).expect("it starts");
    supervisor.ended().await;
    assert_eq!(phase(&supervisor, "camera"), Phase::Failed("no such flag".into()));
    supervisor.stop().await;

    let ends = format!("*start*) {}; echo away >&2; exit 3;;", says("start"));
    let (supervisor, mut lines) =
        Supervisor::start(vec![node_in_process(&ends, folder.path())]).expect("it starts");
    until("it is started again", async || text(&folder, "log").lines().count() >= 3).await;
    let mut notes = Vec::new();
    while let Some(line) = lines.try_recv() {
        notes.push(line.text);
    }
    assert!(notes.iter().any(|note| note.contains("exit status: 3: away")), "{notes:?}");
    supervisor.stop().await;
}

#[test]
fn an_order_that_cannot_be_is_refused() {
    let folder = folder();
    let of = |name: &str, other: &str| Job {
        after: vec![after(other, Condition::Started)],
        ..job(name, "", folder.path())
    };
    let refused = |jobs: Vec<Job>| check_order(&jobs).expect_err("it cannot be").to_string();
    assert!(refused(vec![of("a", "b"), of("b", "a")]).contains("a, b"));
    assert!(refused(vec![of("a", "missing")]).contains("missing"));
    check_order(&[of("a", "b"), job("b", "", folder.path())]).expect("b, then a");
}
