//! The usual interval between a sensor's frames, measured from their times.

use std::collections::VecDeque;

/// Number of remembered intervals: few enough to follow a camera that changes its rate within two seconds, and many
/// enough that jitter averages out.
const REMEMBERED: usize = 16;

/// The last intervals between frames, in seconds.
#[derive(Debug, Default)]
pub struct FrameIntervals {
    intervals: VecDeque<f64>,
}

impl FrameIntervals {
    /// Adds one interval, in seconds, greater than zero.
    pub fn push(&mut self, seconds: f64) {
        if self.intervals.len() == REMEMBERED {
            self.intervals.pop_front();
        }
        self.intervals.push_back(seconds);
    }

    /// Forgets the intervals that are longer than this many seconds.
    pub fn forget_longer(&mut self, seconds: f64) {
        self.intervals.retain(|&interval| interval <= seconds);
    }

    /// Number of intervals remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.intervals.len()
    }

    /// Whether no interval is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The mean interval in seconds: jitter cancels out in it, a pause does not. `None` before the first interval.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (!self.intervals.is_empty()).then(|| self.intervals.iter().sum::<f64>() / self.intervals.len() as f64)
    }

    /// The median interval in seconds, which a single pause does not move. `None` before the first interval.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.intervals.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }
}

/// The longest pause between frames of a sensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PauseLimit {
    /// These seconds, as set by the user.
    Exactly(f64),
    /// These seconds, or five of the sensor's usual intervals if that is longer: a camera that sends a frame every ten
    /// seconds is not idle in between.
    AtLeast(f64),
}

impl PauseLimit {
    /// The limit in seconds for a sensor with these intervals.
    #[must_use]
    pub fn seconds(self, intervals: &FrameIntervals) -> f64 {
        match self {
            Self::Exactly(seconds) => seconds,
            Self::AtLeast(seconds) => seconds.max(5.0 * intervals.median().unwrap_or(0.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_moves_the_mean_but_not_the_median() {
        let mut intervals = FrameIntervals::default();
        assert_eq!((intervals.mean(), intervals.median()), (None, None));
        (0..8).for_each(|_| intervals.push(0.1));
        intervals.push(60.0);
        assert_eq!(intervals.median(), Some(0.1));
        assert!(intervals.mean().unwrap() > 6.0);
        (0..REMEMBERED).for_each(|_| intervals.push(0.2));
        assert_eq!(intervals.len(), REMEMBERED);
        assert!((intervals.mean().unwrap() - 0.2).abs() < 1e-9);
    }

    #[test]
    fn the_limit_grows_with_a_slow_sensor_unless_the_user_sets_it() {
        let mut intervals = FrameIntervals::default();
        assert_eq!(PauseLimit::AtLeast(2.0).seconds(&intervals), 2.0);
        intervals.push(10.0);
        assert_eq!(PauseLimit::AtLeast(2.0).seconds(&intervals), 50.0);
        assert_eq!(PauseLimit::Exactly(2.0).seconds(&intervals), 2.0);
    }
}
