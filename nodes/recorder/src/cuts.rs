//! Where segments begin: always at a key unit of the leading track, which is the video, or sound without video.

use msight_media::intervals::{FrameIntervals, PauseLimit};

use crate::ending::Ending;
use crate::unit::Unit;

/// Capture times and the camera's clock may differ by so many seconds from one unit to the next. More is a clock that was
/// set.
const CLOCK_STEP: f64 = 0.5;
/// A key unit half a frame interval before the end is taken as the end, but not more than so many seconds: times jitter.
const MAX_TOLERANCE: f64 = 0.05;
/// Longest segment, in seconds, with `--segment-duration none`.
pub(crate) const MAX_SECONDS: f64 = 3600.0;

/// When a segment ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CutRules {
    /// `--segment-duration` in seconds; `None` for no such limit.
    pub(crate) duration: Option<f64>,
    /// Whether segments begin at multiples of the duration.
    pub(crate) align: bool,
    /// Most bytes that a segment should have.
    pub(crate) bytes: u64,
    /// Most bytes that a segment can have: without a key unit until then, units are lost.
    pub(crate) max_bytes: u64,
    /// The longest pause within a segment.
    pub(crate) max_gap: PauseLimit,
}

/// What becomes of a unit of the leading track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It belongs to the open segment.
    Continue,
    /// It begins the next segment, which continues the open one.
    Cut(Ending),
    /// It begins a segment whose times do not continue those of the open one.
    Break(Ending),
    /// The open segment ends, and the unit cannot be recorded: it is not a key unit.
    Overflow,
}

/// Decides on each unit of the leading track.
#[derive(Debug)]
pub(crate) struct Cutter {
    rules: CutRules,
    intervals: FrameIntervals,
    open: Option<Open>,
}

/// The open segment.
#[derive(Debug)]
struct Open {
    /// The decoding time at which it began.
    start: i64,
    /// The capture time from which on a key unit begins the next one.
    boundary: Option<f64>,
    /// The unit before.
    last: Last,
    /// The segment ends before the next key unit, in this way.
    due: Option<Verdict>,
    /// Size of the segment at its last key unit.
    bytes_at_key: u64,
}

#[derive(Debug)]
struct Last {
    dts: i64,
    captured: f64,
    session: String,
    sets: Option<std::sync::Arc<msight_media::ParameterSets>>,
}

impl Cutter {
    pub(crate) fn new(rules: CutRules) -> Self {
        Self { rules, intervals: FrameIntervals::default(), open: None }
    }

    /// Decides on the next unit. `bytes` is the size of the open segment.
    pub(crate) fn decide(&mut self, unit: &Unit, bytes: u64) -> Verdict {
        let max_gap = self.rules.max_gap.seconds(&self.intervals);
        let Some(open) = &mut self.open else { return Verdict::Continue };
        if open.last.session != unit.session {
            return Verdict::Break(Ending::Session);
        }
        let passed = unit.seconds_since(open.last.dts);
        if passed < 0.0 || (unit.captured - open.last.captured - passed).abs() > CLOCK_STEP {
            open.due = Some(Verdict::Break(Ending::ClockStep));
        } else if passed > max_gap {
            open.due = Some(Verdict::Break(Ending::Gap));
        } else if passed > 0.0 {
            self.intervals.push(passed);
        }
        if unit.sets.is_some() && unit.sets != open.last.sets {
            open.due.get_or_insert(Verdict::Cut(Ending::ParameterSets));
        }
        let tolerance = MAX_TOLERANCE.min(self.intervals.median().unwrap_or(0.0) / 2.0);
        let verdict =
            if unit.key { open.at_key(unit, bytes, tolerance, &self.rules) } else { Verdict::Continue };
        if verdict != Verdict::Continue {
            return verdict;
        }
        if bytes.saturating_add(unit.data.len() as u64) > self.rules.max_bytes {
            return Verdict::Overflow;
        }
        open.last.advance(unit);
        Verdict::Continue
    }

    /// The segment should end before the next key unit.
    pub(crate) fn end_soon(&mut self, why: Ending) {
        if let Some(open) = &mut self.open {
            open.due.get_or_insert(Verdict::Cut(why));
        }
    }

    /// A segment begins with this unit.
    pub(crate) fn begin(&mut self, unit: &Unit) {
        let boundary = (self.rules.duration.filter(|_| self.rules.align))
            .map(|duration| ((unit.captured / duration).floor() + 1.0) * duration);
        self.open = Some(Open {
            start: unit.dts,
            boundary,
            last: Last {
                dts: unit.dts,
                captured: unit.captured,
                session: unit.session.clone(),
                sets: unit.sets.clone(),
            },
            due: None,
            bytes_at_key: 0,
        });
    }

    /// No segment is open any more.
    pub(crate) fn end(&mut self) {
        self.open = None;
    }

    /// The usual interval between units.
    pub(crate) fn intervals(&self) -> &FrameIntervals {
        &self.intervals
    }
}

impl Open {
    fn at_key(&mut self, unit: &Unit, bytes: u64, tolerance: f64, rules: &CutRules) -> Verdict {
        if let Some(verdict) = self.due {
            return verdict;
        }
        let seconds = unit.seconds_since(self.start);
        // As many bytes as between the last two key units are likely to come before the next one.
        let likely = bytes.saturating_add(bytes.saturating_sub(self.bytes_at_key));
        self.bytes_at_key = bytes;
        let is_full = match (self.boundary, rules.duration) {
            (Some(boundary), _) => unit.captured >= boundary,
            (None, Some(duration)) => seconds >= duration - tolerance,
            (None, None) => false,
        };
        if is_full {
            Verdict::Cut(Ending::Duration)
        } else if likely > rules.bytes {
            Verdict::Cut(Ending::Bytes)
        } else if rules.duration.is_none() && seconds >= MAX_SECONDS {
            Verdict::Cut(Ending::Limit)
        } else {
            Verdict::Continue
        }
    }
}

impl Last {
    fn advance(&mut self, unit: &Unit) {
        (self.dts, self.captured) = (unit.dts, unit.captured);
        if unit.sets.is_some() && unit.sets != self.sets {
            self.sets.clone_from(&unit.sets);
        }
    }
}

#[cfg(test)]
mod tests;
