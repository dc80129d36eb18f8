//! Deadlines of requests, and waits before retries.

use crate::failure::Class;
use std::time::Duration;

/// The pusher's time-outs and waits. The defaults are those of the program; tests have shorter ones.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// First back-off after a transient failure; it doubles with each further one.
    pub first: Duration,
    /// Longest back-off.
    pub longest: Duration,
    /// First wait before a retry while uploads are held; it doubles up to `longest`.
    pub probe: Duration,
    /// Longest `Retry-After` that is obeyed.
    pub longest_asked: Duration,
    /// Deadline of one request with a small body.
    pub request: Duration,
    /// Bytes a second of a larger body; it has that much more time than `request`.
    pub throughput: u64,
    /// Time without a success after which uploads count as stuck, while the failures are transient.
    pub stuck: Duration,
    /// From one log line about a lasting outage to the next.
    pub remind: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            probe: Duration::from_secs(30),
            longest_asked: Duration::from_secs(600),
            request: Duration::from_secs(60),
            throughput: 64 * 1024,
            stuck: Duration::from_secs(10),
            remind: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// Number of time-outs in a row at which the deadline stops growing, 16-fold.
    pub const SLOWEST: u32 = 4;

    /// The wait before the next try after the `failures`-th failure in a row, counted from 1: half a minute to a minute
    /// while uploads are held, else a back-off. `draw` is uniform in 0..1.
    pub fn pause(&self, class: Class, failures: u32, draw: f64) -> Duration {
        if matches!(class, Class::Held(_)) { self.probe(failures) } else { self.backoff(failures, draw) }
    }

    /// The back-off after the `failures`-th failure in a row, counted from 1: exponential with full jitter (`draw` is
    /// uniform in 0..1), but at least a tenth of its ceiling, so that no loop spins.
    pub fn backoff(&self, failures: u32, draw: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let ceiling = (self.first * (1 << doublings)).min(self.longest);
        ceiling.mul_f64(0.1 + 0.9 * draw)
    }

    /// The wait before the `probes`-th try while uploads are held, counted from 1.
    pub fn probe(&self, probes: u32) -> Duration {
        (self.probe * (1 << probes.saturating_sub(1).min(16))).min(self.longest.max(self.probe))
    }

    /// The deadline of a request with a body of this size. It doubles with each time-out in a row, up to
    /// [`SLOWEST`](Self::SLOWEST) times: a slow link completes the upload in the end, and a stalled one is noticed.
    pub fn deadline(&self, bytes: usize, timeouts: u32) -> Duration {
        let transfer = Duration::from_secs(bytes as u64 / self.throughput.max(1));
        (self.request + transfer) * (1 << timeouts.min(Self::SLOWEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_ceiling() {
        let policy = RetryPolicy::default();
        let most = |failures| policy.backoff(failures, 1.0).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 8, u32::MAX].map(most), [1, 2, 4, 32, 60, 60, 60]);
        assert_eq!(policy.backoff(7, 0.0), Duration::from_secs(6));
    }

    #[test]
    fn probes_are_between_half_a_minute_and_a_minute_apart() {
        let policy = RetryPolicy::default();
        let held = Class::Held(crate::failure::Hold::Denied);
        assert_eq!([1, 2, 3, u32::MAX].map(|n| policy.pause(held, n, 0.0).as_secs()), [30, 60, 60, 60]);
    }

    #[test]
    fn deadlines_grow_with_size_and_time_outs() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.deadline(0, 0).as_secs(), 60);
        assert_eq!(policy.deadline(6 << 20, 0).as_secs(), 60 + 96);
        assert_eq!(policy.deadline(0, 9).as_secs(), 960);
    }
}
