//! What a frame's capture time says: shown, left out, or the start of something new.

use crate::ending::Ending;
use crate::pacing::Pacer;
use crate::rhythm::{Patience, Rhythm};

/// A capture time that lies this far before the last one, in seconds, is a clock that was set back. Anything
/// nearer is a frame that came late or twice.
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
    /// Its capture time is not after that of the frame before it.
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
}

impl Timeline {
    /// A timeline for a target rate of `fps` frames a second; `max_gap` is the longest pause within a segment.
    pub(crate) fn new(timing: Timing, fps: f64, max_gap: Patience) -> Self {
        Self { timing, pacer: Pacer::new(fps), max_gap, rhythm: Rhythm::default(), last: None }
    }

    /// How often the sensor's frames usually come.
    pub(crate) fn rhythm(&self) -> &Rhythm {
        &self.rhythm
    }

    /// Judges the frame captured at `time`, in seconds since 1970.
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
        if !forward && step >= -CLOCK_STEP {
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
