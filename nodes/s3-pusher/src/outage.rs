//! Reports failing uploads: in the log when they begin to fail, then every minute, and when they recover; to `/readyz` and
//! the registry while the node is stuck.

use crate::bucket::Bucket;
use crate::failure::{Class, Failure, Hold};
use crate::obstacles::{Obstacles, Place};
use crate::pending::{Backlog, Impact, Pending};
use crate::retry::RetryPolicy;
use crate::stats::Stats;
use bytesize::ByteSize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Logs the outages of one bucket.
#[derive(Debug)]
pub(crate) struct Outages {
    policy: RetryPolicy,
    stats: Stats,
    obstacles: Arc<Obstacles>,
    /// Where segments wait, for log lines.
    waiting_place: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outage: Option<Outage>,
    /// The check of the bucket at the start fails.
    unreachable: bool,
    /// When the full buffer was logged last.
    full_logged: Option<Instant>,
}

/// From the first failure until no segment is set aside.
#[derive(Debug)]
struct Outage {
    since: Instant,
    last: Failure,
    /// When it was logged last.
    logged: Instant,
}

/// Logs a failure with the fields that every line about one has.
macro_rules! log_failure {
    ($level:ident, $bucket:expr, $key:expr, $failure:expr, $wait:expr, $($text:tt)*) => {
        tracing::$level!(
            bucket = $bucket.name,
            endpoint = $bucket.place(),
            key = $key,
            reason = $failure.class.name(),
            answer = $failure.text,
            request_id = $failure.request_id.as_deref(),
            wait_s = $wait.as_secs_f64(),
            $($text)*
        )
    };
}

impl Outages {
    pub(crate) fn new(policy: RetryPolicy, stats: Stats, obstacles: Arc<Obstacles>, has_spool: bool) -> Self {
        let waiting_place = match has_spool {
            true => "in the spool folder, and those that came in messages in memory",
            false => "in memory",
        };
        Self { policy, stats, obstacles, waiting_place, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A try has failed; the next one is after `wait`.
    pub(crate) fn failed(
        &self,
        bucket: &Bucket,
        key: &str,
        failure: &Failure,
        impact: Impact,
        wait: Duration,
    ) {
        let (is_held, cause, place) = (hold(failure).is_some(), cause(failure), self.waiting_place);
        let is_down = impact == Impact::Down;
        let is_logged = self.record(self.state(), failure, is_down && is_held);
        macro_rules! log {
            ($level:ident, $($text:tt)*) => {
                log_failure!($level, bucket, Some(key), failure, wait, $($text)*)
            };
        }
        match (is_logged, is_held, is_down) {
            (false, ..) => log!(debug, "upload failed again"),
            (_, false, _) if failure.class == Class::Unreadable => {
                log!(error, "segment not read: {cause}; retrying until it can be read");
            }
            (_, false, _) => log!(warn, "upload failed: {cause}; retrying until it succeeds"),
            (_, _, true) => log!(error, "uploads held: {cause}; segments wait {place}"),
            (..) => log!(error, "upload rejected: {cause}; the segment is kept"),
        }
    }

    /// The check of the bucket has failed; the next one is after `wait`.
    pub(crate) fn unreachable(&self, bucket: &Bucket, failure: &Failure, wait: Duration) {
        let mut state = self.state();
        state.unreachable = true;
        let (is_new, cause) = (self.record(state, failure, false), cause(failure));
        let place = self.waiting_place;
        macro_rules! log {
            ($level:ident) => {
                log_failure!(
                    $level,
                    bucket,
                    None::<&str>,
                    failure,
                    wait,
                    "bucket check failed: {cause}; checking again, segments wait {place}"
                )
            };
        }
        match hold(failure) {
            _ if !is_new => log!(debug),
            Some(_) => log!(error),
            None => log!(warn),
        }
    }

    /// Records a failure as the last of its outage. Returns whether to log it: its cause is new, or it is urgent.
    fn record(&self, mut state: MutexGuard<'_, State>, failure: &Failure, is_urgent: bool) -> bool {
        let (now, hold) = (Instant::now(), hold(failure));
        let before = state.outage.as_ref();
        let is_known = before.is_some_and(|outage| self::hold(&outage.last) == hold);
        let is_logged = !is_known || is_urgent;
        let (since, logged) = before.map_or((now, now), |outage| (outage.since, outage.logged));
        let logged = if is_logged { now } else { logged };
        state.outage = Some(Outage { since, last: failure.clone(), logged });
        drop(state);
        if let Some(hold) = hold {
            self.stats.held(Some(hold));
        }
        is_logged
    }

    /// The bucket answers, or has stored a segment.
    pub(crate) fn reachable(&self) {
        self.state().unreachable = false;
    }

    /// Whether the check of the bucket fails.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.state().unreachable
    }

    /// The buffer is full: a segment waits for room.
    pub(crate) fn full(&self, bucket: &Bucket, backlog: &Backlog) {
        let now = Instant::now();
        let mut state = self.state();
        if state.full_logged.is_some_and(|at| now - at < self.policy.remind) {
            return;
        }
        state.full_logged = Some(now);
        drop(state);
        tracing::error!(
            bucket = bucket.name,
            endpoint = bucket.place(),
            segments = backlog.segments,
            bytes = backlog.bytes,
            oldest_s = backlog.oldest.as_secs(),
            "upload buffer full: further segments wait in the node's queue, which drops them when it is full as well (by \
             --overflow, counted in msight_queue_dropped_total); restore the bucket, use a faster connection, or raise \
             --upload-buffer"
        );
    }

    /// Checks the state of uploads, after every change and once a second.
    pub(crate) fn check(&self, bucket: &Bucket, pending: &Pending) {
        let now = Instant::now();
        // One check at a time: a check from before a failure must not end the outage that the failure has begun.
        let mut state = self.state();
        let backlog = &pending.backlog();
        self.stats.pending(backlog);
        if !backlog.aside
            && !state.unreachable
            && let Some(outage) = state.outage.take()
        {
            drop(state);
            self.stats.held(None);
            self.obstacles.set(Place::Bucket, None);
            let after_s = (now - outage.since).as_secs_f64();
            tracing::info!(
                bucket = bucket.name,
                endpoint = bucket.place(),
                after_s,
                segments = backlog.segments,
                "uploads recovered after {after_s:.0} s"
            );
            return;
        }
        let unreachable = state.unreachable;
        let Some(outage) = &mut state.outage else { return };
        let failing = backlog.failing.or(unreachable.then_some(now - outage.since));
        let stuck = failing.filter(|failing| hold(&outage.last).is_some() || *failing >= self.policy.stuck);
        let reason = stuck.map(|_| {
            format!(
                "uploads to bucket {} at {} have failed for {} s: {} ({}); {}",
                bucket.name,
                bucket.place(),
                (now - outage.since).as_secs(),
                cause(&outage.last),
                outage.last.text,
                waiting(backlog),
            )
        });
        self.obstacles.set(Place::Bucket, reason);
        if now - outage.logged >= self.policy.remind {
            outage.logged = now;
            remind(bucket, backlog, outage, failing.is_some(), now);
        }
    }
}

fn remind(bucket: &Bucket, backlog: &Backlog, outage: &Outage, all: bool, now: Instant) {
    let (name, endpoint, since_s) = (&bucket.name, bucket.place(), (now - outage.since).as_secs());
    let (segments, bytes, buffer_percent) = (backlog.segments, backlog.bytes, backlog.percent);
    let (oldest_s, reason, answer) = (backlog.oldest.as_secs(), outage.last.class.name(), &outage.last.text);
    let (what, others) = if all { ("all", "") } else { ("some", "; others succeed") };
    let (waiting, cause) = (waiting(backlog), cause(&outage.last));
    macro_rules! log {
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
                "{what} uploads have failed for {since_s} s{others}: {cause}; {waiting}"
            )
        };
    }
    if hold(&outage.last).is_some() || backlog.percent >= 100 { log!(error) } else { log!(warn) }
}

fn hold(failure: &Failure) -> Option<Hold> {
    if let Class::Held(hold) = failure.class { Some(hold) } else { None }
}

/// The cause and how to fix it, else the server's answer.
fn cause(failure: &Failure) -> &str {
    failure.advice.unwrap_or(&failure.text)
}

fn waiting(backlog: &Backlog) -> String {
    let bytes = ByteSize::b(backlog.bytes).display().si();
    format!("{} segments ({bytes}) wait, {} % of the buffer is used", backlog.segments, backlog.percent)
}
