//! Times of frames whose timestamps are useless, from arrival alone.

use std::collections::VecDeque;

/// Number of arrivals whose mean spacing is the frame interval.
const ARRIVALS: usize = 64;
/// Share of its delay by which a late frame moves the line.
const GAIN: f64 = 0.05;
/// Most seconds by which a frame's time is before its arrival.
pub(crate) const MAX_LAG: f64 = 0.5;

/// A phase-locked line through the arrivals: frames follow each other at their mean interval, as early as the fastest of
/// them. So jitter is smoothed, and the frames of a burst after a stall are spread over the stall, up to [`MAX_LAG`].
#[derive(Debug)]
pub(crate) struct ArrivalLine {
    /// The last time.
    last: f64,
    arrivals: VecDeque<f64>,
}

impl ArrivalLine {
    /// A line from the time `last`, in seconds of arrival.
    pub(crate) fn new(last: f64) -> Self {
        Self { last, arrivals: VecDeque::new() }
    }

    /// A frame arrived at `now`, whose time is given by other means.
    pub(crate) fn observe(&mut self, now: f64) {
        self.push(now);
        self.last = now;
    }

    /// The time of the frame that arrived at `now`: at most its arrival, unless that is before the last time.
    pub(crate) fn time(&mut self, now: f64) -> f64 {
        let since = self.arrivals.back().map_or(now - self.last, |last| now - last);
        self.push(now);
        let interval = self.interval();
        let predicted = self.last + interval;
        let is_burst = since < interval / 2.0;
        let gain = if is_burst { 0.0 } else { GAIN };
        let time = now.min(predicted + gain * (now - predicted));
        self.last = time.max(now - MAX_LAG).max(self.last);
        self.last
    }

    fn push(&mut self, now: f64) {
        if self.arrivals.len() == ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(now);
    }

    /// Mean spacing of the last arrivals, in seconds.
    fn interval(&self) -> f64 {
        let intervals = self.arrivals.len().saturating_sub(1).max(1) as f64;
        match (self.arrivals.front(), self.arrivals.back()) {
            (Some(first), Some(last)) => ((last - first) / intervals).max(0.0),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_after_a_stall_is_spread_over_it() {
        let mut line = ArrivalLine::new(0.0);
        let times: Vec<f64> = (1..100)
            .map(|i| {
                let arrival = f64::from(i) / 10.0;
                // Nothing arrives from 5 s to 5.4 s.
                line.time(if (5.0..5.4).contains(&arrival) { 5.4 } else { arrival })
            })
            .collect();
        let steps: Vec<f64> = times.windows(2).skip(5).map(|w| w[1] - w[0]).collect();
        // The line moves a little with the first frame of the burst, so the last one has no room before its arrival.
        let odd: Vec<_> = steps.iter().filter(|step| !(0.05..0.16).contains(*step)).collect();
        assert!(odd.len() <= 1, "{odd:?}");
        assert!((times[98] - 9.9).abs() < 0.05, "{}", times[98]);
    }

    #[test]
    fn jitter_is_smoothed() {
        let mut line = ArrivalLine::new(0.0);
        let mut last = None;
        for i in 0..1000_u32 {
            let jitter = f64::from(i * 7919 % 97) / 97.0 * 0.05;
            let time = line.time(f64::from(i) / 25.0 + jitter);
            if let Some(last) = last.replace(time).filter(|_| i > 200) {
                assert!((0.01..0.06).contains(&(time - last)), "{i}: {}", time - last);
            }
        }
    }
}
