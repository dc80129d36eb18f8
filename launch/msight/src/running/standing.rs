//! How a job stands, as it is told to other processes.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use msight_supervise::{Phase, State};

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Its name.
    pub(crate) node: String,
    /// What it does.
    pub(crate) state: Kind,
    /// The same in words, with the reason.
    pub(crate) text: String,
    /// For how long, in seconds.
    pub(crate) seconds: f64,
    /// Its process, while there is one.
    pub(crate) pid: Option<u32>,
    /// How often it was started.
    pub(crate) starts: u32,
    /// Where its metrics are, if it has said so.
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
    /// Whether it will not become ready without help.
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

impl Standing {
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
