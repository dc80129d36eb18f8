//! The times that the frames of a stream got.

use std::collections::VecDeque;

use crate::order::{MAX_PICTURES, MIN_SPACING};

/// The last presentation and capture times.
#[derive(Debug)]
pub(crate) struct Issued {
    /// Those of as many pictures as fit into a decoder. A new presentation time must differ from them.
    recent: VecDeque<(i64, f64)>,
    /// The highest presentation time, and the capture time of its frame.
    high: (i64, f64),
    /// When the last frame arrived.
    arrived: f64,
}

impl Issued {
    /// After the first frame.
    pub(crate) fn new(pts: i64, captured: f64, now: f64) -> Self {
        Self { recent: VecDeque::from([(pts, captured)]), high: (pts, captured), arrived: now }
    }

    /// The highest presentation time.
    pub(crate) fn high(&self) -> i64 {
        self.high.0
    }

    /// When the last frame arrived.
    pub(crate) fn arrived(&self) -> f64 {
        self.arrived
    }

    /// The first presentation time from `pts` on that no recent frame has.
    pub(crate) fn unused(&self, mut pts: i64) -> i64 {
        while self.recent.iter().any(|(other, _)| *other == pts) && pts < i64::MAX {
            pts += 1;
        }
        pts
    }

    /// The frame that arrived at `now` gets these times. Returns its capture time: between those of the frames before and
    /// after it in presentation order, unless time `stepped`.
    pub(crate) fn issue(&mut self, pts: i64, captured: f64, now: f64, stepped: bool) -> f64 {
        if stepped {
            self.recent.clear();
        }
        let captured = if stepped { captured } else { self.ordered(pts, captured) };
        if self.recent.len() == MAX_PICTURES {
            self.recent.pop_front();
        }
        self.recent.push_back((pts, captured));
        if pts > self.high.0 || stepped {
            self.high = (self.high.0.max(pts), captured);
        }
        self.arrived = now;
        captured
    }

    fn ordered(&self, pts: i64, captured: f64) -> f64 {
        let recent = || self.recent.iter().chain([&self.high]);
        let after = recent().filter(|(other, _)| *other > pts).map(|(_, time)| time - MIN_SPACING);
        let before = recent().filter(|(other, _)| *other < pts).map(|(_, time)| time + MIN_SPACING);
        before.fold(after.fold(captured, f64::min), f64::max)
    }
}
