//! Back-off: the delay before the next attempt.

use std::time::Duration;

/// Exponential back-off between `first` and `last` with jitter: each delay is between a half and the whole of its
/// nominal value, so that many nodes do not reconnect at the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    /// For a connection to Redis: 0.1 s to 1 s. Longer delays would hold messages up for longer, and an attempt costs a
    /// restarted server almost nothing.
    pub fn reconnecting() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(1))
    }

    /// Delays from `first`, doubled each time up to `last`.
    pub fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, next: first }
    }

    /// The delay before the next attempt.
    pub fn delay(&mut self) -> Duration {
        let nominal = self.next;
        self.next = (nominal * 2).min(self.last);
        nominal.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Resets the delay to the first one, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_last_and_start_again_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(500));
        for nominal in [100, 200, 400, 500, 500] {
            let delay = backoff.delay();
            let nominal = Duration::from_millis(nominal);
            assert!(delay >= nominal / 2 && delay <= nominal, "{delay:?} for {nominal:?}");
        }
        backoff.reset();
        assert!(backoff.delay() <= Duration::from_millis(100));
    }
}
