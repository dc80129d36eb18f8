//! `msight up`: a graph on this machine.

mod background;
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
use crate::running::{Answer, Ask, Asked, Control, Kind, Mark, Recorder, Refused, Standing};
use msight_compose::{Finding, Severity};
use msight_graph::machine::{self, OneProcess, Plan};
use msight_supervise::{Line, States, Supervisor};

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

    /// Leave the graph running in the background, as soon as its nodes are ready or 45 s have passed: for `msight ps`,
    /// `logs`, `restart` and `down`. A Ctrl-C before that stops it
    #[arg(short, long)]
    detach: bool,

    /// This is the process in the background
    #[arg(long, hide = true)]
    in_background: bool,
}

/// Runs the graph until a signal, or until all of it is over.
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
    say_findings(&read.findings, Severity::Warning);
    if read.has_errors() {
        say_aside(format_args!("nothing was started; see what is wrong above\n"));
        return Ok(ExitCode::FAILURE);
    }
    let mark = match Mark::take(&read.project.name).await {
        Ok(mark) => Some(mark),
        Err(Refused::Other(error)) if !args.in_background => {
            say_unfound(&error);
            None
        }
        Err(refused) => {
            say_aside(format_args!(
                "error: {refused}\n  msight down stops that one; with -p NAME this one runs beside it\n"
            ));
            return Ok(ExitCode::FAILURE);
        }
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let one_process = args.one_process.then(|| OneProcess {
        expose: args.expose.clone(),
        external: args.files.external.iter().cloned().collect(),
    });
    let plan = machine::plan(&read.project, &read.graph, &read.catalog, &path, one_process.as_ref()).await;
    say_findings(&plan.findings, Severity::Warning);
    if !plan.findings.is_empty() {
        say_aside(format_args!("nothing was started; see what is missing above\n"));
        return Ok(ExitCode::FAILURE);
    }
    let jobs: Vec<String> = plan.jobs.iter().map(|job| job.name.clone()).collect();
    let mut voice = match &mark {
        Some(mark) if args.in_background => Voice::Kept(Recorder::new(mark.log())?),
        _ => Voice::Shown(Show::new(jobs.iter().map(String::as_str))),
    };
    for (service, why) in plan.aside.iter().chain(&plan.beside) {
        let text = format!("{service}: {why}");
        say_aside(format_args!("{text}\n"));
        if let Voice::Kept(recorder) = &mut voice {
            recorder.note(&text);
        }
    }
    let told = match mark.as_ref().map(|mark| mark.tell(&read.project.folder, args.in_background, jobs)) {
        Some(Err(error)) if !args.in_background => {
            say_unfound(&error);
            None
        }
        told => told.transpose()?,
    };
    if let (true, Some(mark)) = (args.in_background, &mark) {
        background::leave_output(&read.project.name, &mark.errors())?;
    }
    look_after(plan, voice, told).await
}

fn say_unfound(error: &anyhow::Error) {
    say_aside(format_args!("msight ps, restart and down will not find this graph: {error:#}\n"));
}

fn say_findings(findings: &[Finding], least: Severity) {
    for finding in findings.iter().filter(|finding| finding.severity >= least) {
        say_aside(format_args!("{}\n", finding.render(std::io::stderr().is_terminal())));
    }
}

/// Where a graph's lines go.
enum Voice {
    Shown(Show),
    Kept(Recorder),
}

impl Voice {
    fn line(&mut self, line: &Line) {
        match self {
            Self::Shown(show) => show.line(line),
            Self::Kept(recorder) => recorder.line(line),
        }
    }

    fn note(&mut self, text: &str) {
        match self {
            Self::Shown(show) => show.note(text),
            Self::Kept(recorder) => recorder.note(text),
        }
    }

    async fn states(&mut self, states: &States) {
        if let Self::Shown(show) = self {
            show.states(states).await;
        }
    }

    fn end(self) {
        if let Self::Shown(mut show) = self {
            show.end();
        }
    }
}

async fn look_after(plan: Plan, mut voice: Voice, mut control: Option<Control>) -> Result<ExitCode> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let (mut supervisor, mut lines) = Supervisor::start(plan.jobs).context("the graph cannot be started")?;
    let states = supervisor.states();
    let mut tick = interval(REDRAW);
    let mut over = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(line) = lines.recv() => voice.line(&line),
            asked = asked(&mut control) => answer(asked, &states, Some(&supervisor), &stop),
            _ = tick.tick() => voice.states(&states).await,
            () = supervisor.ended(), if !over => over = true,
        }
        // What they said last comes first.
        if over && lines.is_empty() {
            break;
        }
    }
    let failed = states.iter().any(|(_, state)| Kind::from(&state.phase).is_failure());
    if stop.is_cancelled() {
        voice.note("stopping, sources first; a second signal stops at once");
    }
    let stopping = supervisor.stop();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            () = &mut stopping => break,
            Some(line) = lines.recv() => voice.line(&line),
            asked = asked(&mut control) => answer(asked, &states, None, &stop),
        }
    }
    while let Ok(line) = lines.try_recv() {
        voice.line(&line);
    }
    voice.note(if failed { "stopped; not all of it ran" } else { "stopped" });
    voice.end();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn asked(control: &mut Option<Control>) -> Asked {
    match control {
        Some(control) => control.next().await,
        None => std::future::pending().await,
    }
}

/// Answers at once, but for a restart, which takes its time. A graph without `supervisor` is stopping.
fn answer(asked: Asked, states: &States, supervisor: Option<&Supervisor>, stop: &CancellationToken) {
    let Asked { ask, answer } = asked;
    // Who asked may have gone away.
    let _ = match (ask, supervisor) {
        (Ask::States, _) => {
            let standings = states.iter().map(|(name, state)| Standing::of(name, &state));
            answer.send(Answer::States(standings.collect()))
        }
        (Ask::Stop, _) => {
            stop.cancel();
            answer.send(Answer::Stopping)
        }
        (Ask::Restart(_), None) => answer.send(Answer::No("the graph is stopping".to_owned())),
        (Ask::Restart(name), Some(supervisor)) => match supervisor.restart(&name) {
            Err(error) => answer.send(Answer::No(format!("{error:#}"))),
            Ok(restarted) => {
                let mut answer = answer;
                tokio::spawn(async move {
                    tokio::select! {
                        state = restarted => {
                            let _ = answer.send(Answer::States(vec![Standing::of(&name, &state)]));
                        }
                        () = answer.closed() => {}
                    }
                });
                Ok(())
            }
        },
    };
}
