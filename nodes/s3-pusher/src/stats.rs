//! What the pusher counts.

use crate::failure::{Class, Hold};
use crate::pending::Load;
use msight_node::metrics::{Counter, Gauge, Histogram, Metrics};
use std::time::Duration;

/// The pusher's instruments.
#[derive(Debug, Clone)]
pub struct Stats {
    metrics: Metrics,
    received: Counter,
    uploaded: Counter,
    bytes: Counter,
    seconds: Histogram,
    pending_segments: Gauge,
    pending_bytes: Gauge,
    oldest: Gauge,
}

impl Stats {
    /// Makes the instruments; those with labels appear when they first count, the holds at once.
    pub fn new(metrics: &Metrics) -> Self {
        let stats = Self {
            received: metrics.counter("msight_segments_received_total", "Segments that came in"),
            uploaded: metrics.counter("msight_segments_uploaded_total", "Segments stored with their sidecar"),
            bytes: metrics.counter("msight_uploaded_bytes_total", "Bytes of the videos stored"),
            seconds: metrics
                .histogram("msight_upload_seconds", "From a segment's first try to its sidecar stored"),
            pending_segments: metrics
                .gauge("msight_segments_pending", "Segments waiting for upload or under way"),
            pending_bytes: metrics
                .gauge("msight_pending_bytes", "Bytes of the videos that wait or are under way"),
            oldest: metrics.gauge(
                "msight_pending_oldest_seconds",
                "How long the oldest segment has waited that is not in the bucket yet",
            ),
            metrics: metrics.clone(),
        };
        stats.held(None);
        stats
    }

    pub(crate) fn received(&self) {
        self.received.inc();
    }

    pub(crate) fn uploaded(&self, bytes: u64, took: Duration) {
        self.uploaded.inc();
        self.bytes.inc_by(bytes);
        self.seconds.observe(took);
    }

    pub(crate) fn pending(&self, load: &Load) {
        self.pending_segments.set(i64::try_from(load.segments).unwrap_or(i64::MAX));
        self.pending_bytes.set(i64::try_from(load.bytes).unwrap_or(i64::MAX));
        self.oldest.set(i64::try_from(load.oldest.as_secs()).unwrap_or(i64::MAX));
    }

    /// A try that failed and will be made again.
    pub(crate) fn retried(&self, class: Class) {
        let help = "Tries that failed and are made again, by reason";
        self.metrics.counter_with("msight_upload_retries_total", help, &[("reason", class.name())]).inc();
    }

    /// A segment that is lost.
    pub(crate) fn failed(&self, reason: &'static str) {
        let help = "Segments that are lost, by reason";
        self.metrics.counter_with("msight_segments_failed_total", help, &[("reason", reason)]).inc();
    }

    /// What segments are held for, if at all: 1 for that reason, 0 for all others.
    pub(crate) fn held(&self, hold: Option<Hold>) {
        for reason in Hold::ALL {
            let help = "1 while segments are held because somebody has to mend something";
            let gauge = self.metrics.gauge_with("msight_uploads_held", help, &[("reason", reason.name())]);
            gauge.set((hold == Some(reason)).into());
        }
    }
}
