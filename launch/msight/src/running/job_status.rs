//! The state of a job, as sent to other processes.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use msight_supervise::{Phase, State};

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct JobStatus {
    /// Its name.
    pub(crate) node: String,
    /// Its phase.
    pub(crate) state: Kind,
    /// The phase in words, with the reason.
    pub(crate) text: String,
    /// The seconds since the phase began.
    pub(crate) seconds: f64,
    /// The process ID, while it runs.
    pub(crate) pid: Option<u32>,
    /// The number of starts.
    pub(crate) starts: u32,
    /// The address of its metrics, if known.
    pub(crate) metrics: Option<SocketAddr>,
}

/// A [`Phase`] without its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Waiting,
    Starting,
    Ready,
    Unready,
    Stopping,
    Resting,
    Ended,
    Failed,
    LeftOut,
}

impl Kind {
    /// Whether it cannot become ready by itself.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::LeftOut)
    }
}

impl From<&Phase> for Kind {
    fn from(phase: &Phase) -> Self {
        match phase {
            Phase::Waiting(_) => Self::Waiting,
            Phase::Starting(_) => Self::Starting,
            Phase::Ready => Self::Ready,
            Phase::Unready(_) => Self::Unready,
            Phase::Stopping => Self::Stopping,
            Phase::Resting(..) => Self::Resting,
            Phase::Ended => Self::Ended,
            Phase::Failed(_) => Self::Failed,
            Phase::LeftOut(_) => Self::LeftOut,
        }
    }
}

impl JobStatus {
    pub(crate) fn of(node: &str, state: &State) -> Self {
        Self {
            node: node.to_owned(),
            state: Kind::from(&state.phase),
            text: state.phase.to_string(),
            seconds: state.since.elapsed().as_secs_f64(),
            pid: state.pid,
            starts: state.starts,
            metrics: state.metrics,
        }
    }
}
