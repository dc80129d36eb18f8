//! Decides whether and when a program restarts.

use std::time::Duration;

use msight_bus::Backoff;

use msight_compose::Restart;

/// A run of this length counts as successful and resets the pause, as in Docker.
const WORKED: Duration = Duration::from_secs(10);

/// The restarts of one job.
#[derive(Debug)]
pub(crate) struct Restarts {
    policy: Restart,
    backoff: Backoff,
    failures: u32,
}

impl Restarts {
    pub(crate) fn new(policy: Restart) -> Self {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(60));
        Self { policy, backoff, failures: 0 }
    }

    /// The pause before the next run after one of this length; `None` if there is no next run.
    pub(crate) fn after(&mut self, succeeded: bool, lasted: Duration) -> Option<Duration> {
        if lasted >= WORKED {
            self.backoff.reset();
            self.failures = 0;
        }
        if !succeeded {
            self.failures += 1;
        }
        let is_allowed = match self.policy {
            Restart::No => false,
            Restart::Always | Restart::UnlessStopped => true,
            Restart::OnFailure(most) => !succeeded && most.is_none_or(|most| self.failures <= most),
        };
        is_allowed.then(|| self.backoff.delay())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    fn pauses(policy: Restart, succeeded: bool, runs: usize) -> Vec<bool> {
        let mut restarts = Restarts::new(policy);
        (0..runs).map(|_| restarts.after(succeeded, SHORT).is_some()).collect()
    }

    #[test]
    fn the_policy_decides() {
        assert_eq!(pauses(Restart::No, false, 1), [false]);
        assert_eq!(pauses(Restart::Always, true, 2), [true, true]);
        assert_eq!(pauses(Restart::UnlessStopped, false, 2), [true, true]);
        assert_eq!(pauses(Restart::OnFailure(None), true, 1), [false]);
        assert_eq!(pauses(Restart::OnFailure(None), false, 3), [true, true, true]);
        assert_eq!(pauses(Restart::OnFailure(Some(2)), false, 3), [true, true, false]);
    }

    #[test]
    fn pauses_grow_to_a_minute_and_a_run_that_worked_makes_them_short_again() {
        let mut restarts = Restarts::new(Restart::Always);
        let pauses: Vec<Duration> = (0..12).filter_map(|_| restarts.after(false, SHORT)).collect();
        assert!(
            pauses[0] <= Duration::from_millis(100) && pauses[11] >= Duration::from_secs(30),
            "{pauses:?}"
        );
        assert!(restarts.after(false, WORKED).expect("a pause") <= Duration::from_millis(100));
    }
}
