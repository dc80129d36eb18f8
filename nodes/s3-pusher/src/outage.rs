//! What is said of failing uploads: one line when they begin to fail, one each minute while they do, one when they
//! go again; and to `/readyz` and the registry that the node is stuck.

use crate::bucket::Bucket;
use crate::failure::{Class, Failure, Hold};
use crate::pending::{Backlog, Impact, Pending};
use crate::retry::RetryPolicy;
use crate::stats::Stats;
use bytesize::ByteSize;
use msight_node::health::Health;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Where it is said, and what was said last.
#[derive(Debug)]
pub(crate) struct Outages {
    policy: RetryPolicy,
    stats: Stats,
    health: Health,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outage: Option<Outage>,
    /// When it was last said that the buffer is full.
    full_said: Option<Instant>,
}

/// From the first failure until nothing stands aside.
#[derive(Debug)]
struct Outage {
    since: Instant,
    last: Failure,
    said: Instant,
}

impl Outages {
    pub(crate) fn new(policy: RetryPolicy, stats: Stats, health: Health) -> Self {
        Self { policy, stats, health, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A try has failed; something is tried again after `wait`.
    pub(crate) fn failed(
        &self,
        bucket: &Bucket,
        key: &str,
        failure: &Failure,
        standing: Impact,
        wait: Duration,
    ) {
        let now = Instant::now();
        let hold = hold(failure);
        let mut state = self.state();
        let known = state.outage.as_ref().is_some_and(|outage| self::hold(&outage.last) == hold);
        let (since, said) = state.outage.as_ref().map_or((now, now), |outage| (outage.since, outage.said));
        let news = !known || (standing == Impact::Down && hold.is_some());
        let said = if news { now } else { said };
        state.outage = Some(Outage { since, last: failure.clone(), said });
        drop(state);
        if let Some(hold) = hold {
            self.stats.held(Some(hold));
        }
        let (name, endpoint, answer, reason) =
            (&bucket.name, bucket.place(), &failure.text, failure.class.name());
        let (wait_s, advice) = (wait.as_secs_f64(), advice(failure));
        if !news {
            tracing::debug!(bucket = name, key, reason, answer, wait_s, "upload failed again");
        } else if hold.is_none() {
            tracing::warn!(
                bucket = name,
                endpoint,
                key,
                reason,
                answer,
                wait_s,
                "upload failed, and is tried again until it succeeds{advice}"
            );
        } else if standing == Impact::Down {
            tracing::error!(
                bucket = name,
                endpoint,
                key,
                reason,
                answer,
                wait_s,
                "uploads are held, nothing is dropped while memory lasts{advice}"
            );
        } else {
            tracing::error!(
                bucket = name,
                endpoint,
                key,
                reason,
                answer,
                wait_s,
                "a segment is refused and held, others are tried{advice}"
            );
        }
    }

    /// There is no room for a segment, which waits.
    pub(crate) fn full(&self, bucket: &Bucket, load: &Backlog) {
        let now = Instant::now();
        let mut state = self.state();
        if state.full_said.is_some_and(|said| now - said < self.policy.remind) {
            return;
        }
        state.full_said = Some(now);
        drop(state);
        tracing::error!(
            bucket = bucket.name,
            endpoint = bucket.place(),
            segments = load.segments,
            bytes = load.bytes,
            oldest_s = load.oldest.as_secs(),
            "the upload buffer is full: the next segments wait in the node's queue, and when that is full too, segments \
             are dropped as --overflow says and counted in msight_queue_dropped_total; uploads must go faster, or give \
             more memory by --upload-buffer"
        );
    }

    /// Looks how things stand, which is done after every change and once a second.
    pub(crate) fn look(&self, bucket: &Bucket, pending: &Pending) {
        let now = Instant::now();
        // One look after the other, or one from before a failure would end the outage that the failure has begun.
        let mut state = self.state();
        let load = &pending.load();
        self.stats.pending(load);
        if !load.aside
            && let Some(outage) = state.outage.take()
        {
            drop(state);
            self.stats.held(None);
            self.health.set_blocked(None);
            let after_s = (now - outage.since).as_secs_f64();
            tracing::info!(
                bucket = bucket.name,
                endpoint = bucket.place(),
                after_s,
                segments = load.segments,
                "the bucket takes segments again after {after_s:.0} s, {} waited",
                load.segments
            );
            return;
        }
        let Some(outage) = &mut state.outage else { return };
        let stuck =
            load.failing.filter(|failing| hold(&outage.last).is_some() || *failing >= self.policy.stuck);
        self.health.set_blocked(stuck.map(|_| {
            format!(
                "uploads to bucket {} at {} have failed for {} s: {}; {}{}",
                bucket.name,
                bucket.place(),
                (now - outage.since).as_secs(),
                outage.last.text,
                waiting(load),
                advice(&outage.last)
            )
        }));
        if now - outage.said >= self.policy.remind {
            outage.said = now;
            remind(bucket, load, outage, now);
        }
    }
}

fn remind(bucket: &Bucket, load: &Backlog, outage: &Outage, now: Instant) {
    let (name, endpoint, since_s) = (&bucket.name, bucket.place(), (now - outage.since).as_secs());
    let (segments, bytes, buffer_percent) = (load.segments, load.bytes, load.percent);
    let (oldest_s, reason, answer) = (load.oldest.as_secs(), outage.last.class.name(), &outage.last.text);
    let (what, others) = if load.failing.is_some() { ("all", "") } else { ("some", ", others go") };
    let (waiting, advice) = (waiting(load), advice(&outage.last));
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(
                bucket = name,
                endpoint,
                since_s,
                segments,
                bytes,
                buffer_percent,
                oldest_s,
                reason,
                answer,
                "{what} uploads have failed for {since_s} s{others}; {waiting}{advice}"
            )
        };
    }
    if hold(&outage.last).is_some() || load.percent >= 100 { say!(error) } else { say!(warn) }
}

fn hold(failure: &Failure) -> Option<Hold> {
    if let Class::Held(hold) = failure.class { Some(hold) } else { None }
}

fn advice(failure: &Failure) -> String {
    failure.advice.map(|advice| format!(": {advice}")).unwrap_or_default()
}

fn waiting(load: &Backlog) -> String {
    let bytes = ByteSize::b(load.bytes).display().si();
    format!("{} segments ({bytes}) wait and fill {} % of the buffer", load.segments, load.percent)
}
