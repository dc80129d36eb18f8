//! `msight up`: a graph on this machine.

mod show;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use msight_node::{Entry, stop_on_signals};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use self::show::Show;
use super::files::Files;
use super::say_aside;
use crate::compose::{Finding, Severity};
use crate::host::{self, OneProcess, Plan};
use crate::supervise::{Phase, Supervisor};

/// How often the lines about the nodes are drawn anew.
const REDRAW: Duration = Duration::from_secs(1);

/// Runs a graph on this machine: its nodes as processes, without Docker
///
/// Servers that its file names (Redis, S3, RTSP) are used where they answer, else started. Readers start before
/// those who write for them; what ends is started again as `restart` says. Ctrl-C stops the sources first, so that
/// the last segment reaches its bucket; a second Ctrl-C stops at once.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,

    /// Run the nodes together in one process, where frames go from one to the next as they are; what this launcher is
    /// not built with runs beside it
    #[arg(long)]
    one_process: bool,

    /// Publish this topic of the one process on Redis as well, for readers outside of the graph
    #[arg(long, value_name = "TOPIC", requires = "one_process")]
    expose: Vec<String>,
}

/// Runs the graph until a signal, or until all of it is over.
///
/// # Errors
/// The graph cannot be started.
pub async fn run(args: Args, entries: &[Entry]) -> Result<ExitCode> {
    let read = args.files.read(entries, true).await?;
    say_findings(&read.findings, Severity::Warning);
    if read.has_errors() {
        say_aside(format_args!("nothing was started; see what is wrong above\n"));
        return Ok(ExitCode::FAILURE);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let one_process = args.one_process.then(|| OneProcess {
        expose: args.expose.clone(),
        external: args.files.external.iter().cloned().collect(),
    });
    let plan = host::plan(&read.project, &read.graph, &read.catalog, &path, one_process.as_ref()).await;
    say_findings(&plan.findings, Severity::Warning);
    if !plan.findings.is_empty() {
        say_aside(format_args!("nothing was started; see what is missing above\n"));
        return Ok(ExitCode::FAILURE);
    }
    for (service, why) in &plan.aside {
        say_aside(format_args!("{service}: {why}\n"));
    }
    for (service, why) in &plan.beside {
        say_aside(format_args!("{service}: {why}\n"));
    }
    look_after(plan).await
}

fn say_findings(findings: &[Finding], least: Severity) {
    for finding in findings.iter().filter(|finding| finding.severity >= least) {
        say_aside(format_args!("{}\n", finding.render(std::io::stderr().is_terminal())));
    }
}

async fn look_after(plan: Plan) -> Result<ExitCode> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let mut show = Show::new(plan.jobs.iter().map(|job| job.name.as_str()));
    let (mut supervisor, mut lines) = Supervisor::start(plan.jobs).context("the graph cannot be started")?;
    let mut tick = interval(REDRAW);
    let mut over = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(line) = lines.recv() => show.line(&line),
            _ = tick.tick() => show.states(supervisor.states()).await,
            () = supervisor.ended(), if !over => over = true,
            else => break,
        }
        // What they said last comes first.
        if over && lines.is_empty() {
            break;
        }
    }
    let failed =
        supervisor.states().any(|(_, state)| matches!(state.phase, Phase::Failed(_) | Phase::LeftOut(_)));
    if stop.is_cancelled() {
        show.note("stopping, sources first; a second signal stops at once");
    }
    let stopping = supervisor.stop();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            () = &mut stopping => break,
            Some(line) = lines.recv() => show.line(&line),
        }
    }
    while let Ok(line) = lines.try_recv() {
        show.line(&line);
    }
    show.end();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
