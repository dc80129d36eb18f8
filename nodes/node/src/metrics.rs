//! What a node counts, and how Prometheus reads it.
//!
//! Names are `msight_<noun>_<unit>`, counters with `_total` behind. An instrument is made once and kept: making
//! it takes a lock, using it is one atomic operation. Making it again gives the same one.

mod process;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::process::Usage;
pub(crate) use self::text::CONTENT_TYPE;

/// The instruments of a process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    families: Arc<Mutex<BTreeMap<&'static str, Family>>>,
    /// On everything made here.
    labels: Labels,
}

type Labels = Vec<(&'static str, String)>;

/// The most combinations of labels of one metric. Further ones share one in which every value is `other`:
/// labels can come from messages, and each combination costs memory here and in Prometheus.
const MAX_SERIES: usize = 200;

/// Everything of one name.
#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: Kind,
    series: BTreeMap<Labels, Instrument>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Clone)]
enum Instrument {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// A number that only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// `count` more.
    pub fn inc_by(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// At least `total`: for what is counted elsewhere and only shown here.
    pub fn raise_to(&self, total: u64) {
        self.0.fetch_max(total, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Replaces the number.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// Changes the number, by less than nothing to lower it.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// How long something takes, by buckets from a millisecond to a minute.
#[derive(Debug, Clone, Default)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    /// By upper bound, and those above the last.
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

/// Upper bounds, in seconds: steps of about 2.5 around what frames (33 ms) and uploads (seconds) take.
const BOUNDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

impl Histogram {
    /// It took this long.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.0.counts[bucket].fetch_add(1, Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0.sum_micros.fetch_add(micros, Relaxed);
    }
}

impl Metrics {
    /// The same instruments, with one more label on everything that is made through the result: the node's name
    /// where several share a process.
    #[must_use]
    pub fn labelled(&self, name: &'static str, value: &str) -> Self {
        let mut labels = self.labels.clone();
        labels.push((name, value.to_owned()));
        Self { families: Arc::clone(&self.families), labels }
    }

    /// The counter of this name, which ends in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.counter_with(name, help, &[])
    }

    /// The counter of this name and these labels, as in `&[("reason", "queue full")]`. Values should come from
    /// a small set: from the 200th combination on they are counted as `other`.
    pub fn counter_with(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Counter {
        debug_assert!(name.ends_with("_total"), "the name of a counter ends in _total: {name}");
        match self.instrument(name, help, Kind::Counter, labels) {
            Instrument::Counter(counter) => counter,
            _ => Counter::default(),
        }
    }

    /// The gauge of this name.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.gauge_with(name, help, &[])
    }

    /// The gauge of this name and these labels; see [`counter_with`](Self::counter_with).
    pub fn gauge_with(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Gauge {
        match self.instrument(name, help, Kind::Gauge, labels) {
            Instrument::Gauge(gauge) => gauge,
            _ => Gauge::default(),
        }
    }

    /// The histogram of this name, which ends in `_seconds`.
    pub fn histogram(&self, name: &'static str, help: &'static str) -> Histogram {
        debug_assert!(name.ends_with("_seconds"), "the name of a histogram ends in _seconds: {name}");
        match self.instrument(name, help, Kind::Histogram, &[]) {
            Instrument::Histogram(histogram) => histogram,
            _ => Histogram::default(),
        }
    }

    /// The registered instrument. One name used for two kinds is a mistake of the program: the second gets an
    /// instrument that nobody reads, which is better than ending a node that works.
    fn instrument(
        &self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        labels: &[(&'static str, &str)],
    ) -> Instrument {
        debug_assert!(text::is_name(name), "no name of a metric: {name}");
        let new = || match kind {
            Kind::Counter => Instrument::Counter(Counter::default()),
            Kind::Gauge => Instrument::Gauge(Gauge::default()),
            Kind::Histogram => Instrument::Histogram(Histogram::default()),
        };
        let mut families = self.families();
        let family = families.entry(name).or_insert_with(|| Family { help, kind, series: BTreeMap::new() });
        debug_assert_eq!(family.kind, kind, "{name} is used for two kinds of metric");
        if family.kind != kind {
            return new();
        }
        let mut labels: Labels = self
            .labels
            .iter()
            .cloned()
            .chain(labels.iter().map(|(name, value)| (*name, (*value).to_owned())))
            .collect();
        if family.series.len() >= MAX_SERIES && !family.series.contains_key(&labels) {
            labels.iter_mut().for_each(|(_, value)| "other".clone_into(value));
        }
        family.series.entry(labels).or_insert_with(new).clone()
    }

    /// Everything in Prometheus' text format, version 0.0.4, followed by the process's own numbers.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for (name, family) in &*self.families() {
            text::family(&mut out, name, family);
        }
        process::render(&mut out);
        out
    }

    /// What the counters made here have come to, for a log line: those above 0 and not of bytes, without what all
    /// names share, as in `received 100, publish_dropped{queue full} 2`.
    pub(crate) fn totals(&self) -> String {
        let families = self.families();
        let mut totals = Vec::new();
        for (name, family) in &*families {
            let name = name.trim_start_matches("msight_").trim_end_matches("_total");
            for (labels, instrument) in &family.series {
                let (Instrument::Counter(counter), Some(own)) =
                    (instrument, labels.strip_prefix(&self.labels[..]))
                else {
                    continue;
                };
                if counter.get() == 0 || name.ends_with("_bytes") {
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

    fn families(&self) -> MutexGuard<'_, BTreeMap<&'static str, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
