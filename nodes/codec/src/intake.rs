//! The way into a decoder: lets units pass from a key frame on, and reports those that it drops.

use std::time::Instant;

use msight_media::{AccessUnit, Admission, DropReason, KeyFrameGate, KeyFrameWait, nal};
use tracing::{debug, warn};

use crate::losses::Losses;
use crate::sink::PictureSink;

/// The gate for key frames, with its warnings and the losses.
#[derive(Default)]
pub(crate) struct Intake {
    gate: KeyFrameGate,
    wait: KeyFrameWait,
    losses: Losses,
}

impl Intake {
    /// Whether a unit can be decoded. Otherwise it is dropped, and counted.
    pub(crate) fn admit(&mut self, unit: &AccessUnit, sink: &mut impl PictureSink) -> bool {
        if unit.after_loss {
            self.close(DropReason::PacketLoss);
        }
        match self.gate.admit(can_begin(unit)) {
            Admission::Pass => {}
            Admission::Drop { reason: DropReason::NoKeyFrameYet, dropped } => {
                sink.dropped(DropReason::NoKeyFrameYet, 1);
                self.warn_if_due(DropReason::NoKeyFrameYet, dropped);
                return false;
            }
            Admission::Drop { reason, dropped } => {
                self.lose(reason, unit.captured, sink);
                self.warn_if_due(reason, dropped);
                return false;
            }
            Admission::Reopened { reason: DropReason::NoKeyFrameYet, dropped } => {
                debug!(dropped, "first key frame");
            }
            Admission::Reopened { reason, dropped } => {
                debug!(reason = reason.label(), dropped, "key frame after a loss");
                self.losses.report_due(Instant::now());
            }
        }
        if unit.key {
            self.wait.key_frame();
        }
        true
    }

    /// Units up to the next key frame cannot be decoded.
    pub(crate) fn close(&mut self, reason: DropReason) {
        self.gate.close(reason);
    }

    /// Counts and reports a unit that yields no picture.
    pub(crate) fn lose(&mut self, reason: DropReason, captured: f64, sink: &mut impl PictureSink) {
        sink.dropped(reason, 1);
        self.losses.add(reason, captured);
    }

    fn warn_if_due(&mut self, reason: DropReason, dropped: u64) {
        if self.wait.unit_dropped(Instant::now()) {
            warn!(
                reason = reason.label(),
                dropped,
                "waiting for a key frame of the camera: frames before it cannot be decoded; set the camera's key \
                 frame interval (GOP, I frame interval) to one or two seconds"
            );
        }
    }
}

/// Whether decoding can begin with a unit: it is a key frame, from its upper left corner on.
pub(crate) fn can_begin(unit: &AccessUnit) -> bool {
    unit.key && nal::begins_with_first_slice(&unit.data)
}
