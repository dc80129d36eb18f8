//! How long to wait before the next try.

use crate::failure::Class;
use std::time::Duration;

/// The waits of a pusher. The defaults are those of the program; tests take shorter ones.
#[derive(Debug, Clone)]
pub struct Pacing {
    /// First back-off after a transient failure; it doubles with every further one.
    pub first: Duration,
    /// Longest back-off.
    pub longest: Duration,
    /// First wait before a held bucket is tried again; it doubles up to `longest`.
    pub probe: Duration,
    /// Longest `Retry-After` that is believed.
    pub longest_asked: Duration,
    /// Deadline of one request with a small body.
    pub request: Duration,
    /// Bytes a second that a larger body is given on top of `request`.
    pub throughput: u64,
    /// For how long nothing but failures that pass by themselves must come before uploads count as stuck.
    pub stuck: Duration,
    /// How often an outage that goes on is said again.
    pub remind: Duration,
}

impl Default for Pacing {
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

impl Pacing {
    /// Time-outs in a row beyond which the deadline grows no more: 16-fold.
    pub const SLOWEST: u32 = 4;

    /// The wait before the next try after the `failures`-th failure in a row, counted from 1: half a minute to a
    /// minute where somebody has to mend something, else a back-off. `draw` is uniform in 0..1.
    pub fn pause(&self, class: Class, failures: u32, draw: f64) -> Duration {
        if matches!(class, Class::Held(_)) { self.probe(failures) } else { self.backoff(failures, draw) }
    }

    /// The back-off after the `failures`-th failure in a row, counted from 1: exponential with full jitter
    /// (`draw` is uniform in 0..1), but never less than a tenth, so that no loop spins.
    pub fn backoff(&self, failures: u32, draw: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let ceiling = (self.first * (1 << doublings)).min(self.longest);
        ceiling.mul_f64(0.1 + 0.9 * draw)
    }

    /// The wait before a held bucket is tried for the `probes`-th time, counted from 1.
    pub fn probe(&self, probes: u32) -> Duration {
        (self.probe * (1 << probes.saturating_sub(1).min(16))).min(self.longest.max(self.probe))
    }

    /// The deadline of a request with a body of this size. It doubles with each time-out in a row, up to
    /// [`SLOWEST`](Self::SLOWEST) times: a slow link gets the segment through in the end, a stalled one is noticed.
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
        let pacing = Pacing::default();
        let most = |failures| pacing.backoff(failures, 1.0).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 8, u32::MAX].map(most), [1, 2, 4, 32, 60, 60, 60]);
        assert_eq!(pacing.backoff(7, 0.0), Duration::from_secs(6));
    }

    #[test]
    fn probes_are_between_half_a_minute_and_a_minute_apart() {
        let pacing = Pacing::default();
        let held = Class::Held(crate::failure::Hold::Denied);
        assert_eq!([1, 2, 3, u32::MAX].map(|n| pacing.pause(held, n, 0.0).as_secs()), [30, 60, 60, 60]);
    }

    #[test]
    fn deadlines_grow_with_size_and_time_outs() {
        let pacing = Pacing::default();
        assert_eq!(pacing.deadline(0, 0).as_secs(), 60);
        assert_eq!(pacing.deadline(6 << 20, 0).as_secs(), 60 + 96);
        assert_eq!(pacing.deadline(0, 9).as_secs(), 960);
    }
}
