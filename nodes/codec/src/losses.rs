//! Logs frames that were lost before or in the decoder.

use std::time::{Duration, Instant};

use msight_media::DropReason;
use msight_proto::{LossSpan, Utc};
use tracing::error;

/// Time between two reports. A link that loses packets may lose frames in every group of pictures.
const INTERVAL: Duration = Duration::from_secs(30);

/// Lost frames that are not yet reported.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    lost: LossSpan,
    /// The reason of the last loss.
    reason: Option<DropReason>,
    reported: Option<Instant>,
}

impl Losses {
    /// Adds a frame captured at this time.
    pub(crate) fn add(&mut self, reason: DropReason, captured: f64) {
        self.lost = self.lost.merge(LossSpan::one(captured));
        self.reason = Some(reason);
    }

    /// Reports losses that are due. Called when the stream resumes.
    pub(crate) fn report_due(&mut self, now: Instant) {
        if let Some(lost) = self.due(now) {
            self.report(lost);
        }
    }

    fn due(&mut self, now: Instant) -> Option<LossSpan> {
        if self.reported.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            return None;
        }
        let lost = self.lost.take()?;
        self.reported = Some(now);
        Some(lost)
    }

    fn report(&self, lost: LossSpan) {
        error!(
            frames = lost.count,
            from = %Utc(lost.from),
            to = %Utc(lost.to),
            reason = self.reason.map(DropReason::label),
            "frames lost: a part of the camera's stream is missing or damaged, and decoding resumes at the next key frame"
        );
    }
}

impl Drop for Losses {
    fn drop(&mut self) {
        if let Some(lost) = self.lost.take() {
            self.report(lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_reported_at_once_and_then_together() {
        let (mut losses, start) = (Losses::default(), Instant::now());
        let mut reported = Vec::new();
        for second in 0..70_u32 {
            losses.add(DropReason::PacketLoss, f64::from(second));
            losses.add(DropReason::PacketLoss, f64::from(second) + 0.5);
            reported.extend(losses.due(start + Duration::from_secs(second.into())));
        }
        let lost = |count, from, to| LossSpan { count, from, to };
        assert_eq!(reported, [lost(2, 0.0, 0.5), lost(60, 1.0, 30.5), lost(60, 31.0, 60.5)]);
        assert_eq!(losses.lost.take(), Some(lost(18, 61.0, 69.5)));
    }
}
