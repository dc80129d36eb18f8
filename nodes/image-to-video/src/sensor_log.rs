//! What is logged about the frames of one sensor. An event that may come with each frame is counted, and logged with those
//! that follow.

use crate::copying::Refusal;
use crate::counts::Dropped;
use crate::losses::LossLog;
use crate::timeline::LeftOut;
use msight_node::logs::Repeated;
use msight_picture::Size;
use msight_proto::{LossSpan, Utc};
use tracing::{debug, info, warn};

/// The log lines of one sensor.
#[derive(Debug, Default)]
pub(crate) struct SensorLog {
    label: String,
    late: Repeated,
    slow_clock: Repeated,
    merged_sizes: Repeated,
    merged_clocks: Repeated,
    coarsened: Repeated,
    no_time: LossLog,
    second_source: LossLog,
    unreadable: LossLog,
    missing: LossLog,
    not_copied: LossLog,
    refused: LossLog,
    /// The reasons for which segments were encoded, as far as a line has named them.
    reasons: Vec<Refusal>,
}

impl SensorLog {
    /// For the sensor that log lines call `label`.
    pub(crate) fn new(label: String) -> Self {
        Self { label, ..Self::default() }
    }

    /// What log lines call the sensor.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// A frame was left out. One without a valid capture time is a loss; one above the target rate is not logged.
    pub(crate) fn left_out(&self, why: LeftOut, captured: f64) {
        let (repeated, reason) = match why {
            LeftOut::Rate => return,
            LeftOut::Late => {
                (&self.late, "captured before the frame that came before them, or at the same time")
            }
            LeftOut::SlowClock => (
                &self.slow_clock,
                "capture times advance much more slowly than frames arrive; set the clock of the source, or use \
                 --timing constant",
            ),
            LeftOut::NoTime => {
                let reason = "invalid capture time; use --timing constant for a source without a clock";
                return self.no_time.add(LossSpan::one(captured), &self.label, reason);
            }
            LeftOut::NoKeyFrame => return,
        };
        let sensor = self.label.clone();
        repeated.count(move |frames| {
            warn!(sensor, frames, captured = %Utc(captured), "frames left out: {reason}");
        });
    }

    /// A frame of this size is in a segment of another size.
    pub(crate) fn merged_size(&self, size: Size) {
        let (sensor, width, height) = (self.label.clone(), size.width(), size.height());
        self.merged_sizes.count(move |frames| {
            warn!(
                sensor,
                frames,
                width,
                height,
                "frames scaled to the size of the open segment: the size changes too often to begin a segment each time; \
                 give each source its own --sensor-name"
            );
        });
    }

    /// A frame is in a segment although its capture time leaps.
    pub(crate) fn merged_clock(&self, captured: f64) {
        let sensor = self.label.clone();
        self.merged_clocks.count(move |frames| {
            warn!(
                sensor,
                frames,
                captured = %Utc(captured),
                "frames kept in the open segment: capture times leap too often to begin a segment each time; set the \
                 clock of the source, and give each source its own --sensor-name"
            );
        });
    }

    /// A frame needed a coarser quantiser than was set, `qp` from now on.
    pub(crate) fn coarsened(&self, qp: u8) {
        let sensor = self.label.clone();
        self.coarsened.count(move |times| {
            warn!(
                sensor,
                times,
                qp,
                "encoding coarser: a frame is too large for the encoder; lower --bitrate, or raise --qp"
            );
        });
    }

    /// A segment is encoded although frames carry what the camera encodes. Each reason is logged once.
    pub(crate) fn not_copied(&mut self, why: Refusal) {
        debug!(sensor = self.label, "segment encoded: {why}");
        if !self.reasons.iter().any(|known| known.is_like(why)) {
            self.reasons.push(why);
            info!(sensor = self.label, "segments are encoded: {why}");
        }
    }

    /// A frame was lost.
    pub(crate) fn lost(&self, why: Dropped, captured: f64, reason: String) {
        let log = match why {
            Dropped::SecondSource => &self.second_source,
            Dropped::Decode => &self.unreadable,
            Dropped::MissingUnit => &self.missing,
            Dropped::Copy => &self.not_copied,
            _ => &self.refused,
        };
        log.add(LossSpan::one(captured), &self.label, reason);
    }
}
