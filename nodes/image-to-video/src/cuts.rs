//! How often a segment may end before it is full: where sizes alternate or a clock leaps to and fro, each frame would
//! otherwise be a segment of its own, with two uploads.

use std::time::{Duration, Instant};

/// Early ends in a row.
pub(crate) const BURST: u32 = 10;
/// Time in which one more becomes possible.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

/// A token bucket for the early ends of one sensor's segments: in any time span `t` there are at most
/// `BURST + 1 + t / INTERVAL`.
#[derive(Debug)]
pub(crate) struct CutBudget {
    tokens: u32,
    /// When the bucket was full, or got its last token.
    filled: Instant,
}

impl CutBudget {
    /// A full one.
    pub(crate) fn new(now: Instant) -> Self {
        Self { tokens: BURST, filled: now }
    }

    /// Takes a token. Returns `false` without one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let has_token = self.has_token(now);
        self.tokens = self.tokens.saturating_sub(1);
        has_token
    }

    /// Whether there is a token.
    pub(crate) fn has_token(&mut self, now: Instant) -> bool {
        while self.tokens < BURST && now.saturating_duration_since(self.filled) >= INTERVAL {
            self.tokens += 1;
            self.filled += INTERVAL;
        }
        if self.tokens == BURST {
            self.filled = now;
        }
        self.tokens > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn early_ends_are_bounded_in_any_time_span(pauses in proptest::collection::vec(
            prop_oneof![6 => 0u64..300, 1 => 0u64..200_000], 1..500,
        )) {
            let start = Instant::now();
            let mut budget = CutBudget::new(start);
            let mut now = start;
            let mut cuts = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                if budget.take(now) {
                    cuts.push(now);
                }
            }
            for (first, from) in cuts.iter().enumerate() {
                for (more, to) in cuts[first..].iter().enumerate() {
                    let most = f64::from(BURST) + 1.0 + (*to - *from).as_secs_f64() / INTERVAL.as_secs_f64();
                    prop_assert!((more + 1) as f64 <= most + 1e-9);
                }
            }
        }
    }

    #[test]
    fn a_rest_fills_it() {
        let start = Instant::now();
        let mut budget = CutBudget::new(start);
        let taken = |budget: &mut CutBudget, now| (0..20).filter(|_| budget.take(now)).count();
        assert_eq!(taken(&mut budget, start), 10);
        assert_eq!(taken(&mut budget, start + INTERVAL), 1);
        assert_eq!(taken(&mut budget, start + Duration::from_secs(3600)), 10);
    }
}
