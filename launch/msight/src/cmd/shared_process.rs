//! The process that runs the nodes of `msight up --one-process`, controlled by the launcher that started it.

use std::any::Any;
use std::collections::HashMap;
use std::ffi::OsString;

use anyhow::{Context as _, Result};
use msight_bus::{Connection, Topic};
use msight_node::notify::{Notification, Notifier};
use msight_node::{BAD_USAGE, Entry, HostProcess, Local, exit_code, logs};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::BUILT_IN;
use msight_supervise::WATCHDOG;
use msight_supervise::wire::{Ended, Order, Report, Setup, Start};

/// The maximum length of a reason: it must fit into one line for the launcher.
const MAX_OF_A_REASON: usize = 4096;

/// The number of worker threads for these nodes. Our own nodes compute on threads of their own, so one worker is
/// enough; other nodes may block their worker and need more.
pub fn threads(entries: &[Entry]) -> usize {
    let is_ours = |entry: &Entry| BUILT_IN.iter().any(|ours| ours.program() == entry.program());
    match entries.iter().all(is_ours) {
        true => 1,
        false => std::thread::available_parallelism().map_or(2, usize::from).max(2),
    }
}

/// Runs nodes until standard input ends, which it does with the launcher.
///
/// # Errors
/// The input is not that of a launcher, or the shared settings cannot be applied.
pub async fn run(entries: &[Entry]) -> Result<()> {
    // Ignore signals that are sent to the whole process group: the launcher stops the nodes in order.
    let _unheard = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut lines = BufReader::new(stdin()).lines();
    let setup = lines.next_line().await?.context("this command is started by `msight up --one-process`")?;
    let setup: Setup = serde_json::from_str(&setup).context("invalid settings from the launcher")?;
    let device = msight_node::device().map_err(anyhow::Error::msg)?;
    let _logs = logs::init(&device, "nodes", setup.level, logs::Format::Json)?;
    let mut nodes = Nodes::new(entries, &setup, device)?;
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => nodes.execute(serde_json::from_str(&line).context("invalid command from the launcher")?),
                None => return Ok(()),
            },
            Some(ended) = nodes.tasks.join_next() => nodes.finish(ended?),
        }
    }
}

/// The nodes of the process.
struct Nodes<'a> {
    entries: &'a [Entry],
    connection: Option<Connection>,
    local: Local,
    device: String,
    running: HashMap<u64, RunningNode>,
    tasks: JoinSet<Outcome>,
}

struct RunningNode {
    /// The name in its log lines.
    node: String,
    stop: CancellationToken,
    task: AbortHandle,
}

/// The end of a run.
struct Outcome {
    run: u64,
    end: Result<Result<()>, JoinError>,
}

impl<'a> Nodes<'a> {
    fn new(entries: &'a [Entry], setup: &Setup, device: String) -> Result<Self> {
        let local = Local::new();
        for topic in &setup.exposed {
            local.expose(Topic::new(topic)?);
        }
        for topic in &setup.left_to_bus {
            local.leave_to_bus(Topic::new(topic)?);
        }
        let connection = (!setup.is_on_redis).then(Connection::memory);
        Ok(Self { entries, connection, local, device, running: HashMap::new(), tasks: JoinSet::new() })
    }

    fn execute(&mut self, order: Order) {
        match order {
            Order::Start(start) => self.start(start),
            // A run that has ended needs neither.
            Order::Stop(run) => {
                if let Some(running) = self.running.get(&run) {
                    running.stop.cancel();
                }
            }
            Order::Abort(run) => {
                if let Some(running) = self.running.get(&run) {
                    running.task.abort();
                }
            }
        }
    }

    fn start(&mut self, start: Start) {
        let Start { run, program, args, variables } = start;
        let refused = |why: String| print_report(&Ended { ended: run, failure: Some(why), is_final: true });
        let Some(entry) = self.entries.iter().find(|entry| entry.program() == program) else {
            return refused(format!("{program} is not a built-in node"));
        };
        let prepared = match entry.prepare(args, &|variable| variables.get(variable).map(OsString::from)) {
            Ok(prepared) => prepared,
            Err(error) => return refused(error.to_string()),
        };
        let stop = CancellationToken::new();
        let (connection, local, device) = (self.connection.clone(), self.local.clone(), self.device.clone());
        let node = prepared.name().to_owned();
        let report = move |report: &Notification| {
            print_report(&Report { reported: run, datagram: report.to_string() });
        };
        let supervisor = Notifier::function(report, Some(WATCHDOG));
        let host = HostProcess { connection, local: Some(local), device, stop: stop.clone(), supervisor };
        let task = tokio::spawn(prepared.run(host));
        self.running.insert(run, RunningNode { node, stop, task: task.abort_handle() });
        self.tasks.spawn(async move { Outcome { run, end: task.await } });
    }

    fn finish(&mut self, outcome: Outcome) {
        let Outcome { run, end } = outcome;
        let Some(RunningNode { node, .. }) = self.running.remove(&run) else { return };
        let (failure, is_final) = match end {
            Ok(Ok(())) => (None, false),
            Ok(Err(error)) => (Some(format!("{error:#}")), exit_code(&error) == BAD_USAGE),
            Err(failed) => (Some(why(failed)), false),
        };
        if let Some(failure) = &failure {
            logs::node_span(&node).in_scope(|| error!("{failure}"));
        }
        let failure = failure.map(|failure| failure.chars().take(MAX_OF_A_REASON).collect());
        print_report(&Ended { ended: run, failure, is_final });
    }
}

/// Why a task was aborted or panicked.
fn why(failed: JoinError) -> String {
    let Ok(panic) = failed.try_into_panic() else { return "aborted".to_owned() };
    format!("the node panicked: {}; please report this", message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Writes a report into the log, after the node's lines before it. If the launcher is gone, standard input ends.
fn print_report(report: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(report) {
        logs::write_report(&line);
    }
}
