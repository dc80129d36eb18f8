//! Whether the RTP timestamps of a stream are of use.

use std::collections::VecDeque;

use super::sequence::{BURST_SPACING, Fit};
use crate::clock::{ClockEvent, StampFault};

/// A timestamp that does not fit adds this much to the score; each one that fits takes 1 off.
const FAULT: u32 = 4;
/// Timestamps are useless from this score on: eight faults in a row.
const USELESS: u32 = 32;
/// So many jumps within so many seconds make timestamps useless.
const JUMPS: (usize, f64) = (4, 60.0);
/// Largest score.
const MOST: u32 = 48;
/// Timestamps are in order below this score.
const IN_ORDER: u32 = 2 * FAULT;
/// Least seconds and least frames of a measurement of the rate.
const MEASUREMENT: (f64, u32) = (0.2, 4);
/// RTP seconds per second of arrival that [`crate::arrivals`] follows.
const RATES: std::ops::RangeInclusive<f64> = 0.2..=5.0;
/// The same after the rate was outside. The margin keeps a rate near the limit from switching back and forth.
const RATES_AGAIN: std::ops::RangeInclusive<f64> = 0.25..=4.0;
/// So many measurements in a row outside of [`RATES`] make a wrong rate: at least three seconds, more than a stall
/// explains.
const WRONG: u32 = 15;
/// The same before the first measurement inside, when no good rate speaks against it.
const WRONG_AT_FIRST: u32 = 2;
/// Timestamps are used again after this many seconds in order: at first, and at most. It doubles each time.
const IN_ORDER_AGAIN: (f64, f64) = (10.0, 160.0);

/// Decides by the faults of timestamps and by their rate.
#[derive(Debug)]
pub(crate) struct Trust {
    is_useless: bool,
    /// Faults, less the frames without.
    score: u32,
    /// Faults of the last frames that were equal timestamps, in the same measure.
    equal: u32,
    /// When timestamps last jumped.
    jumps: VecDeque<f64>,
    measurement: Option<Measurement>,
    /// Measurements in a row outside of the rates that can be followed.
    wrong: u32,
    /// The frames of the last measurement came in a burst.
    is_burst: bool,
    /// A measurement was inside.
    has_rate: bool,
    /// Since when useless timestamps are in order again.
    in_order: Option<f64>,
    /// How long they have to be.
    wait: f64,
}

#[derive(Clone, Copy, Debug)]
struct Measurement {
    arrival: f64,
    media: f64,
    frames: u32,
    /// When the last frame arrived.
    last: f64,
    /// Frames that arrived in a burst.
    burst: u32,
}

impl Trust {
    /// Trusts the timestamps at first.
    pub(crate) fn new() -> Self {
        Self {
            is_useless: false,
            score: 0,
            equal: 0,
            jumps: VecDeque::new(),
            measurement: None,
            wrong: 0,
            is_burst: false,
            has_rate: false,
            in_order: None,
            wait: IN_ORDER_AGAIN.0,
        }
    }

    /// Judges the timestamp of the frame that arrived at `now`: `fit` is how it relates to those before it, and `media` the
    /// highest timestamp of its sequence, in seconds. Returns the event if timestamps become useless, or usable again.
    pub(crate) fn judge(&mut self, fit: Fit, media: f64, now: f64) -> Option<ClockEvent> {
        let fault = if fit == Fit::Follows { 0 } else { FAULT };
        self.score = (self.score.saturating_sub(1) + fault).min(MOST);
        let equal = if fit == Fit::Equal { FAULT } else { 0 };
        self.equal = (self.equal.saturating_sub(1) + equal).min(MOST);
        let rate = if fit == Fit::Follows { self.measure(media, now) } else { None };
        if self.is_useless { self.of_use_again(rate, now) } else { self.useless(rate, now) }
    }

    /// Timestamps jumped to another sequence with the frame that arrived at `now`.
    pub(crate) fn jump(&mut self, now: f64) {
        self.measurement = None;
        self.in_order = None;
        if self.jumps.len() == JUMPS.0 {
            self.jumps.pop_front();
        }
        self.jumps.push_back(now);
    }

    fn jumps_often(&self, now: f64) -> bool {
        self.jumps.len() == JUMPS.0 && self.jumps.front().is_some_and(|first| now - first < JUMPS.1)
    }

    fn useless(&mut self, rate: Option<f64>, now: f64) -> Option<ClockEvent> {
        match rate {
            Some(rate) if RATES.contains(&rate) => (self.wrong, self.has_rate) = (0, true),
            Some(rate) if rate > *RATES.end() && !self.is_burst => self.wrong += WRONG_AT_FIRST,
            Some(_) => self.wrong += 1,
            None => {}
        }
        let fault = match rate {
            _ if self.score >= USELESS && 2 * self.equal > self.score => StampFault::Standing,
            _ if self.score >= USELESS || self.jumps_often(now) => StampFault::Erratic,
            Some(rate) if self.wrong >= if self.has_rate { WRONG } else { WRONG_AT_FIRST } => {
                StampFault::Rate { rate }
            }
            _ => return None,
        };
        self.is_useless = true;
        self.in_order = None;
        Some(ClockEvent::StampsUseless { fault })
    }

    fn of_use_again(&mut self, rate: Option<f64>, now: f64) -> Option<ClockEvent> {
        if self.score >= IN_ORDER || rate.is_some_and(|rate| !RATES_AGAIN.contains(&rate)) {
            self.in_order = None;
            return None;
        }
        rate?;
        let since = *self.in_order.get_or_insert(now);
        if now - since < self.wait {
            return None;
        }
        let wait = (2.0 * self.wait).min(IN_ORDER_AGAIN.1);
        *self = Self { wait, has_rate: true, ..Self::new() };
        Some(ClockEvent::StampsUsable)
    }

    /// RTP seconds per second of arrival, when a measurement is complete.
    fn measure(&mut self, media: f64, now: f64) -> Option<f64> {
        let begin = Measurement { arrival: now, media, frames: 0, last: now, burst: 0 };
        let current = self.measurement.get_or_insert(begin);
        let is_close = current.frames > 0 && now - current.last < BURST_SPACING;
        current.burst += u32::from(is_close);
        current.frames += 1;
        current.last = now;
        let seconds = now - current.arrival;
        if seconds < MEASUREMENT.0 || current.frames <= MEASUREMENT.1 {
            return None;
        }
        let rate = (media - current.media) / seconds;
        self.is_burst = 2 * current.burst > current.frames;
        self.measurement = Some(Measurement { frames: 1, ..begin });
        Some(rate)
    }
}
