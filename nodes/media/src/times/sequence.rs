//! One sequence of RTP timestamps, and which timestamp can continue it.

use std::collections::VecDeque;

use crate::order::MAX_PICTURES;

/// Number of steps whose median is the usual step.
const STEPS: usize = 9;
/// Number of steps that make a usual step.
const KNOWN_STEPS: usize = 3;
/// RTP time may run ahead of arrival by so many usual steps within one frame.
const AHEAD_STEPS: f64 = 1.5;
/// The same where pictures may be reordered: a reference is sent ahead of its B-frames, of which common encoders make up to
/// this many.
const AHEAD_STEPS_REORDERED: f64 = 8.5;
/// RTP time may always run ahead of arrival by so many seconds within one frame.
const LEAST_AHEAD: f64 = 0.02;
/// Before the usual step is known, RTP time may run ahead of arrival by so many times the arrival's step.
const AHEAD_ARRIVALS: f64 = 4.0;
/// Frames that arrive closer together than this many seconds are a burst.
pub(crate) const BURST_SPACING: f64 = 0.008;
/// Before the usual step is known, RTP time may run ahead by so many seconds within one frame of a burst.
pub(crate) const JUMP_AHEAD: f64 = 5.0;
/// RTP time may go back by so many seconds where the first B-frames of a stream are.
const FIRST_REORDERING: f64 = 2.0;
/// So many timestamps in a row may go back: a pyramid of B-frames has a level for each.
const DESCENTS: u32 = 4;
/// Longest time between two frames that counts, in seconds: a hundred years.
const LONGEST: f64 = 3e9;

/// How a timestamp relates to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It continues the sequence.
    Follows,
    /// It equals an earlier one.
    Equal,
    /// It is later than the frame's arrival allows.
    Ahead,
    /// It is earlier than B-frames can be.
    Back,
}

/// The timestamps of one sequence, unwrapped, in fixed memory.
#[derive(Debug)]
pub(crate) struct Sequence {
    rate: f64,
    /// Pictures may be sent in another order than that in which they are shown.
    pub(crate) is_reordered: bool,
    /// The highest timestamp.
    high: i64,
    /// When its frame arrived, in seconds.
    arrived: f64,
    /// The highest timestamps before the last two steps forward. B-frames lie above the second one: they fill the gap
    /// that their reference opened.
    before: [Option<i64>; 2],
    /// Timestamps in a row that went back, in decoding order.
    descents: u32,
    /// The last steps forward.
    steps: VecDeque<i64>,
    /// The last timestamps, of as many pictures as fit into a decoder. A new one is compared with them.
    recent: VecDeque<i64>,
}

impl Sequence {
    /// A sequence of `rate` ticks a second that begins with `ticks`, whose frame arrived at `arrived` (seconds).
    pub(crate) fn new(rate: f64, ticks: i64, arrived: f64) -> Self {
        let recent = VecDeque::from([ticks]);
        Self {
            rate,
            is_reordered: false,
            high: ticks,
            arrived,
            before: [None; 2],
            descents: 0,
            steps: VecDeque::new(),
            recent,
        }
    }

    /// The same stream's new sequence: the usual step remains.
    pub(crate) fn restarted(&self, ticks: i64, arrived: f64) -> Self {
        Self {
            is_reordered: self.is_reordered,
            steps: self.steps.clone(),
            descents: self.descents,
            ..Self::new(self.rate, ticks, arrived)
        }
    }

    /// The highest timestamp.
    pub(crate) fn high(&self) -> i64 {
        self.high
    }

    /// The usual step forward, in seconds.
    pub(crate) fn step(&self) -> Option<f64> {
        let mut sorted = [0; STEPS];
        let steps = &mut sorted[..self.steps.len()];
        steps.iter_mut().zip(&self.steps).for_each(|(sorted, step)| *sorted = *step);
        steps.sort_unstable();
        (steps.len() >= KNOWN_STEPS).then(|| steps[steps.len() / 2] as f64 / self.rate)
    }

    /// The least time between two recent frames in presentation order, in seconds.
    pub(crate) fn spacing(&self) -> Option<f64> {
        let mut recent: Vec<_> = self.recent.iter().copied().collect();
        recent.sort_unstable();
        let least = recent.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min()?;
        (recent.len() > KNOWN_STEPS).then_some(least as f64 / self.rate)
    }

    /// The timestamp `rtp` on this sequence's axis: the value nearest to the one that arrival predicts, so that any pause
    /// is allowed.
    pub(crate) fn unwrap(&self, rtp: u32, now: f64) -> i64 {
        let predicted = self.high.saturating_add((self.since(now) * self.rate) as i64);
        predicted.saturating_add(i64::from(rtp.wrapping_sub(predicted as u32) as i32))
    }

    /// Seconds of arrival since the frame with the highest timestamp.
    pub(crate) fn since(&self, now: f64) -> f64 {
        (now - self.arrived).clamp(0.0, LONGEST)
    }

    /// Seconds by which `ticks` is after the highest timestamp.
    pub(crate) fn after(&self, ticks: i64) -> f64 {
        ticks.saturating_sub(self.high) as f64 / self.rate
    }

    /// Whether `ticks` continues the sequence at the arrival time `now`. Its frame would have been faster than all recent
    /// ones by `early` seconds: after a stall, timestamps may run ahead of arrival until they have caught up.
    pub(crate) fn fit(&self, ticks: i64, now: f64, early: f64) -> Fit {
        if self.recent.contains(&ticks) {
            return Fit::Equal;
        }
        let (after, since) = (self.after(ticks), self.since(now));
        if after < 0.0 {
            let is_reordered = match self.before[1] {
                Some(floor) => ticks > floor,
                None => after > -FIRST_REORDERING,
            };
            let is_reordered = is_reordered && !(self.descends(ticks) && self.descents >= DESCENTS);
            return if is_reordered { Fit::Follows } else { Fit::Back };
        }
        let tolerance = self.tolerance(since);
        if after > since + tolerance && early > tolerance { Fit::Ahead } else { Fit::Follows }
    }

    /// Whether `ticks` is before the last timestamp.
    fn descends(&self, ticks: i64) -> bool {
        self.recent.back().is_some_and(|last| ticks < *last)
    }

    /// Seconds by which RTP time may run ahead of arrival within one frame.
    pub(crate) fn tolerance(&self, since: f64) -> f64 {
        let steps = if self.is_reordered { AHEAD_STEPS_REORDERED } else { AHEAD_STEPS };
        match self.step() {
            Some(step) => (steps * step).max(LEAST_AHEAD),
            None if since >= BURST_SPACING => AHEAD_ARRIVALS.max(steps) * since,
            None => JUMP_AHEAD,
        }
    }

    /// The frame with `ticks`, which continues the sequence, arrived at `now`.
    pub(crate) fn push(&mut self, ticks: i64, now: f64) {
        self.descents = if self.descends(ticks) { self.descents.saturating_add(1) } else { 0 };
        if self.recent.len() == MAX_PICTURES {
            self.recent.pop_front();
        }
        self.recent.push_back(ticks);
        if ticks > self.high {
            if self.steps.len() == STEPS {
                self.steps.pop_front();
            }
            self.steps.push_back(ticks.saturating_sub(self.high));
            self.before = [Some(self.high), self.before[0]];
            self.high = ticks;
            self.arrived = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The timestamps, in frames of 25 a second that arrive evenly, which do not fit.
    fn faults(stamps: &[i64]) -> Vec<(usize, Fit)> {
        let mut sequence = Sequence::new(90_000.0, stamps[0] * 3600, 0.0);
        let mut faults = Vec::new();
        for (i, stamp) in stamps.iter().enumerate().skip(1) {
            let now = i as f64 * 0.04;
            match sequence.fit(stamp * 3600, now, f64::INFINITY) {
                Fit::Follows => sequence.push(stamp * 3600, now),
                fault => faults.push((i, fault)),
            }
        }
        faults
    }

    #[test]
    fn b_frames_are_no_fault() {
        for stamps in [
            &[0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11][..],
            // The first B-frames belong to a picture before the stream.
            &[2, 0, 1, 5, 3, 4, 8, 6, 7, 11, 9, 10],
            // A pyramid, and lost frames.
            &[0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11, 16, 14, 20, 18, 17, 19],
            // Two references before the B-frames.
            &[0, 2, 4, 1, 3, 6, 8, 5, 7, 10, 12, 9, 11],
        ] {
            assert_eq!(faults(stamps), [], "{stamps:?}");
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let stamps = [0, 1, 2, 3, 4, 5, 5, 7, 90, 9, 2_000_000, -4, 12, 12, 12, 12, 16, -90, 18];
        let standing = [(6, Fit::Equal), (13, Fit::Equal), (14, Fit::Equal), (15, Fit::Equal)];
        let jumps = [(8, Fit::Ahead), (10, Fit::Ahead), (11, Fit::Back), (17, Fit::Back)];
        let mut wanted = [standing, jumps].concat();
        wanted.sort_by_key(|(i, _)| *i);
        assert_eq!(faults(&stamps), wanted);
    }

    #[test]
    fn timestamps_wrap_and_pauses_are_of_any_length() {
        let sequence = Sequence::new(90_000.0, 0xFFFF_FF00, 0.0);
        assert_eq!(sequence.unwrap(0x100, 0.1), 0x1_0000_0100);
        assert_eq!(sequence.unwrap(0xFFFF_FE00, 0.1), 0xFFFF_FE00);
        // A day: 1.8 times around.
        let day = 86_400 * 90_000;
        let rtp = (0xFFFF_FF00_i64 + day) as u32;
        assert_eq!(sequence.unwrap(rtp, 86_401.0), 0xFFFF_FF00 + day);
        assert_eq!(sequence.fit(0xFFFF_FF00 + day, 86_400.0, f64::INFINITY), Fit::Follows);
    }
}
