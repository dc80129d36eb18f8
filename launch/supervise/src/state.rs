//! The states of a job.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use msight_compose::Condition;

/// The state of a job.
#[derive(Clone, Debug)]
pub struct State {
    /// Its phase.
    pub phase: Phase,
    /// When the phase began.
    pub since: Instant,
    /// The process ID, while it runs.
    pub pid: Option<u32>,
    /// The number of starts.
    pub starts: u32,
    /// The address of its metrics, if known.
    pub metrics: Option<SocketAddr>,
}

/// The phase of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for the job with this name.
    Waiting(String),
    /// It runs and is not ready yet, with the reason if known.
    Starting(String),
    /// It runs and is ready.
    Ready,
    /// It runs and is no longer ready, with the reason.
    Unready(String),
    /// It was asked to stop.
    Stopping,
    /// It has ended, with the reason, and restarts after this time.
    Resting(String, Duration),
    /// It has ended with status 0, or was stopped.
    Ended,
    /// It has failed and will not restart, with the reason.
    Failed(String),
    /// It was never started, with the reason.
    LeftOut(String),
}

impl State {
    /// Of a job that waits to be started.
    #[expect(clippy::new_without_default, reason = "it begins now")]
    pub fn new() -> Self {
        let phase = Phase::Waiting(String::new());
        Self { phase, since: Instant::now(), pid: None, starts: 0, metrics: None }
    }

    /// Whether it has ended and will not restart.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Failed(_) | Phase::LeftOut(_))
    }

    /// Whether it is ready, or cannot become ready without time or help.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Unready(_) | Phase::Resting(..)) || self.is_over()
    }

    /// Whether it has reached `condition`; an error tells why it never will.
    pub(crate) fn meets(&self, condition: Condition) -> Result<bool, String> {
        match (&self.phase, condition) {
            (Phase::Failed(why) | Phase::LeftOut(why), _) => Err(why.clone()),
            (Phase::Ended, Condition::Healthy) => Err("it has ended".to_owned()),
            (Phase::Ended, _) => Ok(true),
            (_, Condition::CompletedSuccessfully) => Ok(false),
            (Phase::Ready, _) => Ok(true),
            (Phase::Starting(_) | Phase::Unready(_), Condition::Started) => Ok(true),
            _ => Ok(false),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(job) if job.is_empty() => f.write_str("waiting"),
            Self::Waiting(job) => write!(f, "waiting for {job}"),
            Self::Starting(why) if why.is_empty() || why == "starting" => f.write_str("starting"),
            Self::Starting(why) => write!(f, "starting: {why}"),
            Self::Ready => f.write_str("running"),
            Self::Unready(why) => write!(f, "running, not ready: {why}"),
            Self::Stopping => f.write_str("stopping"),
            Self::Resting(why, pause) => write!(f, "{why}; restarting in {:.1} s", pause.as_secs_f64()),
            Self::Ended => f.write_str("ended"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::LeftOut(why) => write!(f, "not started: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(phase: Phase, condition: Condition) -> Option<bool> {
        State { phase, ..State::new() }.meets(condition).ok()
    }

    #[test]
    fn a_condition_is_met_from_a_phase_on_or_never() {
        use Condition::{CompletedSuccessfully, Healthy, Started};
        let table = [
            (Phase::Waiting("x".into()), [Some(false); 3]),
            (Phase::Starting(String::new()), [Some(true), Some(false), Some(false)]),
            (Phase::Ready, [Some(true), Some(true), Some(false)]),
            (Phase::Unready("no camera".into()), [Some(true), Some(false), Some(false)]),
            (Phase::Resting("status 1".into(), Duration::ZERO), [Some(false); 3]),
            (Phase::Ended, [Some(true), None, Some(true)]),
            (Phase::Failed("status 2".into()), [None; 3]),
            (Phase::LeftOut("x failed".into()), [None; 3]),
        ];
        for (phase, expected) in table {
            let met = [Started, Healthy, CompletedSuccessfully].map(|one| meets(phase.clone(), one));
            assert_eq!(met, expected, "{phase}");
        }
    }
}
