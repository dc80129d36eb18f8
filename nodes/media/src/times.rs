//! Presentation and capture times of a stream, from RTP timestamps that may be wrong.
//!
//! A timestamp that does not fit those before it (it stands still, leaps, or goes back further than B-frames do) is
//! replaced by an estimate from the frame's arrival. The next timestamp shows what happened:
//!
//! - It continues the old sequence: one timestamp was stray, and no other frame is affected.
//! - It continues the new one: the camera's timestamps jumped, and the new sequence is shifted to where arrival places it.
//!
//! So presentation times are one line for the whole stream, and the [`CaptureClock`] maps this line to capture times.
//!
//! Where too many timestamps are replaced, or their rate is too far off, they are useless ([`trust`]). Then the line follows
//! arrival alone ([`arrival_line`]) until they have been in order for a while.

mod arrival_line;
mod issued;
mod line;
mod sequence;
mod trust;

use line::{Line, Place};

use crate::clock::{Arrival, CaptureClock, ClockEvent};

/// The times of one frame, or of another unit of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// Presentation time, in ticks of the stream's RTP clock, on one line for the whole stream: different for each frame,
    /// and increasing except at B-frames.
    pub pts: i64,
    /// Capture time, in seconds since 1970. In presentation order it increases, unless `event` reports a step.
    pub captured: f64,
    /// To be logged: a change of the source of times, or a step.
    pub event: Option<ClockEvent>,
}

/// The times of the frames of one stream: of video, audio or metadata.
#[derive(Debug)]
pub struct StreamTimes {
    rate: f64,
    clock: CaptureClock,
    /// A report before the first frame.
    report: Option<(f64, u32, Arrival)>,
    is_reordered: bool,
    line: Option<Line>,
}

impl StreamTimes {
    /// For a stream whose RTP clock has `rate` ticks a second. Capture times follow the camera's clock while it differs by
    /// at most `max_skew` seconds from this machine's; otherwise, or with `None`, they follow arrival.
    #[must_use]
    pub fn new(rate: u32, max_skew: Option<f64>) -> Self {
        let clock = CaptureClock::new(rate, max_skew);
        Self { rate: f64::from(rate.max(1)), clock, report: None, is_reordered: false, line: None }
    }

    /// Whether the parameter sets of the frames from here on let pictures be sent in another order than that in which they
    /// are shown. Where they do, a timestamp further ahead of the one before it is right.
    pub fn set_reordered(&mut self, is_reordered: bool) {
        self.is_reordered = is_reordered;
        if let Some(line) = &mut self.line {
            line.set_reordered(is_reordered);
        }
    }

    /// The times of the frame with the RTP timestamp `rtp`, which arrived at `arrival`. Frames come in decoding order.
    pub fn frame(&mut self, rtp: u32, arrival: Arrival) -> Times {
        let Some(line) = &mut self.line else { return self.first(rtp, arrival) };
        let Place { pts, clock, event } =
            line.place(rtp, arrival.monotonic, |pts| self.clock.early(pts, arrival));
        if matches!(event, Some(ClockEvent::StampsUseless { .. })) {
            self.clock.follow_arrival(pts, arrival);
        }
        let (captured, stepped) = match clock {
            Some(ticks) => self.clock.advance(ticks, arrival),
            None => (self.clock.estimate(pts), None),
        };
        let captured = line.issued.issue(pts, captured, arrival.monotonic, stepped.is_some());
        Times { pts, captured, event: event.or(stepped) }
    }

    /// Applies a sender report: at `wall` (seconds since 1970 by the camera) its RTP clock was at `rtp`.
    ///
    /// A single report that contradicts those before it is ignored.
    pub fn report(&mut self, wall: f64, rtp: u32, arrival: Arrival) -> Option<ClockEvent> {
        let Some(line) = &self.line else {
            self.report = Some((wall, rtp, arrival));
            return None;
        };
        let pts = line.reported(rtp, arrival.monotonic)?;
        self.clock.report(wall, pts, arrival)
    }

    fn first(&mut self, rtp: u32, arrival: Arrival) -> Times {
        let (pts, now) = (i64::from(rtp), arrival.monotonic);
        let reported = self.report.take().and_then(|(wall, reported, at)| {
            let ticks = pts + i64::from(reported.wrapping_sub(rtp) as i32);
            self.clock.report(wall, ticks, at)
        });
        let (captured, event) = self.clock.advance(pts, arrival);
        let line = self.line.insert(Line::new(self.rate, pts, captured, now));
        line.set_reordered(self.is_reordered);
        Times { pts, captured, event: reported.or(event) }
    }
}

#[cfg(test)]
mod tests;
