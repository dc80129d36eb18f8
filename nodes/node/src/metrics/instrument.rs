//! The numbers behind metrics. Using one is an atomic operation; clones share it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

    /// Raises the number to `total`, for a count that is kept elsewhere.
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

    /// Adds `change`, which may be negative.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// The time since an event, in seconds; 0 until the event happens again.
#[derive(Debug, Clone)]
pub struct Elapsed(Arc<Mutex<Instant>>);

impl Default for Elapsed {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Elapsed {
    /// The event happens now.
    pub fn restart(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Seconds since the event, or since the metric was made.
    pub fn seconds(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed().as_secs_f64()
    }
}

/// Durations, counted in buckets from a millisecond to a minute.
#[derive(Debug, Clone, Default)]
pub struct Histogram(pub(super) Arc<Buckets>);

#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// By upper bound, and those above the last.
    pub(super) counts: [AtomicU64; BOUNDS.len() + 1],
    pub(super) sum_micros: AtomicU64,
}

/// Upper bounds, in seconds: steps of about 2.5 around what frames (33 ms) and uploads (seconds) take.
pub(super) const BOUNDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.0.counts[bucket].fetch_add(1, Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0.sum_micros.fetch_add(micros, Relaxed);
    }
}
