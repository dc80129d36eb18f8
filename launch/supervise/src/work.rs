//! A run of a job, in its own process or in a shared one.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::job::Job;
use super::journal::Journal;
use super::process::Process;
use super::shared_process::NodeRun;
use super::wire::Ended;

/// A process, or a node in a shared one. It ends when this is dropped.
#[derive(Debug)]
pub(crate) enum Work {
    Process(Box<Process>),
    NodeRun(NodeRun),
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum End {
    Process(ExitStatus),
    NodeRun(Ended),
}

impl Work {
    /// Starts the job; its output goes to `journal`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(job: &Job, journal: &Arc<Journal>) -> Result<Self> {
        match &job.in_process {
            Some(node) => node.process.start(node, &job.args, journal).map(Self::NodeRun),
            None => Process::start(job, journal).map(|process| Self::Process(Box::new(process))),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Process(process) => process.pid,
            Self::NodeRun(run) => run.pid,
        }
    }

    /// Waits for its end and its last lines.
    pub(crate) async fn wait(&mut self) -> Result<End> {
        match self {
            Self::Process(process) => process.wait().await.map(End::Process),
            Self::NodeRun(run) => run.wait().await.map(End::NodeRun),
        }
    }

    /// Stops it, and kills it after its grace period.
    pub(crate) async fn stop(self, job: &Job, journal: &Journal) {
        match self {
            Self::Process(process) => process.stop(job, journal).await,
            Self::NodeRun(run) => run.stop(job.stop_signal, job.stop_grace, journal).await,
        }
    }

    /// How long it has been running.
    pub(crate) fn lasted(&self) -> Duration {
        match self {
            Self::Process(process) => process.lasted(),
            Self::NodeRun(run) => run.lasted(),
        }
    }
}
