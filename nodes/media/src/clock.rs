//! Capture times of frames, from RTP timestamps and the wall clock.
//!
//! RTP timestamps give the time between frames, but not the time of day. That comes from two sources:
//!
//! * A sender report (RFC 3550, section 6.4.1), in which the camera pairs an RTP timestamp with its own wall clock. The
//!   report is used while the camera's clock is within `max_skew` of this machine's, so a camera set to 1970 is
//!   ignored. RTP clocks run a little fast or slow, so a report applies for a minute. Later capture times advance with
//!   arrival.
//! * The arrival of the packets, minus the network's delay ([`Arrivals`]). The time between frames still comes from
//!   RTP, so jitter and bursts do not affect capture times.
//!
//! Corrections are slewed (applied gradually), so motion looks even and time never goes back. A correction of more than
//! two seconds with a known cause (a clock was set, the first sender report came, timestamps became useless) is applied at
//! once and reported as a [`ClockEvent`].
//!
//! The timestamps must not jump: [`StreamTimes`](crate::StreamTimes) replaces those that do.

mod event;

pub use event::{ClockEvent, StampFault};

use crate::arrivals::Arrivals;

/// Time constant of the slewing, in seconds of arrival.
const TIME_CONSTANT: f64 = 1.0;
/// Slewing changes the time between two frames by at most this share, while the correction is below [`SLEW_LIMIT`].
const MAX_SLEW: f64 = 0.08;
/// Slewing counts at most this many seconds between two frames, so that one frame after a stall does not apply the
/// whole correction.
const LONGEST_STEP: f64 = 0.25;
/// Corrections of more than this many seconds are applied at once if an event explains them. Otherwise (a burst, a
/// wrong frame rate) the excess is slewed at any rate. Most cameras' clocks are off by less, so their first report
/// causes neither a gap nor late frames.
const SLEW_LIMIT: f64 = 2.0;
/// Slewing back takes at most this share of the time between two frames.
const SLEW_BACK_SHARE: f64 = 0.9;
/// A rejected camera clock is accepted again within this share of the allowed skew. Without this margin, jitter would
/// switch a clock near the limit on and off.
const ACCEPTED_AGAIN: f64 = 0.8;
/// A rejected camera clock is accepted again after this many good reports in a row.
const GOOD_REPORTS: u32 = 3;
/// For this many seconds after a report, the RTP clock counts as exact. A rate error of 0.1 % adds up to 60 ms in that
/// time.
const FRESH: f64 = 60.0;
/// For this many seconds after a report, the difference between camera clock and arrival is measured.
const MEASURED: f64 = 2.0;

/// When a packet arrived, by both clocks of this machine, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The monotonic clock, from any zero.
    pub monotonic: f64,
    /// The wall clock, since 1970.
    pub wall: f64,
}

/// The pairing of the camera's wall clock with its RTP clock, from its sender reports.
#[derive(Clone, Copy, Debug)]
struct SenderReport {
    /// Seconds since 1970 by the camera.
    wall: f64,
    /// The same moment in seconds of the RTP clock.
    media: f64,
    /// When the report arrived, by the monotonic clock.
    arrived: f64,
    /// Seconds by which the report places frames later than arrival does.
    ahead: f64,
}

/// Maps the RTP timestamps of one stream to capture times.
#[derive(Debug)]
pub(crate) struct CaptureClock {
    /// RTP ticks in a second.
    rate: u32,
    /// Largest accepted difference between the camera's clock and this machine's, seconds; `None` ignores the camera's
    /// clock.
    max_skew: Option<f64>,
    /// Capture time minus RTP time, seconds.
    offset: Option<f64>,
    arrivals: Arrivals,
    report: Option<SenderReport>,
    /// The last report was out of range after a good one, and was ignored. A second one in a row rejects the camera's
    /// clock.
    ignored: bool,
    /// The last report was rejected. Only the first rejection in a row emits an event.
    camera_is_off: bool,
    /// Good reports in a row while the camera's clock is rejected.
    good: u32,
    /// Whether `offset` follows sender reports.
    by_camera: bool,
    last: Option<LastFrame>,
    /// An event allows a step at the next frame.
    may_step: bool,
}

#[derive(Clone, Copy, Debug)]
struct LastFrame {
    arrival: Arrival,
    /// The highest RTP time so far, seconds.
    media: f64,
}

impl CaptureClock {
    /// A clock for RTP timestamps of `rate` ticks a second. Capture times follow the camera's clock while it differs by
    /// at most `max_skew` seconds from this machine's; otherwise, or with `None`, they follow arrival.
    pub(crate) fn new(rate: u32, max_skew: Option<f64>) -> Self {
        Self {
            rate,
            max_skew,
            offset: None,
            arrivals: Arrivals::default(),
            report: None,
            ignored: false,
            camera_is_off: false,
            good: 0,
            by_camera: false,
            last: None,
            may_step: false,
        }
    }

    /// Applies a sender report: at `wall` (seconds since 1970 by the camera) its RTP clock, unwrapped, was at `ticks`.
    pub(crate) fn report(&mut self, wall: f64, ticks: i64, arrival: Arrival) -> Option<ClockEvent> {
        let max_skew = self.max_skew?;
        let media = self.seconds(ticks);
        // The check uses the capture times that the report leads to. So it also rejects a right wall clock with a wrong
        // RTP timestamp.
        let ahead = wall - self.wall_by_arrival(media, arrival);
        let limit = if self.camera_is_off { ACCEPTED_AGAIN * max_skew } else { max_skew };
        if !ahead.is_finite() || ahead.abs() > limit {
            // One stray report among good ones changes nothing.
            if self.report.is_some() && !std::mem::replace(&mut self.ignored, true) {
                return None;
            }
            self.report = None;
            self.good = 0;
            let first = !std::mem::replace(&mut self.camera_is_off, true);
            return first.then_some(ClockEvent::CameraClockOff { ahead });
        }
        if self.camera_is_off {
            self.good += 1;
            if self.good < GOOD_REPORTS {
                return None;
            }
        }
        self.good = 0;
        self.ignored = false;
        self.camera_is_off = false;
        self.may_step = true;
        self.report = Some(SenderReport { wall, media, arrived: arrival.monotonic, ahead });
        None
    }

    /// The capture time, in seconds since 1970, of the frame with the RTP timestamp `ticks` (unwrapped), which arrived
    /// at `arrival`. With it comes the event, if the source of capture times changed or time stepped.
    ///
    /// Frames come in decoding order, so timestamps may go back at B-frames.
    pub(crate) fn advance(&mut self, ticks: i64, arrival: Arrival) -> (f64, Option<ClockEvent>) {
        let media = self.seconds(ticks);
        self.detect_set_clock(arrival);
        let mut event = None;
        let forward = self.last.map_or(0.0, |last| (media - last.media).max(0.0));
        let since =
            self.last.map_or(0.0, |last| arrival.monotonic - last.arrival.monotonic).clamp(0.0, LONGEST_STEP);
        self.last = Some(LastFrame { arrival, media: self.last.map_or(media, |last| last.media.max(media)) });
        self.arrivals.add(arrival.monotonic, media);

        let (target, basis) = self.target(media, arrival);
        let offset = match self.offset {
            None => target,
            Some(offset) => {
                let correction = target - offset;
                if std::mem::take(&mut self.may_step) && correction.abs() > SLEW_LIMIT {
                    event = event.or(Some(ClockEvent::Stepped { by: correction }));
                    target
                } else {
                    // The drift is applied in full; only the rest of the correction is slewed.
                    let drift = forward * self.arrivals.drift();
                    let slewed = slew(correction - drift, since.min(forward + drift));
                    offset + (drift + slewed).max(-SLEW_BACK_SHARE * forward)
                }
            }
        };
        self.offset = Some(offset);
        (media + offset, basis.or(event))
    }

    /// The capture time of a later frame than the first, whose timestamp `ticks` is only estimated: it changes nothing for
    /// the frames after it.
    pub(crate) fn estimate(&self, ticks: i64) -> f64 {
        self.seconds(ticks) + self.offset.unwrap_or_default()
    }

    /// Seconds by which a frame with the timestamp `ticks` arrived earlier than the least delayed of the last frames
    /// would have.
    pub(crate) fn early(&self, ticks: i64, arrival: Arrival) -> f64 {
        let media = self.seconds(ticks);
        self.arrivals.least_delay(media).map_or(0.0, |delay| media + delay - arrival.monotonic)
    }

    /// The timestamps before were useless, and those that follow are made from arrival: what was measured, and the
    /// camera's reports, no longer apply. Capture times that are far behind `arrival` at `ticks` step to it; those ahead
    /// of it are slewed, because time never goes back.
    pub(crate) fn follow_arrival(&mut self, ticks: i64, arrival: Arrival) {
        self.arrivals = Arrivals::default();
        self.report = None;
        self.by_camera = false;
        self.may_step = self.estimate(ticks) < arrival.wall;
    }

    /// Allows a step after the wall clock was set.
    fn detect_set_clock(&mut self, arrival: Arrival) {
        let Some(last) = self.last else { return };
        let set_by = (arrival.wall - last.arrival.wall) - (arrival.monotonic - last.arrival.monotonic);
        if set_by.abs() > SLEW_LIMIT {
            self.may_step = true;
            // The camera's clock was not set with ours.
            if let Some(report) = &mut self.report {
                report.ahead -= set_by;
            }
        }
    }

    fn seconds(&self, ticks: i64) -> f64 {
        ticks as f64 / f64::from(self.rate.max(1))
    }

    /// The target offset, and the event if its source changes.
    fn target(&mut self, media: f64, arrival: Arrival) -> (f64, Option<ClockEvent>) {
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
                return (offset, first.then_some(ClockEvent::CameraClock { ahead }));
            }
            self.report = None;
            self.camera_is_off = true;
            self.may_step |= std::mem::take(&mut self.by_camera);
            return (by_arrival, Some(ClockEvent::CameraClockOff { ahead }));
        }
        self.may_step |= std::mem::take(&mut self.by_camera);
        (by_arrival, None)
    }

    /// This machine's wall clock at the RTP time `media`, by the least delayed of the last frames. One packet is not
    /// enough: after a stall of the network, all packets that it held back are late.
    fn wall_by_arrival(&self, media: f64, arrival: Arrival) -> f64 {
        let least = self.arrivals.least_delay(media).map(|delay| media + delay);
        least.unwrap_or(arrival.monotonic) + (arrival.wall - arrival.monotonic)
    }
}

/// The part of a correction to apply in `step` seconds between two frames.
fn slew(correction: f64, step: f64) -> f64 {
    let beyond = (correction.abs() - SLEW_LIMIT).max(0.0);
    let most = step * (MAX_SLEW + beyond / TIME_CONSTANT);
    (correction * step / TIME_CONSTANT).min(most).max(-most)
}

#[cfg(test)]
mod tests;
