//! `msight up -d`: the graph in a process of its own, which no terminal ends.

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

use crate::cmd::say_aside;
use crate::running::{Answer, Ask, Kind, Running, Standing};
use msight_graph::machine::own_program;

/// How often it is asked how far it is.
const ASK: Duration = Duration::from_millis(200);

/// How long nodes are waited for: longer than readers are by their writers (see `msight_graph::machine`).
const PATIENCE: Duration = Duration::from_secs(45);

/// Starts the graph in the background, and returns when its nodes are ready, or are not to become so soon.
///
/// # Errors
/// This program cannot be started again.
pub(super) async fn start() -> Result<ExitCode> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let mut child = Command::new(own_program()?)
        .args(["up", "--in-background"])
        .args(std::env::args_os().skip(2))
        .stdout(Stdio::piped())
        .spawn()
        .context("this program cannot be started again")?;
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
            let status = child.wait().await.context("it cannot be waited for")?;
            if status.success() && !stop.is_cancelled() {
                say_aside(format_args!("it has ended already: msight logs says why\n"));
            }
            Ok(status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .map_or(ExitCode::FAILURE, ExitCode::from))
        }
    }
}

/// Tells how the nodes come up; none if the graph ends.
async fn follow(child: &mut Child) -> Result<Option<ExitCode>> {
    let stdout = child.stdout.take().context("it has no output")?;
    let Some(name) = BufReader::new(stdout).lines().next_line().await? else { return Ok(None) };
    let begun = Instant::now();
    let mut said: HashMap<String, String> = HashMap::new();
    loop {
        let Some(running) = Running::of(&name).await else { return Ok(None) };
        let Ok(Answer::States(standings)) = running.ask(&Ask::States).await else { return Ok(None) };
        for one in &standings {
            // What is still to wait or to start is worth a word when that takes long.
            let is_news = said.get(&one.node) != Some(&one.text);
            if is_news && (is_settled(one) || one.state == Kind::Resting) {
                say_aside(format_args!("{}: {}\n", one.node, one.text));
                said.insert(one.node.clone(), one.text.clone());
            }
        }
        if standings.iter().all(is_settled) {
            return Ok(Some(verdict(&running, &standings)));
        }
        if begun.elapsed() > PATIENCE {
            for one in standings.iter().filter(|one| !is_settled(one)) {
                say_aside(format_args!("{}: {}\n", one.node, one.text));
            }
            return Ok(Some(verdict(&running, &standings)));
        }
        tokio::time::sleep(ASK).await;
    }
}

/// Whether it is ready, or over.
fn is_settled(one: &Standing) -> bool {
    matches!(one.state, Kind::Ready | Kind::Unready | Kind::Ended) || one.state.is_failure()
}

fn verdict(running: &Running, standings: &[Standing]) -> ExitCode {
    let about = &running.about;
    let failed = standings.iter().filter(|one| one.state.is_failure()).count();
    let pending = standings.iter().filter(|one| !is_settled(one)).count();
    let how = match (failed, pending) {
        (0, 0) => String::new(),
        (0, _) => format!("; {pending} of {} not ready yet", standings.len()),
        _ => format!("; {failed} of {} failed", standings.len()),
    };
    say_aside(format_args!(
        "{} runs in the background (process {}){how}: msight ps, logs, restart, down\n",
        about.name, about.pid
    ));
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Leaves the terminal that this process was started at: neither its Ctrl-C nor its end is for this process any more.
///
/// # Errors
/// The process is the first of its group.
pub(super) fn leave_terminal() -> Result<()> {
    rustix::process::setsid().context("cannot leave the terminal")?;
    Ok(())
}

/// Says the graph's name to who started it, and nothing more: what comes to standard error now goes to a file.
///
/// # Errors
/// The file cannot be written.
pub(super) fn leave_output(name: &str, errors: &Path) -> Result<()> {
    let errors = File::create(errors).with_context(|| format!("cannot write {}", errors.display()))?;
    let mut out = std::io::stdout().lock();
    // Who started it may be gone, and need not know.
    let _ = writeln!(out, "{name}").and_then(|()| out.flush());
    let nothing =
        File::options().read(true).write(true).open("/dev/null").context("cannot open /dev/null")?;
    dup2_stdin(&nothing).and_then(|()| dup2_stdout(&nothing)).and_then(|()| dup2_stderr(&errors))?;
    Ok(())
}
