//! A run of a job, in its own process or in a shared one.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::host::Part;
use super::job::Job;
use super::journal::Journal;
use super::process::Process;
use super::wire::Ended;

/// A process, or a node in a shared one. It ends when this is dropped.
#[derive(Debug)]
pub(crate) enum Work {
    Process(Box<Process>),
    Part(Part),
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum End {
    Process(ExitStatus),
    Part(Ended),
}

impl Work {
    /// Starts the job; its output goes to `journal`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(job: &Job, journal: &Arc<Journal>) -> Result<Self> {
        match &job.within {
            Some(within) => within.host.start(within, &job.args, journal).map(Self::Part),
            None => Process::start(job, journal).map(|process| Self::Process(Box::new(process))),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Process(process) => process.pid,
            Self::Part(part) => part.pid,
        }
    }

    /// Waits for its end and its last lines.
    pub(crate) async fn wait(&mut self) -> Result<End> {
        match self {
            Self::Process(process) => process.wait().await.map(End::Process),
            Self::Part(part) => part.wait().await.map(End::Part),
        }
    }

    /// Stops it, and kills it after its grace period.
    pub(crate) async fn stop(self, job: &Job, journal: &Journal) {
        match self {
            Self::Process(process) => process.stop(job, journal).await,
            Self::Part(part) => part.stop(job.stop_signal, job.stop_grace, journal).await,
        }
    }

    /// How long it has been running.
    pub(crate) fn lasted(&self) -> Duration {
        match self {
            Self::Process(process) => process.lasted(),
            Self::Part(part) => part.lasted(),
        }
    }
}
