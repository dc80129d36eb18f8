//! The series of one metric, told apart by their labels.

use std::collections::BTreeMap;

use msight_contract::{Metric, MetricKind};

use super::instrument::{Counter, Elapsed, Gauge, Histogram};

/// Names and values of labels.
pub(super) type Labels = Vec<(&'static str, String)>;

/// The most combinations of labels of one metric. Further ones share one in which every value of its own labels is `other`:
/// labels can come from messages, and each combination costs memory here and in Prometheus.
pub(super) const MAX_SERIES: usize = 200;

/// Everything of one name.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) metric: Metric,
    pub(super) series: BTreeMap<Labels, Instrument>,
}

#[derive(Debug, Clone)]
pub(super) enum Instrument {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    Elapsed(Elapsed),
}

impl Instrument {
    /// A new one for a metric of this kind.
    pub(super) fn new(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Count | MetricKind::Skip | MetricKind::Loss => Self::Counter(Counter::default()),
            MetricKind::Histogram => Self::Histogram(Histogram::default()),
            MetricKind::Gauge | MetricKind::Other => Self::Gauge(Gauge::default()),
        }
    }
}

impl Family {
    pub(super) fn new(metric: Metric) -> Self {
        Self { metric, series: BTreeMap::new() }
    }

    /// The instrument with these labels; `new` makes it the first time.
    pub(super) fn instrument(&mut self, mut labels: Labels, new: fn(MetricKind) -> Instrument) -> Instrument {
        if self.series.len() >= MAX_SERIES && !self.series.contains_key(&labels) {
            // The node's own label stays.
            let own = self.metric.labels;
            labels
                .iter_mut()
                .filter(|(name, _)| own.iter().any(|label| label.name == *name))
                .for_each(|(_, value)| "other".clone_into(value));
        }
        self.series.entry(labels).or_insert_with(|| new(self.metric.kind)).clone()
    }
}
