//! The metrics of a process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use msight_contract::{Metric, MetricKind, Unit};

use super::family::{Family, Instrument, Labels};
use super::instrument::{Counter, Elapsed, Gauge, Histogram};
use super::{process, text};

/// The instruments of a process, by the [`Metric`]s that declare them. Clones share them.
///
/// ```
/// use msight_contract::{Label, Metric, Unit};
/// use msight_node::metrics::Metrics;
///
/// const FRAMES: Metric = Metric::count("frames_total", Unit::Frames, "Frames read");
/// const LOST: Metric = Metric::loss("frames_lost_total", Unit::Frames, "Frames lost, by reason")
///     .with_labels(&[Label { name: "reason", values: &["too large", "damaged"] }]);
///
/// let metrics = Metrics::default();
/// metrics.counter(&FRAMES).inc();
/// metrics.counter_with(&LOST, &["damaged"]).inc();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    served: Arc<Mutex<Served>>,
    /// On every instrument made here.
    labels: Labels,
}

/// What is in the text.
#[derive(Debug, Default)]
struct Served {
    families: BTreeMap<&'static str, Family>,
    collectors: Vec<Collector>,
}

/// Takes over numbers that are kept elsewhere; returns whether they still are.
struct Collector(Box<dyn FnMut() -> bool + Send>);

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl Metrics {
    /// The same instruments, with one more label on everything that is made through the result: the node's name
    /// where several share a process.
    #[must_use]
    pub fn labelled(&self, name: &'static str, value: &str) -> Self {
        let mut labels = self.labels.clone();
        labels.push((name, value.to_owned()));
        Self { served: Arc::clone(&self.served), labels }
    }

    /// The counter of a metric without labels.
    pub fn counter(&self, metric: &Metric) -> Counter {
        self.counter_with(metric, &[])
    }

    /// The counter of a metric for these values of its labels, in their order. From the 200th combination on, values
    /// are counted as `other`.
    pub fn counter_with(&self, metric: &Metric, values: &[&str]) -> Counter {
        match self.instrument(metric, values, Instrument::new) {
            Instrument::Counter(counter) => counter,
            _ => Counter::default(),
        }
    }

    /// The gauge of a metric without labels.
    pub fn gauge(&self, metric: &Metric) -> Gauge {
        self.gauge_with(metric, &[])
    }

    /// The gauge of a metric for these values of its labels; see [`counter_with`](Self::counter_with).
    pub fn gauge_with(&self, metric: &Metric, values: &[&str]) -> Gauge {
        match self.instrument(metric, values, Instrument::new) {
            Instrument::Gauge(gauge) => gauge,
            _ => Gauge::default(),
        }
    }

    /// The histogram of a metric.
    pub fn histogram(&self, metric: &Metric) -> Histogram {
        match self.instrument(metric, &[], Instrument::new) {
            Instrument::Histogram(histogram) => histogram,
            _ => Histogram::default(),
        }
    }

    /// A gauge of the seconds since an event, for these values of the metric's labels; see
    /// [`counter_with`](Self::counter_with).
    pub fn elapsed_with(&self, metric: &Metric, values: &[&str]) -> Elapsed {
        match self.instrument(metric, values, |_| Instrument::Elapsed(Elapsed::default())) {
            Instrument::Elapsed(elapsed) => elapsed,
            _ => Elapsed::default(),
        }
    }

    /// Serves the name and the help of a metric before its first series is made.
    pub fn declare(&self, metric: &Metric) {
        self.served().families.entry(metric.name).or_insert_with(|| Family::new(*metric));
    }

    /// Has `collect` called before each [`render`](Self::render), to set instruments to numbers that are kept elsewhere,
    /// until it returns `false`. What one call sets is of one moment in the text. It must not make instruments.
    pub(crate) fn collect_with(&self, collect: impl FnMut() -> bool + Send + 'static) {
        self.served().collectors.push(Collector(Box::new(collect)));
    }

    /// Sets several instruments of which a text has all or none.
    pub(crate) fn set_together(&self, set: impl FnOnce()) {
        let _served = self.served();
        set();
    }

    /// Makes the counters of all losses whose labels have known values, so that each begins at 0: Prometheus does not see
    /// the rise of a counter that begins at its first loss.
    pub(crate) fn start_losses(&self, metrics: &[Metric]) {
        for metric in metrics.iter().filter(|metric| metric.kind == MetricKind::Loss) {
            let combinations = metric.labels.iter().fold(vec![Vec::new()], |combinations, label| {
                let extend = |values: &Vec<&'static str>| {
                    let values = values.clone();
                    label.values.iter().map(move |value| [&values[..], &[*value]].concat())
                };
                combinations.iter().flat_map(extend).collect()
            });
            for values in combinations {
                self.counter_with(metric, &values);
            }
        }
    }

    /// The registered instrument. One name declared in two ways is a mistake of the program: the second gets an
    /// instrument of its own that is not served, which is better than ending a node that works.
    fn instrument(&self, metric: &Metric, values: &[&str], new: fn(MetricKind) -> Instrument) -> Instrument {
        debug_assert!(text::is_name(metric.name), "invalid metric name: {}", metric.name);
        debug_assert!(
            !metric.kind.is_counter() || metric.name.ends_with("_total"),
            "the name of a counter ends in _total: {}",
            metric.name
        );
        debug_assert_eq!(metric.labels.len(), values.len(), "{} has other labels", metric.name);
        debug_assert!(
            metric
                .labels
                .iter()
                .zip(values)
                .all(|(l, value)| l.values.is_empty() || l.values.contains(value)),
            "{} does not declare {values:?}",
            metric.name
        );
        let mut served = self.served();
        let family = served.families.entry(metric.name).or_insert_with(|| Family::new(*metric));
        debug_assert_eq!(family.metric, *metric, "{} is declared twice", metric.name);
        if family.metric != *metric {
            return new(metric.kind);
        }
        // A metric's own label takes the place of the same one on everything.
        let is_own = |name: &str| metric.labels.iter().any(|label| label.name == name);
        let common = self.labels.iter().filter(|(name, _)| !is_own(name)).cloned();
        let own = metric.labels.iter().zip(values).map(|(label, value)| (label.name, (*value).to_owned()));
        family.instrument(common.chain(own).collect(), new)
    }

    /// The names of metrics in use that are not in `declared`. A node's test expects none.
    pub fn undeclared(&self, declared: &[Metric]) -> Vec<&'static str> {
        let is_undeclared = |family: &&Family| !declared.contains(&family.metric);
        self.served().families.values().filter(is_undeclared).map(|family| family.metric.name).collect()
    }

    /// The names of `declared` metrics that are not in use, among them those that only a rare event registers.
    pub fn unused(&self, declared: &[Metric]) -> Vec<&'static str> {
        let served = self.served();
        let is_unused = |metric: &&Metric| !served.families.contains_key(metric.name);
        declared.iter().filter(is_unused).map(|metric| metric.name).collect()
    }

    /// Everything in Prometheus' text format, version 0.0.4, followed by the process's own numbers.
    pub fn render(&self) -> String {
        let mut out = String::new();
        {
            let mut served = self.served();
            served.collectors.retain_mut(|collector| (collector.0)());
            for family in served.families.values() {
                text::family(&mut out, family);
            }
        }
        process::render(&mut out);
        out
    }

    /// The counters made here that are above 0, for a log line: not those of bytes, and without `msight_` and `_total`,
    /// as in `received 100, publish_dropped{queue full} 2`.
    pub(crate) fn totals(&self) -> String {
        let served = self.served();
        let mut totals = Vec::new();
        for family in served.families.values().filter(|family| family.metric.unit != Unit::Bytes) {
            let name = family.metric.name.trim_start_matches("msight_").trim_end_matches("_total");
            for (labels, instrument) in &family.series {
                let (Instrument::Counter(counter), Some(own)) =
                    (instrument, labels.strip_prefix(&self.labels[..]))
                else {
                    continue;
                };
                if counter.get() == 0 {
                    continue;
                }
                let values: Vec<&str> = own.iter().map(|(_, value)| value.as_str()).collect();
                let values =
                    if values.is_empty() { String::new() } else { format!("{{{}}}", values.join(", ")) };
                totals.push(format!("{name}{values} {}", counter.get()));
            }
        }
        if totals.is_empty() { "none".to_owned() } else { totals.join(", ") }
    }

    fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
