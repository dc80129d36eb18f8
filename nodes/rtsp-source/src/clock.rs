//! When a frame was captured: RTP's even pace, placed on the wall clock by the camera's sender reports or by arrival.
//!
//! An RTP timestamp says how far apart frames are, not when they were. Two things can place it in time:
//!
//! * a sender report (RFC 3550 section 6.4.1), in which the camera pairs an RTP timestamp with its own wall clock. Used
//!   while that clock is within a stated distance of ours; a camera that thinks it is 1970 is not believed. RTP clocks
//!   run a little fast or slow, so a report is followed for a minute; after that, arrival carries on from where it stood.
//! * the arrival of the packets, less the network's delay ([`Arrivals`]). The even pace of RTP remains: neither jitter
//!   nor a burst enters the timestamps.
//!
//! Corrections are slewed in so gently that motion still looks even, and without ever turning time back. One of more than
//! two seconds whose cause is known (a clock was set, the first sender report came, the camera restarted its stream) is
//! applied at once and told as an [`Event`].

use crate::arrivals::Arrivals;

/// Corrections are slewed in with this time constant, in seconds of arrival ...
const TIME_CONSTANT: f64 = 1.0;
/// ... but change the time between two frames by at most this share of it, ...
const GENTLE: f64 = 0.08;
/// At most this many seconds between two frames count as time to slew in, lest one frame after a stall moves it all.
const LONGEST_STEP: f64 = 0.25;
/// ... up to this many seconds of correction. Below are most cameras' clocks, so that their first report does not look
/// like a gap, or like frames that come late. Above, a correction is applied at once if its cause is an event; otherwise
/// (a burst, a wrong frame rate) what exceeds this is slewed in at whatever slope it takes.
const SLEW_LIMIT: f64 = 2.0;
/// Slewing back takes at most this share of the time between two frames.
const SLEW_BACK_SHARE: f64 = 0.9;
/// A camera's clock that was not believed is believed again within this share of what it may be off, ...
const BELIEVED_AGAIN: f64 = 0.8;
/// ... after this many reports in a row that say so: a clock near the limit would else come and go with the jitter.
const REPORTS_IN_A_ROW: u32 = 3;
/// For this many seconds the pace of RTP is taken as true from a report on. At 0.1 % it is 60 ms off then.
const FRESH: f64 = 60.0;
/// How far the camera's clock is off arrival is measured in this many seconds after a report.
const MEASURED: f64 = 2.0;
/// RTP running ahead of arrival by more than this many seconds within one frame is a jump, not a burst.
const JUMP_AHEAD: f64 = 5.0;
/// RTP going back by more than this many seconds is a jump, not the reordering of B-frames.
const JUMP_BACK: f64 = 2.0;

/// When something arrived, by both clocks of this machine, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// A clock that is never set, from any zero.
    pub(crate) monotonic: f64,
    /// The wall clock, since 1970.
    pub(crate) wall: f64,
}

/// What the clock noticed; each is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    /// From here on capture times are the camera's, which is `ahead` seconds before our wall clock (or behind it).
    CameraClock { ahead: f64 },
    /// The camera's clock is `ahead` seconds off, which is too much: capture times come from arrival.
    CameraClockOff { ahead: f64 },
    /// A clock was set: capture times moved by this many seconds.
    Stepped { by: f64 },
    /// The camera's RTP timestamps jumped by this many seconds; capture times go on from arrival.
    RtpJump { by: f64 },
}

/// The pairing of the camera's wall clock with its RTP clock, from its sender reports.
#[derive(Clone, Copy, Debug)]
struct Report {
    /// Seconds since 1970 by the camera.
    wall: f64,
    /// The same moment in seconds of the RTP clock.
    media: f64,
    /// When it arrived, by the clock that is never set.
    arrived: f64,
    /// By how many seconds it puts frames later than arrival does.
    ahead: f64,
}

/// Maps the RTP timestamps of one stream to capture times.
#[derive(Debug)]
pub(crate) struct CaptureClock {
    /// RTP ticks in a second.
    rate: u32,
    /// How far the camera's clock may be from ours, seconds; `None` never believes it.
    max_skew: Option<f64>,
    /// What is added to RTP seconds to make capture time.
    offset: Option<f64>,
    arrivals: Arrivals,
    report: Option<Report>,
    /// Told once per run of bad reports.
    camera_is_off: bool,
    /// Good reports in a row while the camera's clock is not believed.
    good: u32,
    /// Whether `offset` follows sender reports.
    by_camera: bool,
    last: Option<Last>,
    /// An event allows a step at the next frame.
    may_step: bool,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    arrival: Arrival,
    /// The highest RTP time so far, seconds.
    media: f64,
}

impl CaptureClock {
    /// A clock for RTP timestamps of `rate` ticks a second. `max_skew` is how many seconds the camera's own clock may be
    /// off ours before arrival is taken instead; `None` takes arrival always.
    pub(crate) fn new(rate: u32, max_skew: Option<f64>) -> Self {
        Self {
            rate,
            max_skew,
            offset: None,
            arrivals: Arrivals::default(),
            report: None,
            camera_is_off: false,
            good: 0,
            by_camera: false,
            last: None,
            may_step: false,
        }
    }

    /// Takes a sender report: at `wall` (seconds since 1970 by the camera) its RTP clock, unwrapped, stood at `ticks`.
    pub(crate) fn report(&mut self, wall: f64, ticks: i64, arrival: Arrival) -> Option<Event> {
        let max_skew = self.max_skew?;
        let media = self.seconds(ticks);
        // Judged by where it puts the frames: a right time beside a wrong RTP timestamp is a wrong clock as well.
        let ahead = wall - self.wall_by_arrival(media, arrival);
        let limit = if self.camera_is_off { BELIEVED_AGAIN * max_skew } else { max_skew };
        if !ahead.is_finite() || ahead.abs() > limit {
            self.report = None;
            self.good = 0;
            let first = !std::mem::replace(&mut self.camera_is_off, true);
            return first.then_some(Event::CameraClockOff { ahead });
        }
        if self.camera_is_off {
            self.good += 1;
            if self.good < REPORTS_IN_A_ROW {
                return None;
            }
        }
        self.good = 0;
        self.camera_is_off = false;
        self.may_step = true;
        self.report = Some(Report { wall, media, arrived: arrival.monotonic, ahead });
        None
    }

    /// The capture time, in seconds since 1970, of the frame with the RTP timestamp `ticks` (unwrapped), which arrived
    /// at `arrival`. Never fails; what was noticed on the way comes beside it.
    ///
    /// Frames may come in decoding order: their timestamps may go back by as much as B-frames make them.
    pub(crate) fn capture_time(&mut self, ticks: i64, arrival: Arrival) -> (f64, Option<Event>) {
        let media = self.seconds(ticks);
        let mut event = self.notice_jump(media, arrival);
        let forward = self.last.map_or(0.0, |last| (media - last.media).max(0.0));
        let since =
            self.last.map_or(0.0, |last| arrival.monotonic - last.arrival.monotonic).clamp(0.0, LONGEST_STEP);
        self.last = Some(Last { arrival, media: self.last.map_or(media, |last| last.media.max(media)) });
        self.arrivals.add(arrival.monotonic, media);

        let (target, basis) = self.target(media, arrival);
        let offset = match self.offset {
            None => target,
            Some(offset) => {
                let correction = target - offset;
                if std::mem::take(&mut self.may_step) && correction.abs() > SLEW_LIMIT {
                    event = event.or(Some(Event::Stepped { by: correction }));
                    target
                } else {
                    // What the pace foretells needs no correction; the rest is slewed in.
                    let drift = forward * self.arrivals.drift();
                    let slewed = slew(correction - drift, since.min(forward + drift));
                    offset + (drift + slewed).max(-SLEW_BACK_SHARE * forward)
                }
            }
        };
        self.offset = Some(offset);
        (media + offset, basis.or(event))
    }

    /// RTP time that jumps starts a new run; a wall clock that was set allows a step.
    fn notice_jump(&mut self, media: f64, arrival: Arrival) -> Option<Event> {
        let last = self.last?;
        let by_rtp = media - last.media;
        let by_arrival = arrival.monotonic - last.arrival.monotonic;
        if by_rtp < -JUMP_BACK || by_rtp > by_arrival + JUMP_AHEAD {
            *self = Self { camera_is_off: self.camera_is_off, ..Self::new(self.rate, self.max_skew) };
            return Some(Event::RtpJump { by: by_rtp - by_arrival });
        }
        let set_by = (arrival.wall - last.arrival.wall) - by_arrival;
        if set_by.abs() > SLEW_LIMIT {
            self.may_step = true;
            // The camera's clock was not set with ours.
            if let Some(report) = &mut self.report {
                report.ahead -= set_by;
            }
        }
        None
    }

    fn seconds(&self, ticks: i64) -> f64 {
        ticks as f64 / f64::from(self.rate.max(1))
    }

    /// What the offset should be, and the event if what it follows changes.
    fn target(&mut self, media: f64, arrival: Arrival) -> (f64, Option<Event>) {
        let by_arrival = self.wall_by_arrival(media, arrival) - media;
        if let (Some(report), Some(max_skew)) = (&mut self.report, self.max_skew) {
            let age = arrival.monotonic - report.arrived;
            let offset = if age < FRESH {
                report.wall - report.media + (media - report.media) * self.arrivals.drift()
            } else {
                by_arrival + report.ahead
            };
            let ahead = offset - by_arrival;
            if age < MEASURED {
                report.ahead = ahead;
            }
            if ahead.abs() <= max_skew {
                let first = !std::mem::replace(&mut self.by_camera, true);
                return (offset, first.then_some(Event::CameraClock { ahead }));
            }
            self.report = None;
            self.camera_is_off = true;
            self.may_step |= std::mem::take(&mut self.by_camera);
            return (by_arrival, Some(Event::CameraClockOff { ahead }));
        }
        self.may_step |= std::mem::take(&mut self.by_camera);
        (by_arrival, None)
    }

    /// What our wall clock showed at the RTP time `media`, by the least delayed of the last frames. The delay of one
    /// packet says little: after a stall in the network all that was held back is late.
    fn wall_by_arrival(&self, media: f64, arrival: Arrival) -> f64 {
        let least = self.arrivals.least_delay(media).map(|delay| media + delay);
        least.unwrap_or(arrival.monotonic) + (arrival.wall - arrival.monotonic)
    }
}

/// The part of a correction that `step` seconds between two frames may take.
fn slew(correction: f64, step: f64) -> f64 {
    let beyond = (correction.abs() - SLEW_LIMIT).max(0.0);
    let most = step * (GENTLE + beyond / TIME_CONSTANT);
    (correction * step / TIME_CONSTANT).min(most).max(-most)
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
