//! Which frames a video of `--fps` shows, by capture time.
//!
//! The schedule is the generic cell rate algorithm (ITU-T I.371, "virtual scheduling"): each kept frame moves the due time
//! of the next one by one interval, and a frame may be early by some tolerance. If the source is clearly faster than the
//! target, the tolerance is half a source interval to both sides, which keeps the frame nearest to each due time: evenly,
//! in spite of jitter, and at the target rate. Otherwise it is two target intervals, so that a source of the same rate
//! loses no frame to jitter.

use msight_media::intervals::FrameIntervals;

/// A source is clearly faster than the target if its mean interval is below this part of the target's.
const CLEARLY_FASTER: f64 = 0.9;
/// The same while few intervals are known, when jitter matters more.
const CLEARLY_FASTER_AT_FIRST: f64 = 0.6;
/// Number of intervals that make a reliable mean.
const RELIABLE: usize = 4;

/// How far a frame may be from its due time, in seconds.
struct Tolerance {
    /// A frame that is earlier than this is left out.
    early: f64,
    /// A frame that is later than this restarts the schedule.
    late: f64,
}

/// Chooses frames so that at most a target rate remains.
///
/// In any time span of `t` seconds at most `rate * t + 3.5` frames are kept.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Seconds between frames at the target rate.
    interval: f64,
    /// When the next frame is due, in capture time. `None` before the first.
    due: Option<f64>,
}

impl Pacer {
    /// A pacer to `rate` frames a second, greater than zero.
    pub(crate) fn new(rate: f64) -> Self {
        Self { interval: 1.0 / rate, due: None }
    }

    /// Whether to keep the frame captured at `time` (seconds); `intervals` are those of the source up to this frame.
    /// Times must increase from call to call.
    pub(crate) fn keep(&mut self, time: f64, intervals: &FrameIntervals) -> bool {
        let due = self.due.unwrap_or(time);
        let Tolerance { early, late } = self.tolerance(intervals);
        if time < due - early {
            return false;
        }
        self.due = Some(due.max(time - late) + self.interval);
        true
    }

    /// Forgets the schedule. The next frame is kept, whatever its time.
    pub(crate) fn restart(&mut self) {
        self.due = None;
    }

    fn tolerance(&self, intervals: &FrameIntervals) -> Tolerance {
        let faster = if intervals.len() < RELIABLE { CLEARLY_FASTER_AT_FIRST } else { CLEARLY_FASTER };
        match intervals.mean() {
            Some(mean) if mean < faster * self.interval => Tolerance { early: mean / 2.0, late: mean / 2.0 },
            _ => Tolerance { early: 2.0 * self.interval, late: 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The times that a pacer keeps of increasing times.
    fn kept(rate: f64, times: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut intervals = FrameIntervals::default();
        let mut pacer = Pacer::new(rate);
        let mut last = None;
        times
            .into_iter()
            .filter(|&time| {
                if let Some(last) = last.replace(time) {
                    intervals.push(time - last);
                }
                pacer.keep(time, &intervals)
            })
            .collect()
    }

    fn camera(rate: f64, frames: u32) -> impl Iterator<Item = f64> {
        (0..frames).map(move |k| 1.7e9 + f64::from(k) / rate)
    }

    #[test]
    fn thirty_to_ten_is_every_third_frame() {
        let times = kept(10.0, camera(30.0, 900));
        assert_eq!(times.len(), 300);
        assert!(times.windows(2).all(|w| (w[1] - w[0] - 0.1).abs() < 1e-6));
    }

    #[test]
    fn uneven_ratios_keep_the_target_rate_evenly() {
        for source in [11.0, 12.5, 15.0, 20.0, 24.0, 25.0, 29.97, 50.0, 60.0] {
            let times = kept(10.0, camera(source, (source * 60.0) as u32));
            assert!((598..=602).contains(&times.len()), "{source}: {}", times.len());
            let settled = &times[20..];
            let longest = settled.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
            assert!(longest < 0.1 + 1.01 / source, "{source}: {longest}");
        }
    }

    #[test]
    fn slower_sources_pass_whole() {
        for source in [0.2, 1.0, 5.0, 9.9, 10.0] {
            assert_eq!(kept(10.0, camera(source, 300)).len(), 300, "{source}");
        }
    }

    proptest! {
        /// Jitter of a fifth of the interval either way loses nothing, and thinning stays near the target.
        #[test]
        fn jitter_is_tolerated(jitter in proptest::collection::vec(-0.2f64..0.2, 200)) {
            let same = jitter.iter().enumerate().map(|(k, j)| 1.7e9 + (k as f64 + j) / 10.0);
            prop_assert_eq!(kept(10.0, same).len(), 200);
            let triple = jitter.iter().enumerate().map(|(k, j)| 1.7e9 + (k as f64 + j) / 30.0);
            let kept = kept(10.0, triple).len();
            prop_assert!((65..=69).contains(&kept), "{}", kept);
        }

        #[test]
        fn never_above_the_rate(
            rate in 1.0f64..60.0,
            intervals in proptest::collection::vec(prop_oneof![0.0001f64..0.2, 0.001f64..0.01, 0.5f64..20.0], 1..400),
        ) {
            let mut time = 1.7e9;
            let times = kept(rate, intervals.into_iter().map(|interval| { time += interval; time }));
            for (first, a) in times.iter().enumerate() {
                for (frames, b) in times[first..].iter().enumerate() {
                    prop_assert!((frames + 1) as f64 <= rate * (b - a) + 3.5 + 1e-6);
                }
            }
        }
    }
}
