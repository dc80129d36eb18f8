//! The line of presentation times of a stream: continuous, whatever its RTP timestamps do.

use super::arrival_line::ArrivalLine;
use super::issued::Issued;
use super::sequence::{Fit, JUMP_AHEAD, Sequence};
use super::trust::Trust;
use crate::clock::ClockEvent;

/// A timestamp that equals an earlier one moves the line by at most this share of the frames' spacing: the next one may be
/// right again, and has to be later.
const EQUAL_SHARE: f64 = 0.75;
/// Frames that arrive further apart than this many usual steps, and this many seconds, had a pause between them: it was
/// not jitter.
const PAUSE: (f64, f64) = (2.5, 0.2);
/// Timestamps that continue ahead of what arrival predicts, by this many usual steps or this many seconds, did not jump.
const AHEAD: (f64, f64) = (4.0, 0.3);
/// Seconds for which a sequence is known after the timestamps jumped away from it.
const FORMER: f64 = 10.0;
/// Timestamps return to a former sequence if they are at most this many seconds off what arrival predicts.
const RETURNS: f64 = 0.5;

/// Where a frame is on the line.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its presentation time.
    pub(crate) pts: i64,
    /// What the clock is to know of it; `None` if its presentation time is only an estimate.
    pub(crate) clock: Option<i64>,
    /// To be logged.
    pub(crate) event: Option<ClockEvent>,
}

/// The line, from the first frame on.
#[derive(Debug)]
pub(crate) struct Line {
    rate: f64,
    sequence: Sequence,
    /// Presentation time minus timestamp.
    shift: i64,
    /// The last timestamp did not fit: it may begin a new sequence. With it the presentation time that its frame got.
    candidate: Option<(Sequence, i64)>,
    /// The sequence before the last jump, with its shift.
    former: Option<(Sequence, i64)>,
    trust: Trust,
    /// The times that arrival gives.
    arrivals: ArrivalLine,
    /// While timestamps are useless: presentation time and time of arrival where the line by arrival begins.
    by_arrival: Option<(i64, f64)>,
    /// The times that the frames got.
    pub(crate) issued: Issued,
}

impl Line {
    /// The line of a stream with `rate` ticks a second, whose first frame has these times and arrived at `now`.
    pub(crate) fn new(rate: f64, pts: i64, captured: f64, now: f64) -> Self {
        Self {
            rate,
            sequence: Sequence::new(rate, pts, now),
            shift: 0,
            candidate: None,
            former: None,
            trust: Trust::new(),
            arrivals: ArrivalLine::new(now),
            by_arrival: None,
            issued: Issued::new(pts, captured, now),
        }
    }

    /// Whether pictures may be sent in another order than that in which they are shown.
    pub(crate) fn set_reordered(&mut self, is_reordered: bool) {
        self.sequence.is_reordered = is_reordered;
    }

    /// Places the frame with the timestamp `rtp` that arrived at `now`. At the presentation time that it passes to `early`,
    /// the frame would have been faster than all recent ones by the seconds that this returns.
    pub(crate) fn place(&mut self, rtp: u32, now: f64, early: impl Fn(i64) -> f64) -> Place {
        if let Some(origin) = self.by_arrival {
            return self.place_by_arrival(rtp, origin, now);
        }
        let ticks = self.sequence.unwrap(rtp, now);
        let fit = self.sequence.fit(ticks, now, early(ticks.saturating_add(self.shift)));
        let jump = if fit == Fit::Follows { None } else { self.jump(rtp, ticks, now) };
        let (fit, ticks) = match jump {
            Some(_) => (Fit::Follows, self.sequence.unwrap(rtp, now)),
            None => (fit, ticks),
        };
        if fit == Fit::Follows {
            self.candidate = None;
        }
        let high = if fit == Fit::Follows { ticks.max(self.sequence.high()) } else { self.sequence.high() };
        let event = self.trust.judge(fit, high as f64 / self.rate, now);
        if event.is_some() {
            let origin = (self.issued.high(), self.issued.arrived());
            self.by_arrival = Some(origin);
            (self.candidate, self.former) = (None, None);
            let pts = self.arrival_time(origin, now);
            return Place { pts, clock: Some(pts), event };
        }
        self.arrivals.observe(now);
        if fit == Fit::Follows {
            return Place { event: jump.flatten(), ..self.place_by_timestamp(ticks, now) };
        }
        let pts = self.estimate(fit, now);
        if ticks != self.sequence.high() {
            self.candidate = Some((self.sequence.restarted(ticks, now), pts));
        }
        Place { pts, clock: None, event: None }
    }

    /// The presentation time for the timestamp `rtp` of a report, unless it is unknown to which sequence it belongs.
    pub(crate) fn reported(&self, rtp: u32, now: f64) -> Option<i64> {
        let is_known = self.by_arrival.is_none() && self.candidate.is_none();
        is_known.then(|| self.sequence.unwrap(rtp, now).saturating_add(self.shift))
    }

    /// Checks whether a timestamp that does not fit continues another sequence, and switches to it. Then it returns the
    /// event, if there is one.
    fn jump(&mut self, rtp: u32, ticks: i64, now: f64) -> Option<Option<ClockEvent>> {
        let by = self.sequence.after(ticks) - self.sequence.since(now);
        let event = Some(ClockEvent::RtpJump { by });
        let candidate = self.candidate.take();
        let is_former = self.former.as_ref().is_some_and(|(former, _)| {
            let (ticks, since) = (former.unwrap(rtp, now), former.since(now));
            let off = former.after(ticks) - since;
            since <= FORMER && off.abs() <= RETURNS && former.fit(ticks, now, f64::INFINITY) == Fit::Follows
        });
        if is_former && let Some((former, shift)) = self.former.take() {
            self.switch(former, shift, now);
            return Some(event);
        }
        let (candidate, pts) = candidate?;
        if candidate.fit(candidate.unwrap(rtp, now), now, f64::INFINITY) != Fit::Follows {
            return None;
        }
        let allowed = self.sequence.step().map_or(JUMP_AHEAD, |step| AHEAD.1.max(AHEAD.0 * step));
        if (0.0..=allowed).contains(&by) {
            // The network became faster, or a reference is sent ahead of its B-frames.
            self.sequence = candidate;
            return Some(None);
        }
        let shift = pts.saturating_sub(candidate.high());
        self.switch(candidate, shift, now);
        Some(event)
    }

    fn switch(&mut self, sequence: Sequence, shift: i64, now: f64) {
        let former = std::mem::replace(&mut self.sequence, sequence);
        self.former = Some((former, std::mem::replace(&mut self.shift, shift)));
        self.trust.jump(now);
    }

    /// Places a frame whose timestamp continues the sequence.
    fn place_by_timestamp(&mut self, ticks: i64, now: f64) -> Place {
        let is_reordered = ticks < self.sequence.high();
        let step = self.sequence.step().unwrap_or_default();
        let mut clock = ticks.saturating_add(self.shift);
        let beyond = self.issued.high().saturating_sub(clock);
        if !is_reordered && beyond as f64 / self.rate > step {
            // Timestamps stood still, and go on.
            let pts = self.estimate(Fit::Follows, now);
            self.shift = self.shift.saturating_add(pts.saturating_sub(clock));
            clock = pts;
        }
        self.sequence.push(ticks, now);
        let pts = if is_reordered { clock } else { clock.max(self.issued.high().saturating_add(1)) };
        Place { pts: self.issued.unused(pts), clock: Some(clock), event: None }
    }

    /// The presentation time of a frame by its arrival, after all frames before it.
    fn estimate(&self, fit: Fit, now: f64) -> i64 {
        let since = (now - self.issued.arrived()).max(0.0);
        let spacing = self.sequence.spacing();
        let step = match (self.sequence.step(), spacing) {
            (Some(step), _) if since > (PAUSE.0 * step).max(PAUSE.1) => since - step,
            (_, Some(spacing)) if fit == Fit::Equal => since.min(EQUAL_SHARE * spacing),
            (_, Some(spacing)) => since.clamp(spacing / 2.0, spacing),
            _ => since,
        };
        self.issued.high().saturating_add(((step * self.rate) as i64).max(1))
    }

    /// Places a frame whose timestamp is useless, and checks whether timestamps are in order again.
    fn place_by_arrival(&mut self, rtp: u32, origin: (i64, f64), now: f64) -> Place {
        let ticks = self.sequence.unwrap(rtp, now);
        let fit = self.sequence.fit(ticks, now, f64::INFINITY);
        match fit {
            Fit::Follows => self.sequence.push(ticks, now),
            Fit::Equal if ticks == self.sequence.high() => {}
            Fit::Equal | Fit::Ahead | Fit::Back => {
                self.sequence = self.sequence.restarted(ticks, now);
                self.trust.jump(now);
            }
        }
        let pts = self.arrival_time(origin, now);
        let event = self.trust.judge(fit, self.sequence.high() as f64 / self.rate, now);
        if event.is_some() {
            self.by_arrival = None;
            self.shift = pts.saturating_sub(ticks);
        }
        Place { pts, clock: Some(pts), event }
    }

    /// The presentation time that arrival gives the frame that arrived at `now`, on the line from `origin`.
    fn arrival_time(&mut self, origin: (i64, f64), now: f64) -> i64 {
        let since = self.arrivals.time(now) - origin.1;
        let pts = origin.0.saturating_add((since * self.rate) as i64);
        pts.max(self.issued.high().saturating_add(1))
    }
}
