//! The pusher's metrics.

use crate::failure::{Class, Hold};
use crate::metrics;
use crate::pending::Backlog;
use msight_node::metrics::{Counter, Gauge, Histogram, Metrics};
use std::time::Duration;

/// The pusher's metrics.
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
    /// Registers the metrics. Retries appear with their first count.
    pub fn new(metrics: &Metrics) -> Self {
        let stats = Self {
            received: metrics.counter(&metrics::RECEIVED),
            uploaded: metrics.counter(&metrics::UPLOADED),
            bytes: metrics.counter(&metrics::UPLOADED_BYTES),
            seconds: metrics.histogram(&metrics::UPLOAD_SECONDS),
            pending_segments: metrics.gauge(&metrics::PENDING),
            pending_bytes: metrics.gauge(&metrics::PENDING_BYTES),
            oldest: metrics.gauge(&metrics::PENDING_OLDEST),
            metrics: metrics.clone(),
        };
        metrics.declare(&metrics::UPLOADED_LAST);
        stats.held(None);
        stats
    }

    /// A segment has come in. From its first one on, a sensor is late until a segment is uploaded.
    pub(crate) fn received(&self, sensor: &str) {
        self.received.inc();
        self.waits(sensor);
    }

    /// A segment has come in whose sensor is not known yet.
    pub(crate) fn received_by_reference(&self) {
        self.received.inc();
    }

    /// A segment of the sensor waits for its upload.
    pub(crate) fn waits(&self, sensor: &str) {
        self.metrics.elapsed_with(&metrics::UPLOADED_LAST, &[sensor]);
    }

    pub(crate) fn uploaded(&self, sensor: &str, bytes: u64, took: Duration) {
        self.uploaded.inc();
        self.metrics.elapsed_with(&metrics::UPLOADED_LAST, &[sensor]).restart();
        self.bytes.inc_by(bytes);
        self.seconds.observe(took);
    }

    pub(crate) fn pending(&self, backlog: &Backlog) {
        self.pending_segments.set(i64::try_from(backlog.segments).unwrap_or(i64::MAX));
        self.pending_bytes.set(i64::try_from(backlog.bytes).unwrap_or(i64::MAX));
        self.oldest.set(i64::try_from(backlog.oldest.as_secs()).unwrap_or(i64::MAX));
    }

    /// A try that failed and is retried.
    pub(crate) fn retried(&self, class: Class) {
        self.metrics.counter_with(&metrics::RETRIES, &[class.name()]).inc();
    }

    /// A segment that is lost.
    pub(crate) fn failed(&self, reason: &'static str) {
        self.metrics.counter_with(&metrics::FAILED, &[reason]).inc();
    }

    /// Why uploads are held, if they are: 1 for that reason, 0 for the others.
    pub(crate) fn held(&self, hold: Option<Hold>) {
        for reason in Hold::ALL {
            let gauge = self.metrics.gauge_with(&metrics::HELD, &[reason.name()]);
            gauge.set((hold == Some(reason)).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_in_use_are_those_declared() {
        let registry = Metrics::default();
        let stats = Stats::new(&registry);
        stats.received("gate");
        let passing = [
            Class::Transient(None),
            Class::TimedOut,
            Class::Permanent,
            Class::Damaged,
            Class::Exists,
            Class::Unconditional,
            Class::NoSuchUpload,
            Class::File,
            Class::Unreadable,
        ];
        for class in passing.into_iter().chain(Hold::ALL.map(Class::Held)) {
            stats.retried(class);
        }
        for reason in ["unusable", "stopped", "refused", "vanished"] {
            stats.failed(reason);
        }
        assert_eq!(registry.undeclared(metrics::ALL), [""; 0]);
        assert_eq!(registry.unused(metrics::ALL), [""; 0]);
    }
}
