//! How a job stands.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use msight_compose::Condition;

/// How a job stands, and since when.
#[derive(Clone, Debug)]
pub struct State {
    /// What it does.
    pub phase: Phase,
    /// When that began.
    pub since: Instant,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// How often it was started.
    pub starts: u32,
    /// Where its metrics are, if it has said so.
    pub metrics: Option<SocketAddr>,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for the job of this name.
    Waiting(String),
    /// It runs, and is not ready yet: what it waits for, if it says so.
    Starting(String),
    /// It runs, and others may count on it.
    Ready,
    /// It runs and was ready, and is no more: why.
    Unready(String),
    /// It was asked to stop.
    Stopping,
    /// It has ended, as its last words say, and is started again after this time.
    Resting(String, Duration),
    /// It has ended with status 0, or was asked to.
    Ended,
    /// It has ended for good: why.
    Failed(String),
    /// It was never started: why.
    LeftOut(String),
}

impl State {
    /// Of a job that waits to be started.
    #[expect(clippy::new_without_default, reason = "it begins now")]
    pub fn new() -> Self {
        let phase = Phase::Waiting(String::new());
        Self { phase, since: Instant::now(), pid: None, starts: 0, metrics: None }
    }

    /// Whether nothing happens to it any more.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Failed(_) | Phase::LeftOut(_))
    }

    /// Whether it is ready, or nothing makes it so but time or help.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Unready(_) | Phase::Resting(..)) || self.is_over()
    }

    /// Whether it is as far as `condition` asks; an error says why it never will be.
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
            Self::Resting(why, pause) => write!(f, "{why}; again in {:.1} s", pause.as_secs_f64()),
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
