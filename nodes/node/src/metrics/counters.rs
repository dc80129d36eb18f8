//! Counters by reason.

use msight_contract::Metric;

use super::{Counter, Metrics};

/// The counters of a metric with one label, one for each of its values.
#[derive(Debug, Clone)]
pub struct Counters<K>(Vec<(K, Counter)>);

impl<K: Copy + PartialEq> Counters<K> {
    /// Registers the counters of `metric`, with the value of its label for each kind.
    pub fn new(metrics: &Metrics, metric: &Metric, values: &[(K, &str)]) -> Self {
        let counter = |&(kind, value): &(K, &str)| (kind, metrics.counter_with(metric, &[value]));
        Self(values.iter().map(counter).collect())
    }

    /// `count` more of a kind. A kind without a counter is not counted.
    pub fn add(&self, kind: K, count: u64) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == kind) {
            counter.inc_by(count);
        }
    }
}
