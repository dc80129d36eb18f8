//! `msight up -d`: runs the graph in a background process that survives its terminal.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use msight_node::stop_on_signals;
use rustix::process::{Pid, Signal, kill_process};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::cmd::print_err;
use crate::running::{Answer, JobStatus, Kind, Request, RunningGraph, private};
use msight_graph::machine::own_program;

/// The interval of status requests.
const ASK: Duration = Duration::from_millis(200);

/// How long to wait for the nodes: longer than writers wait for readers.
const PATIENCE: Duration = Duration::from_secs(45);

/// Starts the graph in the background, and returns when its nodes are ready or the time is over.
///
/// # Errors
/// This program cannot start itself.
pub(super) async fn start() -> Result<ExitCode> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let mut child = Command::new(own_program()?)
        .args(["up", "--in-background"])
        .args(std::env::args_os().skip(2))
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start msight in the background")?;
    let followed = tokio::select! {
        followed = follow(&mut child) => followed?,
        () = stop.cancelled() => None,
    };
    if stop.is_cancelled()
        && let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()))
    {
        let _ = kill_process(pid, Signal::TERM);
    }
    match followed {
        Some(outcome) => Ok(outcome),
        None => {
            let status = child.wait().await.context("cannot wait for the background process")?;
            if status.success() && !stop.is_cancelled() {
                print_err(format_args!("the graph has ended; see `msight logs` for the reason\n"));
            }
            Ok(status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .map_or(ExitCode::FAILURE, ExitCode::from))
        }
    }
}

/// Prints the states of the nodes as they become ready; `None` if the graph ends.
async fn follow(child: &mut Child) -> Result<Option<ExitCode>> {
    let stdout = child.stdout.take().context("the background process has no output")?;
    let Some(name) = BufReader::new(stdout).lines().next_line().await? else { return Ok(None) };
    let begun = Instant::now();
    let mut said: HashMap<String, String> = HashMap::new();
    loop {
        let Some(running) = RunningGraph::of(&name).await else { return Ok(None) };
        let Ok(Answer::States(statuses)) = running.ask(&Request::States).await else { return Ok(None) };
        for one in &statuses {
            // Nodes that still wait or start are printed only after the time-out.
            let is_news = said.get(&one.node) != Some(&one.text);
            if is_news && (is_settled(one) || one.state == Kind::Resting) {
                print_err(format_args!("{}: {}\n", one.node, one.text));
                said.insert(one.node.clone(), one.text.clone());
            }
        }
        if statuses.iter().all(is_settled) {
            return Ok(Some(verdict(&running, &statuses)));
        }
        if begun.elapsed() > PATIENCE {
            for one in statuses.iter().filter(|one| !is_settled(one)) {
                print_err(format_args!("{}: {}\n", one.node, one.text));
            }
            return Ok(Some(verdict(&running, &statuses)));
        }
        tokio::time::sleep(ASK).await;
    }
}

/// Whether the node is ready, or has ended.
fn is_settled(one: &JobStatus) -> bool {
    matches!(one.state, Kind::Ready | Kind::Unready | Kind::Ended) || one.state.is_failure()
}

fn verdict(running: &RunningGraph, statuses: &[JobStatus]) -> ExitCode {
    let about = &running.about;
    let failed = statuses.iter().filter(|one| one.state.is_failure()).count();
    let pending = statuses.iter().filter(|one| !is_settled(one)).count();
    let how = match (failed, pending) {
        (0, 0) => String::new(),
        (0, _) => format!("; {pending} of {} not ready yet", statuses.len()),
        _ => format!("; {failed} of {} failed", statuses.len()),
    };
    print_err(format_args!(
        "graph {} runs in the background (process {}){how}; manage it with msight ps, logs, restart, down\n",
        about.name, about.pid
    ));
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Detaches this process from its terminal, so that neither Ctrl-C nor closing the terminal ends it.
///
/// # Errors
/// This process is a process group leader.
pub(super) fn leave_terminal() -> Result<()> {
    rustix::process::setsid().context("cannot leave the terminal")?;
    Ok(())
}

/// Prints the graph's name for the parent process and closes standard output. Standard error goes to a file from now
/// on.
///
/// # Errors
/// The file cannot be written.
pub(super) fn leave_output(name: &str, errors: &Path) -> Result<()> {
    let errors = private(errors, File::options().write(true).truncate(true))
        .with_context(|| format!("cannot write {}", errors.display()))?;
    let mut out = std::io::stdout().lock();
    // The parent process may have exited.
    let _ = writeln!(out, "{name}").and_then(|()| out.flush());
    let nothing =
        File::options().read(true).write(true).open("/dev/null").context("cannot open /dev/null")?;
    dup2_stdin(&nothing).and_then(|()| dup2_stdout(&nothing)).and_then(|()| dup2_stderr(&errors))?;
    Ok(())
}
