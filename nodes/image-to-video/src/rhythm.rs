//! How often a sensor's frames usually come, learnt from their times.

use std::collections::VecDeque;

/// Intervals that are remembered. Few enough to follow a camera that changes its rate within two seconds,
/// many enough that jitter averages out.
const REMEMBERED: usize = 16;

/// The last intervals between frames, in seconds.
#[derive(Debug, Default)]
pub(crate) struct Rhythm {
    intervals: VecDeque<f64>,
}

impl Rhythm {
    /// Adds one interval, in seconds, greater than zero.
    pub(crate) fn push(&mut self, seconds: f64) {
        if self.intervals.len() == REMEMBERED {
            self.intervals.pop_front();
        }
        self.intervals.push_back(seconds);
    }

    /// Number of intervals remembered.
    pub(crate) fn len(&self) -> usize {
        self.intervals.len()
    }

    /// The mean interval in seconds: jitter cancels out in it, a pause does not. `None` at the beginning.
    pub(crate) fn mean(&self) -> Option<f64> {
        (!self.intervals.is_empty()).then(|| self.intervals.iter().sum::<f64>() / self.intervals.len() as f64)
    }

    /// The median interval in seconds, which a single pause does not move. `None` at the beginning.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.intervals.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }
}

/// How long a sensor may be quiet before something is done about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Patience {
    /// Exactly these seconds, as the user said.
    Exactly(f64),
    /// These seconds, or five of the sensor's usual intervals where that is longer: a camera that sends a frame
    /// every ten seconds is not quiet in between.
    AtLeast(f64),
}

impl Patience {
    /// The patience in seconds with a sensor of this rhythm.
    pub(crate) fn seconds(self, rhythm: &Rhythm) -> f64 {
        match self {
            Self::Exactly(seconds) => seconds,
            Self::AtLeast(seconds) => seconds.max(5.0 * rhythm.median().unwrap_or(0.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_moves_the_mean_but_not_the_median() {
        let mut rhythm = Rhythm::default();
        assert_eq!((rhythm.mean(), rhythm.median()), (None, None));
        (0..8).for_each(|_| rhythm.push(0.1));
        rhythm.push(60.0);
        assert_eq!(rhythm.median(), Some(0.1));
        assert!(rhythm.mean().unwrap() > 6.0);
        (0..REMEMBERED).for_each(|_| rhythm.push(0.2));
        assert_eq!(rhythm.len(), REMEMBERED);
        assert!((rhythm.mean().unwrap() - 0.2).abs() < 1e-9);
    }

    #[test]
    fn patience_grows_with_a_slow_sensor_unless_the_user_fixed_it() {
        let mut rhythm = Rhythm::default();
        assert_eq!(Patience::AtLeast(2.0).seconds(&rhythm), 2.0);
        rhythm.push(10.0);
        assert_eq!(Patience::AtLeast(2.0).seconds(&rhythm), 50.0);
        assert_eq!(Patience::Exactly(2.0).seconds(&rhythm), 2.0);
    }
}
