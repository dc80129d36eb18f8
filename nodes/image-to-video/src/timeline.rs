//! What a frame's capture time says: shown, left out, or the start of something new.

use crate::ending::Ending;
use crate::pacing::Pacer;
use crate::rhythm::{Patience, Rhythm};

/// A capture time that lies this far before the last one, in seconds, is a clock that was set back. One that is
/// nearer may be that of a frame that came late or twice: the frame after it tells.
const CLOCK_STEP: f64 = 5.0;

/// The first second of the year 10000, beyond which no calendar of a consumer goes.
const END_OF_TIME: f64 = 253_402_300_800.0;

/// Whether a capture time is one: finite, from 1970 on, before the year 10000.
pub(crate) fn is_usable(time: f64) -> bool {
    (0.0..END_OF_TIME).contains(&time)
}

/// What `--timing` chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Timing {
    /// Frames are shown at their capture time; those above `--fps` are left out.
    Capture,
    /// Every frame is shown, in the order it came, for 1/fps seconds: MSight's way.
    Constant,
}

/// Why a frame is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// It is above the target rate.
    Rate,
    /// Its capture time is not after that of the frame before it: it came late or twice.
    Late,
    /// Its capture time is no time: not a number, negative or absurd.
    NoTime,
}

/// The verdict on a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is shown after the frames before it.
    Keep,
    /// The open segment ends before it, for this reason, and it begins a new one.
    Restart(Ending),
    /// It is not shown.
    LeaveOut(LeftOut),
}

/// The capture times of one sensor.
#[derive(Debug)]
pub(crate) struct Timeline {
    timing: Timing,
    pacer: Pacer,
    max_gap: Patience,
    rhythm: Rhythm,
    last: Option<f64>,
    /// The time of the frame that has just been left out as late.
    late: Option<f64>,
}

impl Timeline {
    /// A timeline for a target rate of `fps` frames a second; `max_gap` is the longest pause within a segment.
    pub(crate) fn new(timing: Timing, fps: f64, max_gap: Patience) -> Self {
        Self { timing, pacer: Pacer::new(fps), max_gap, rhythm: Rhythm::default(), last: None, late: None }
    }

    /// How often the sensor's frames usually come.
    pub(crate) fn rhythm(&self) -> &Rhythm {
        &self.rhythm
    }

    /// Judges the frame captured at `time`, in seconds since 1970.
    ///
    /// Of frames that go on from an earlier time, at most the first one is left out as late: a second one that
    /// is after it says that the clock was set back.
    pub(crate) fn judge(&mut self, time: f64) -> Verdict {
        if !is_usable(time) {
            return match self.timing {
                Timing::Capture => Verdict::LeaveOut(LeftOut::NoTime),
                Timing::Constant => Verdict::Keep,
            };
        }
        let step = self.last.map_or(0.0, |last| time - last);
        let limit = self.max_gap.seconds(&self.rhythm);
        let forward = self.last.is_none() || step > 0.0;
        if step > 0.0 {
            self.rhythm.push(step);
        }
        if self.timing == Timing::Constant {
            self.last = Some(time);
            return Verdict::Keep;
        }
        let late = self.late.take();
        let goes_on = late.is_some_and(|late| time > late);
        if !forward && step >= -CLOCK_STEP && !goes_on {
            self.late = Some(time);
            return Verdict::LeaveOut(LeftOut::Late);
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
        match (self.pacer.keep(time, &self.rhythm), restart) {
            (_, Some(ending)) => Verdict::Restart(ending),
            (true, None) => Verdict::Keep,
            (false, None) => Verdict::LeaveOut(LeftOut::Rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: f64 = 1.7e9;

    fn capture() -> Timeline {
        Timeline::new(Timing::Capture, 10.0, Patience::AtLeast(2.0))
    }

    #[test]
    fn late_and_repeated_frames_are_left_out() {
        let mut line = capture();
        assert_eq!(line.judge(START), Verdict::Keep);
        assert_eq!(line.judge(START + 0.1), Verdict::Keep);
        assert_eq!(line.judge(START + 0.1), Verdict::LeaveOut(LeftOut::Late));
        assert_eq!(line.judge(START - 4.9), Verdict::LeaveOut(LeftOut::Late));
        assert_eq!(line.judge(START + 0.2), Verdict::Keep);
    }

    #[test]
    fn a_clock_set_back_begins_anew() {
        let mut line = capture();
        line.judge(START);
        assert_eq!(line.judge(START - 3600.0), Verdict::Restart(Ending::ClockStep));
        assert_eq!(line.judge(START - 3599.9), Verdict::Keep);
    }

    #[test]
    fn a_clock_set_back_by_little_costs_one_frame_at_most() {
        const LATE: Verdict = Verdict::LeaveOut(LeftOut::Late);
        const STEP: Verdict = Verdict::Restart(Ending::ClockStep);
        const KEEP: Verdict = Verdict::Keep;
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
                times.iter().map(|&tenths| line.judge(START + f64::from(tenths) / 10.0)).collect();
            assert_eq!(seen[1..], verdicts, "{case}");
        }
    }

    proptest! {
        /// However the clock of a camera jumps: as long as its times increase nothing is late, and what is shown
        /// of a segment is in order.
        #[test]
        fn only_the_first_frame_after_a_step_back_is_late(
            intervals in proptest::collection::vec(prop_oneof![4 => 0.01f64..0.3, 1 => -12.0f64..3.0, 1 => Just(0.0)], 1..200),
        ) {
            // Above what these frames may come at: none is left out for its rate.
            let mut line = Timeline::new(Timing::Capture, 10_000.0, Patience::AtLeast(2.0));
            let (mut time, mut shown) = (START, START);
            prop_assert_eq!(line.judge(time), Verdict::Keep);
            for interval in intervals {
                time += interval;
                match line.judge(time) {
                    Verdict::LeaveOut(why) => {
                        prop_assert_eq!(why, LeftOut::Late);
                        prop_assert!(interval <= 0.0 && time <= shown);
                        continue;
                    }
                    Verdict::Restart(Ending::ClockStep) => prop_assert!(time <= shown),
                    Verdict::Keep | Verdict::Restart(_) => prop_assert!(time > shown),
                }
                shown = time;
            }
        }
    }

    #[test]
    fn a_gap_begins_anew_unless_it_is_the_cameras_rhythm() {
        let mut line = capture();
        line.judge(START);
        assert_eq!(line.judge(START + 2.5), Verdict::Restart(Ending::Gap));
        assert_eq!(line.judge(START + 5.0), Verdict::Keep, "2.5 s is now its usual interval");
        assert_eq!(line.judge(START + 20.0), Verdict::Restart(Ending::Gap));
    }

    #[test]
    fn times_that_are_none_are_left_out() {
        let mut line = capture();
        for time in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(line.judge(time), Verdict::LeaveOut(LeftOut::NoTime), "{time}");
        }
        assert_eq!(line.judge(START), Verdict::Keep);
    }

    #[test]
    fn faster_frames_are_thinned() {
        let mut line = capture();
        let kept = (0..300).filter(|&k| line.judge(START + f64::from(k) / 30.0) == Verdict::Keep).count();
        assert_eq!(kept, 100);
    }

    #[test]
    fn constant_timing_takes_every_frame() {
        let mut line = Timeline::new(Timing::Constant, 10.0, Patience::AtLeast(2.0));
        for time in [START, START + 60.0, START, f64::NAN, -3.0, START + 0.001] {
            assert_eq!(line.judge(time), Verdict::Keep);
        }
    }
}
