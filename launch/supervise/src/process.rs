//! The process of a job.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::guard::Guard;
use super::job::Job;
use super::journal::{Journal, LAST_LINES};
use super::report_socket::{ReportSocket, forget_supervisor};

/// A process. It and its descendants are killed when this is dropped or this process ends.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) pid: u32,
    begun: Instant,
    streams: JoinSet<()>,
    _reports: Option<ReportSocket>,
    _guard: Guard,
}

impl Process {
    /// Starts the job's program; its output goes to `journal`.
    ///
    /// # Errors
    /// The program does not exist, may not be executed, or no process can be created.
    pub(crate) fn start(job: &Job, journal: &Arc<Journal>) -> Result<Self> {
        let reports = job.reports.then(|| ReportSocket::new(journal)).transpose()?;
        let guard = match &reports {
            Some(reports) => Guard::of_folder(reports.folder())?,
            None => Guard::new()?,
        };
        let mut command = Command::new(&job.program);
        if let Some(name) = &job.called {
            command.arg0(name);
        }
        command.args(&job.args).envs(&job.environment).current_dir(&job.folder);
        forget_supervisor(command.as_std_mut());
        command.envs(reports.iter().flat_map(ReportSocket::variables));
        command.process_group(guard.group()).kill_on_drop(true);
        let input = if job.input.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| match job.folder.is_dir() {
            true => format!("cannot start {}", job.program.display()),
            false => format!("working directory {} does not exist", job.folder.display()),
        })?;
        let pid = child.id().context("it has exited immediately")?;
        let mut streams = JoinSet::new();
        if let Some((mut input, text)) = child.stdin.take().zip(job.input.clone()) {
            // A program that no longer reads has ended, which is noticed elsewhere.
            streams.spawn(async move { drop(input.write_all(text.as_bytes()).await) });
        }
        if let Some(stream) = child.stdout.take() {
            streams.spawn(journal.clone().follow(stream));
        }
        if let Some(stream) = child.stderr.take() {
            streams.spawn(journal.clone().follow(stream));
        }
        Ok(Self { child, pid, begun: Instant::now(), streams, _reports: reports, _guard: guard })
    }

    /// Waits for the exit of the process and its last lines.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait().await.context("cannot wait for its exit")?;
        let _ = timeout(LAST_LINES, async { while self.streams.join_next().await.is_some() {} }).await;
        Ok(status)
    }

    /// Stops the process with its signal, and kills it after its grace period.
    pub(crate) async fn stop(mut self, job: &Job, journal: &Journal) {
        // A process that has ended has no ID any more.
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process(pid, job.stop_signal);
        }
        let patience = if job.stop_signal == Signal::KILL { Duration::from_secs(5) } else { job.stop_grace };
        if timeout(patience, self.wait()).await.is_err() {
            let text = format!("killed: not stopped within {:.0} s", patience.as_secs_f64());
            // A node had unfinished work.
            journal.note(if job.reports { "ERROR" } else { "WARNING" }, text);
        }
    }

    /// How long it has been running.
    pub(crate) fn lasted(&self) -> Duration {
        self.begun.elapsed()
    }
}
