//! `msight up`: runs a graph on this machine.

mod background;
mod display;
mod service;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use msight_node::{Entry, stop_on_signals};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use self::display::Display;
use self::service::ServiceReport;
use super::files::{CONTAINER_LIMIT, Files};
use super::print_err;
use crate::running::{
    Answer, Control, Ending, JobStatus, Kind, LogWriter, PendingRequest, RegisterError, Registration,
    Request, RunningGraph,
};
use msight_compose::{Finding, Severity};
use msight_graph::machine::{self, OneProcess, Plan};
use msight_supervise::{Line, States, Supervisor};

/// The interval at which the status lines are redrawn.
const REDRAW: Duration = Duration::from_secs(1);

/// The interval of reports to systemd.
const REPORT: Duration = Duration::from_secs(1);

/// Run a graph on this machine: its nodes as processes, without Docker
///
/// Servers in the compose file (Redis, S3, RTSP) are used if they are running, else started. Readers start before
/// writers. Nodes restart according to `restart`. Ctrl-C stops the sources first, so that the last segments are
/// uploaded; a second Ctrl-C stops at once.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,

    /// Run the built-in nodes in one process, which passes frames without copying them; other nodes run as processes
    /// beside it
    #[arg(long)]
    one_process: bool,

    /// Also publish this topic of the one process on Redis, for readers outside the graph
    #[arg(long, value_name = "TOPIC", requires = "one_process")]
    expose: Vec<String>,

    /// Run the graph in the background; return when its nodes are ready, or after 45 s
    ///
    /// Manage it with `msight ps`, `logs`, `restart` and `down`. Ctrl-C before the nodes are ready stops the graph.
    #[arg(short, long)]
    detach: bool,

    /// Mark the process that runs in the background
    #[arg(long, hide = true)]
    in_background: bool,
}

/// Runs the graph until a signal, or until all jobs have ended.
///
/// # Errors
/// The graph cannot be started.
pub async fn run(args: Args, entries: &[Entry]) -> Result<ExitCode> {
    if args.in_background {
        background::leave_terminal()?;
    } else if args.detach {
        return background::start().await;
    }
    let read = args.files.read(entries, true).await?;
    print_findings(&read.findings, Severity::Warning);
    let limits = read.findings.iter().find(|finding| finding.code == CONTAINER_LIMIT);
    print_findings(limits.map_or(&[], std::slice::from_ref), Severity::Note);
    if read.has_errors() {
        print_err(format_args!("nothing started; fix the errors above\n"));
        return Ok(ExitCode::FAILURE);
    }
    let registration = match Registration::take(&read.project.name).await {
        Ok(registration) => Some(registration),
        Err(RegisterError::Other(error)) if !args.in_background => {
            warn_unregistered(&error);
            None
        }
        Err(refused) => {
            print_err(format_args!(
                "error: {refused}\n  stop that graph with `msight down`, or run this one under another name with -p NAME\n"
            ));
            return Ok(ExitCode::FAILURE);
        }
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let one_process = args
        .one_process
        .then(|| OneProcess { expose: args.expose.clone(), external: read.graph.external.clone() });
    let plan = machine::plan(&read.project, &read.graph, &read.catalog, &path, one_process.as_ref()).await;
    print_findings(&plan.findings, Severity::Warning);
    if !plan.findings.is_empty() {
        print_err(format_args!("nothing started; fix the errors above\n"));
        return Ok(ExitCode::FAILURE);
    }
    if let Some((other, names)) = RunningGraph::with_nodes(&plan.registered, &read.project.name).await {
        print_err(format_args!(
            "error: graph {} (process {}, in {}) runs nodes with these names on the same Redis: {}\n  stop it with \
             `msight down -p {}`, rename the nodes, or publish another port for the Redis of this graph\n",
            other.name,
            other.pid,
            other.folder.display(),
            names.join(", "),
            other.name,
        ));
        return Ok(ExitCode::FAILURE);
    }
    let jobs: Vec<String> = plan.jobs.iter().map(|job| job.name.clone()).collect();
    let mut output = match &registration {
        Some(registration) if args.in_background => Output::Log(LogWriter::new(registration.log())?),
        _ => {
            let declared = read.graph.nodes.iter();
            let declared =
                declared.map(|node| (node.service.value.clone(), node.program.description().metrics.clone()));
            Output::Terminal(Display::new(jobs.iter().map(String::as_str), declared.collect())?)
        }
    };
    for (service, why) in plan.aside.iter().chain(&plan.beside) {
        let text = format!("{service}: {why}");
        print_err(format_args!("{text}\n"));
        if let Output::Log(recorder) = &mut output {
            recorder.note(&text);
        }
    }
    let control = match registration.as_ref().map(|registration| {
        registration.tell(&read.project.folder, args.in_background, jobs, plan.registered.clone())
    }) {
        Some(Err(error)) if !args.in_background => {
            warn_unregistered(&error);
            None
        }
        control => control.transpose()?,
    };
    if let (true, Some(registration)) = (args.in_background, &registration) {
        background::leave_output(&read.project.name, &registration.errors())?;
    }
    supervise(plan, output, control, registration.as_ref()).await
}

fn warn_unregistered(error: &anyhow::Error) {
    print_err(format_args!("msight ps, restart and down cannot find this graph: {error:#}\n"));
}

fn print_findings(findings: &[Finding], least: Severity) {
    for finding in findings.iter().filter(|finding| finding.severity >= least) {
        print_err(format_args!("{}\n", finding.render(std::io::stderr().is_terminal())));
    }
}

/// Where log lines go.
enum Output {
    Terminal(Display),
    Log(LogWriter),
}

impl Output {
    fn line(&mut self, line: &Line) {
        match self {
            Self::Terminal(show) => show.line(line),
            Self::Log(recorder) => recorder.line(line),
        }
    }

    fn note(&mut self, text: &str) {
        match self {
            Self::Terminal(show) => show.note(text),
            Self::Log(recorder) => recorder.note(text),
        }
    }

    async fn states(&mut self, states: &States) {
        if let Self::Terminal(show) = self {
            show.states(states).await;
        }
    }

    fn end(self) {
        if let Self::Terminal(mut show) = self {
            show.end();
        }
    }
}

async fn supervise(
    plan: Plan,
    mut output: Output,
    mut control: Option<Control>,
    registration: Option<&Registration>,
) -> Result<ExitCode> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let (mut supervisor, mut lines) = Supervisor::start(plan.jobs).context("cannot start the graph")?;
    let states = supervisor.states();
    let mut tick = interval(REDRAW);
    let (mut service, mut report) = (ServiceReport::new(), interval(REPORT));
    let mut over = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // Before the lines: there may be a new one at any time.
            _ = report.tick() => service.states(&states),
            Some(line) = lines.recv() => output.line(&line),
            asked = asked(&mut control) => answer(asked, &states, Some(&supervisor), &stop),
            _ = tick.tick() => output.states(&states).await,
            () = supervisor.ended(), if !over => over = true,
        }
        // Show all lines before the end.
        if over && lines.is_empty() {
            break;
        }
    }
    let failed = states.iter().any(|(_, state)| Kind::from(&state.phase).is_failure());
    if stop.is_cancelled() {
        output.note("stopping, sources first; interrupt again to stop at once");
    }
    service.stopping();
    let mut ending = Ending::new();
    let stopping = supervisor.stop();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            () = &mut stopping => break,
            _ = report.tick() => service.stopping(),
            Some(line) = lines.recv() => {
                ending.take(&line);
                output.line(&line);
            }
            asked = asked(&mut control) => answer(asked, &states, None, &stop),
        }
    }
    while let Some(line) = lines.try_recv() {
        ending.take(&line);
        output.line(&line);
    }
    if let Some(Err(error)) = registration.map(|registration| registration.end(&ending)) {
        output.note(&format!("msight down cannot show the errors of this stop: {error:#}"));
    }
    let errors = ending.summary();
    let is_complete = !failed && errors.is_none();
    let failed = failed.then(|| "some nodes failed".to_owned());
    let details = ["stopped".to_owned()].into_iter().chain(failed).chain(errors);
    output.note(&details.collect::<Vec<_>>().join("; "));
    output.end();
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn asked(control: &mut Option<Control>) -> PendingRequest {
    match control {
        Some(control) => control.next().await,
        None => std::future::pending().await,
    }
}

/// Answers immediately, except for a restart. Without `supervisor` the graph is stopping.
fn answer(asked: PendingRequest, states: &States, supervisor: Option<&Supervisor>, stop: &CancellationToken) {
    let PendingRequest { ask, answer } = asked;
    // The client may have disconnected.
    let _ = match (ask, supervisor) {
        (Request::States, _) => {
            let statuses = states.iter().map(|(name, state)| JobStatus::of(name, &state));
            answer.send(Answer::States(statuses.collect()))
        }
        (Request::Stop, _) => {
            stop.cancel();
            answer.send(Answer::Stopping)
        }
        (Request::Restart(_), None) => answer.send(Answer::No("the graph is stopping".to_owned())),
        (Request::Restart(name), Some(supervisor)) => match supervisor.restart(&name) {
            Err(error) => answer.send(Answer::No(format!("{error:#}"))),
            Ok(restarted) => {
                let mut answer = answer;
                tokio::spawn(async move {
                    tokio::select! {
                        state = restarted => {
                            let _ = answer.send(Answer::States(vec![JobStatus::of(&name, &state)]));
                        }
                        () = answer.closed() => {}
                    }
                });
                Ok(())
            }
        },
    };
}
