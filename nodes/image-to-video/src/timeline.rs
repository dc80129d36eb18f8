//! The decision on each frame by its capture time: keep it, leave it out, or begin a new segment with it.

use crate::ending::Ending;
use crate::pacing::Pacer;
use msight_media::intervals::{FrameIntervals, PauseLimit};

/// A capture time more than this many seconds before the last one means that a clock was set back. A nearer one may
/// belong to a frame that came late or twice: the next frame tells.
const CLOCK_STEP: f64 = 5.0;

/// The first second of the year 10000, where the calendars of consumers end.
const END_OF_TIME: f64 = 253_402_300_800.0;

/// Whether a capture time is valid: finite, from 1970 on, before the year 10000.
pub(crate) fn is_valid(time: f64) -> bool {
    (0.0..END_OF_TIME).contains(&time)
}

/// The values of `--timing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Timing {
    /// Show frames at their capture time, and leave out those above --fps
    Capture,
    /// Show every frame for 1/fps seconds, in order of arrival, as MSight does
    Constant,
}

/// Why a frame is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// It is above the target rate.
    Rate,
    /// It is above the target rate only because capture times advance much more slowly than frames arrive.
    SlowClock,
    /// Its capture time is not after that of the frame before: it came late or twice.
    Late,
    /// Its capture time is invalid: not a number, negative, or after the year 9999.
    NoTime,
    /// It is a unit of a stream that was joined between two key frames.
    NoKeyFrame,
}

/// The decision on a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Show it after the frames before it.
    Keep,
    /// End the open segment for this reason, and begin a new one with this frame.
    Restart(Ending),
    /// Leave it out.
    LeaveOut(LeftOut),
}

/// The capture times of one sensor.
#[derive(Debug)]
pub(crate) struct Timeline {
    timing: Timing,
    pacer: Pacer,
    max_gap: PauseLimit,
    intervals: FrameIntervals,
    last: Option<f64>,
    /// The time of the last frame, if it was left out as late.
    late: Option<f64>,
}

impl Timeline {
    /// For a target rate of `fps` frames a second; `max_gap` is the longest pause within a segment.
    pub(crate) fn new(timing: Timing, fps: f64, max_gap: PauseLimit) -> Self {
        Self {
            timing,
            pacer: Pacer::new(fps),
            max_gap,
            intervals: FrameIntervals::default(),
            last: None,
            late: None,
        }
    }

    /// The intervals between the sensor's frames.
    pub(crate) fn intervals(&self) -> &FrameIntervals {
        &self.intervals
    }

    /// Decides on the frame captured at `time`, in seconds since 1970.
    ///
    /// Frames above the target rate are left out only if `thins` is set.
    ///
    /// Where the clock was set back, at most the first frame is left out as late: the second one, which is after it,
    /// shows that the clock was set.
    pub(crate) fn decide(&mut self, time: f64, thins: bool) -> Decision {
        if !is_valid(time) {
            return match self.timing {
                Timing::Capture => Decision::LeaveOut(LeftOut::NoTime),
                Timing::Constant => Decision::Keep,
            };
        }
        let step = self.last.map_or(0.0, |last| time - last);
        let limit = self.max_gap.seconds(&self.intervals);
        let forward = self.last.is_none() || step > 0.0;
        if step > 0.0 {
            self.intervals.push(step);
        }
        if self.timing == Timing::Constant {
            self.last = Some(time);
            return Decision::Keep;
        }
        let late = self.late.take();
        let goes_on = late.is_some_and(|late| time > late);
        if !forward && step >= -CLOCK_STEP && !goes_on {
            self.late = Some(time);
            return Decision::LeaveOut(LeftOut::Late);
        }
        self.last = Some(time);
        let restart = match forward {
            false => Some(Ending::ClockStep),
            true if step > limit => Some(Ending::Gap),
            true => None,
        };
        if restart.is_some() {
            self.pacer.restart();
        }
        if restart == Some(Ending::ClockStep) {
            // The clock may have leapt forward by as much before: that was no pause of the camera.
            self.intervals.forget_longer(-step / 2.0);
        }
        match (self.pacer.keep(time, &self.intervals), restart) {
            (_, Some(ending)) => Decision::Restart(ending),
            (false, None) if thins => Decision::LeaveOut(LeftOut::Rate),
            (_, None) => Decision::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: f64 = 1.7e9;

    fn capture() -> Timeline {
        Timeline::new(Timing::Capture, 10.0, PauseLimit::AtLeast(2.0))
    }

    #[test]
    fn late_and_repeated_frames_are_left_out() {
        let mut line = capture();
        assert_eq!(line.decide(START, true), Decision::Keep);
        assert_eq!(line.decide(START + 0.1, true), Decision::Keep);
        assert_eq!(line.decide(START + 0.1, true), Decision::LeaveOut(LeftOut::Late));
        assert_eq!(line.decide(START - 4.9, true), Decision::LeaveOut(LeftOut::Late));
        assert_eq!(line.decide(START + 0.2, true), Decision::Keep);
    }

    #[test]
    fn a_clock_set_back_begins_a_new_segment() {
        let mut line = capture();
        line.decide(START, true);
        assert_eq!(line.decide(START - 3600.0, true), Decision::Restart(Ending::ClockStep));
        assert_eq!(line.decide(START - 3599.9, true), Decision::Keep);
    }

    #[test]
    fn a_clock_set_back_by_little_costs_one_frame_at_most() {
        const LATE: Decision = Decision::LeaveOut(LeftOut::Late);
        const STEP: Decision = Decision::Restart(Ending::ClockStep);
        const KEEP: Decision = Decision::Keep;
        // Tenths of a second after the start, and the verdicts from the second of them on.
        for (case, times, verdicts) in [
            ("by 3 s", vec![0, -30, -29, -28, -27], vec![LATE, STEP, KEEP, KEEP]),
            ("by 5 s", vec![0, -50, -49, -48], vec![LATE, STEP, KEEP]),
            ("by more", vec![0, -51, -50, -49], vec![STEP, KEEP, KEEP]),
            ("by one interval", vec![0, 1, 1, 2, 3], vec![KEEP, LATE, KEEP, KEEP]),
            ("by two intervals", vec![0, 1, 2, 1, 2, 3], vec![KEEP, KEEP, LATE, STEP, KEEP]),
            ("twice", vec![0, -30, -29, -60, -59], vec![LATE, STEP, LATE, STEP]),
            ("twice at once", vec![0, -20, -40, -39, -38], vec![LATE, LATE, STEP, KEEP]),
            ("late ones that do not go on", vec![5, 2, 2, 1, 6], vec![LATE, LATE, LATE, KEEP]),
            ("late ones apart", vec![5, 2, 6, 3, 7], vec![LATE, KEEP, LATE, KEEP]),
        ] {
            let mut line = capture();
            let seen: Vec<_> =
                times.iter().map(|&tenths| line.decide(START + f64::from(tenths) / 10.0, true)).collect();
            assert_eq!(seen[1..], verdicts, "{case}");
        }
    }

    proptest! {
        /// However the clock of a camera jumps: while its times increase no frame is late, and the kept frames of a
        /// segment are in order.
        #[test]
        fn only_the_first_frame_after_a_step_back_is_late(
            intervals in proptest::collection::vec(prop_oneof![4 => 0.01f64..0.3, 1 => -12.0f64..3.0, 1 => Just(0.0)], 1..200),
        ) {
            // Above what these frames may come at: none is left out for its rate.
            let mut line = Timeline::new(Timing::Capture, 10_000.0, PauseLimit::AtLeast(2.0));
            let (mut time, mut shown) = (START, START);
            prop_assert_eq!(line.decide(time, true), Decision::Keep);
            for interval in intervals {
                time += interval;
                match line.decide(time, true) {
                    Decision::LeaveOut(why) => {
                        prop_assert_eq!(why, LeftOut::Late);
                        prop_assert!(interval <= 0.0 && time <= shown);
                        continue;
                    }
                    Decision::Restart(Ending::ClockStep) => prop_assert!(time <= shown),
                    Decision::Keep | Decision::Restart(_) => prop_assert!(time > shown),
                }
                shown = time;
            }
        }
    }

    #[test]
    fn a_gap_begins_a_new_segment_unless_the_camera_is_slow() {
        let mut line = capture();
        line.decide(START, true);
        assert_eq!(line.decide(START + 2.5, true), Decision::Restart(Ending::Gap));
        assert_eq!(line.decide(START + 5.0, true), Decision::Keep, "2.5 s is now its usual interval");
        assert_eq!(line.decide(START + 20.0, true), Decision::Restart(Ending::Gap));
    }

    #[test]
    fn a_clock_that_leaps_to_and_fro_does_not_make_the_camera_slow() {
        let mut line = capture();
        for k in 0..40 {
            let time = START + f64::from(k) / 10.0 + [0.0, 0.0, 3600.0, 3600.0][k as usize % 4];
            let restarts = matches!(line.decide(time, true), Decision::Restart(_));
            assert_eq!(restarts, k > 0 && k % 2 == 0, "{k}");
        }
    }

    #[test]
    fn invalid_times_are_left_out() {
        let mut line = capture();
        for time in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(line.decide(time, true), Decision::LeaveOut(LeftOut::NoTime), "{time}");
        }
        assert_eq!(line.decide(START, true), Decision::Keep);
    }

    #[test]
    fn faster_frames_are_thinned() {
        let mut line = capture();
        let kept =
            (0..300).filter(|&k| line.decide(START + f64::from(k) / 30.0, true) == Decision::Keep).count();
        assert_eq!(kept, 100);
    }

    #[test]
    fn constant_timing_takes_every_frame() {
        let mut line = Timeline::new(Timing::Constant, 10.0, PauseLimit::AtLeast(2.0));
        for time in [START, START + 60.0, START, f64::NAN, -3.0, START + 0.001] {
            assert_eq!(line.decide(time, true), Decision::Keep);
        }
    }
}
