//! The segments that are not in the bucket yet: oldest first, within a budget of bytes.
//!
//! A segment that fails stands aside for a while and the others go on, in case it alone fails. When several fail
//! and none is stored in between, the bucket is down for all: from time to time one of them is tried, never the
//! same one while there are others, and the first that is stored lets the rest go, oldest first.
//!
//! This is the only place that knows where a waiting segment is kept, which today is memory.

use crate::failure::{Class, Failure};
use crate::retry::RetryPolicy;
use crate::upload::Upload;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Unit of the budget, in bytes. A segment counts for one unit at least, which bounds their number too.
const UNIT: u64 = 64 * 1024;

/// So many segments failed, and none stored in between, look like the bucket and not like the segments.
const DOWN: u32 = 3;

/// A probe that has been under way for so long may hang on a way that is gone: another is sent beside it.
const HUNG: Duration = Duration::from_secs(60);

/// The longest wait for another try once no more segments come: what is there has little time left.
const HURRY: Duration = Duration::from_secs(1);

/// Segments waiting for upload or being uploaded.
#[derive(Debug)]
pub(crate) struct Pending {
    budget: Arc<Semaphore>,
    units: u32,
    policy: RetryPolicy,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By number, which is the order in which they came.
    waiting: BTreeMap<u64, PendingUpload>,
    /// Of all that is waiting or under way.
    unfinished: BTreeMap<u64, Unfinished>,
    next: u64,
    closed: bool,
    /// Segments that failed since the bucket last took one, each counted once.
    failed: u32,
    /// When the first of them did.
    failing_since: Option<Instant>,
    /// Tries while the bucket is down.
    probes: u32,
    /// When the next one is made.
    probe_at: Option<Instant>,
    /// When the last of those was taken that are under way.
    probing: Option<Instant>,
    /// Until when the server wants to be left alone.
    quiet_until: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Unfinished {
    stem: String,
    bytes: u64,
    since: Instant,
}

/// Reservation in the budget; none is needed while stopping.
pub(crate) type Reservation = Option<OwnedSemaphorePermit>;

/// A segment that a worker has taken.
#[derive(Debug)]
pub(crate) struct PendingUpload {
    pub(crate) upload: Upload,
    /// When it was first tried.
    pub(crate) started: Option<Instant>,
    pub(crate) attempts: u32,
    /// It failed before, or the bucket is down: taken to see whether that has changed.
    pub(crate) probe: bool,
    /// Its last failure was one that somebody has to mend.
    pub(crate) refused: bool,
    /// Since when it stands aside: failures since it was last let go, and the time of its next try.
    failures: u32,
    again_at: Option<Instant>,
    number: u64,
    _room: Reservation,
}

/// What a failure means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Impact {
    /// The segment stands aside, others are tried.
    Aside,
    /// With this one the bucket is down.
    Down,
    /// It failed before.
    Again,
}

/// How much waits or is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) segments: usize,
    /// Of the videos.
    pub(crate) bytes: u64,
    /// How long the oldest has been here.
    pub(crate) oldest: Duration,
    /// How much of the budget is used.
    pub(crate) percent: u32,
    /// For how long tries have failed and none has come through.
    pub(crate) failing: Option<Duration>,
    /// Whether any segment stands aside.
    pub(crate) aside: bool,
}

impl State {
    fn down(&self) -> bool {
        self.failed >= DOWN
    }

    /// What to try now, if anything.
    fn pop(&mut self, now: Instant) -> Option<PendingUpload> {
        if self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        let down = self.down();
        let due = |ticket: &&PendingUpload| down || ticket.again_at.is_some_and(|at| at <= now);
        if self.probing.is_none_or(|since| now - since >= HUNG)
            && (!down || self.probe_at.is_none_or(|at| at <= now))
        {
            let candidates = self.waiting.values().filter(due);
            if let Some(number) = candidates.min_by_key(|ticket| ticket.failures).map(|ticket| ticket.number)
            {
                self.probing = Some(now);
                return self.waiting.remove(&number).map(|ticket| PendingUpload { probe: true, ..ticket });
            }
        }
        if down {
            return None;
        }
        let number = self.waiting.values().find(|ticket| ticket.again_at.is_none())?.number;
        self.waiting.remove(&number)
    }

    /// When there may be something to try without anything else happening before.
    fn next_at(&self, now: Instant) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let tries = if self.down() {
            Some(self.probe_at.unwrap_or(now))
        } else {
            self.waiting.values().filter_map(|ticket| ticket.again_at).min()
        };
        let tries = tries.max(self.probing.filter(|_| tries.is_some()).map(|since| since + HUNG));
        self.quiet_until.filter(|until| now < *until).or(tries)
    }

    /// Nobody stands aside any more; with `refused` not even those that somebody had to mend something for.
    fn let_go(&mut self, refused: bool) {
        for ticket in self.waiting.values_mut().filter(|ticket| refused || !ticket.refused) {
            (ticket.failures, ticket.again_at) = (0, None);
        }
    }

    fn aside(&self) -> bool {
        self.down() || self.probing.is_some() || self.waiting.values().any(|ticket| ticket.again_at.is_some())
    }
}

impl Pending {
    /// Reservation for so many bytes.
    pub(crate) fn new(budget: u64, policy: RetryPolicy) -> Self {
        let units = u32::try_from(budget.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        Self {
            budget: Arc::new(Semaphore::new(units as usize)),
            units,
            policy,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room. A segment larger than the whole budget waits until it is alone.
    pub(crate) async fn room(&self, bytes: usize) -> Reservation {
        let units = u32::try_from((bytes as u64).div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        // The semaphore is never closed.
        self.budget.clone().acquire_many_owned(units).await.ok()
    }

    /// Adds a segment behind the others.
    pub(crate) fn push(&self, upload: Upload, room: Reservation) {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let (stem, bytes) = (upload.segment_stem().to_owned(), upload.bytes());
        state.unfinished.insert(number, Unfinished { stem, bytes, since: Instant::now() });
        let ticket = PendingUpload {
            upload,
            started: None,
            attempts: 0,
            probe: false,
            refused: false,
            failures: 0,
            again_at: None,
            number,
            _room: room,
        };
        state.waiting.insert(number, ticket);
        drop(state);
        self.changed.notify_waiters();
    }

    /// The segment to try next; waits for one, and is `None` when there will be no more.
    pub(crate) async fn take(&self) -> Option<PendingUpload> {
        loop {
            let changed = self.changed.notified();
            let next_at = {
                let (mut state, now) = (self.state(), Instant::now());
                if let Some(ticket) = state.pop(now) {
                    return Some(ticket);
                }
                if state.waiting.is_empty() && state.closed {
                    return None;
                }
                state.next_at(now)
            };
            match next_at {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }

    /// A try has failed, and the segment stands aside. Gives the time until it or, where the bucket is down, any
    /// segment is tried again.
    pub(crate) fn failed(&self, mut ticket: PendingUpload, failure: &Failure) -> (Impact, Duration) {
        let (mut state, now) = (self.state(), Instant::now());
        let was_down = state.down();
        let standing = if ticket.failures > 0 {
            Impact::Again
        } else {
            state.failed = state.failed.saturating_add(1);
            state.failing_since.get_or_insert(now);
            if !was_down && state.down() { Impact::Down } else { Impact::Aside }
        };
        if ticket.probe {
            state.probing = None;
        }
        let pause = |tries, closed| {
            let pause = self.policy.pause(failure.class, tries, fastrand::f64());
            if closed { pause.min(HURRY) } else { pause }
        };
        ticket.failures = ticket.failures.saturating_add(1);
        let mut wait = pause(ticket.failures, state.closed);
        ticket.again_at = Some(now + wait);
        if state.down() && (ticket.probe || !was_down) {
            state.probes = state.probes.saturating_add(1);
            wait = pause(state.probes, state.closed);
            state.probe_at = Some(now + wait);
        }
        if let Class::Transient(Some(asked)) = failure.class
            && !state.closed
        {
            let quiet = now + asked.min(self.policy.longest_asked);
            state.quiet_until = state.quiet_until.max(Some(quiet));
        }
        ticket.refused = matches!(failure.class, Class::Held(_));
        ticket.probe = false;
        state.waiting.insert(ticket.number, ticket);
        drop(state);
        self.changed.notify_waiters();
        (standing, wait)
    }

    /// A segment is stored, or given up for good; its room is free.
    pub(crate) fn done(&self, ticket: PendingUpload) {
        let mut state = self.state();
        state.unfinished.remove(&ticket.number);
        (state.failed, state.failing_since) = (0, None);
        (state.probes, state.probe_at, state.quiet_until) = (0, None, None);
        if ticket.probe {
            state.probing = None;
            // Whatever was wrong with the way is over; whether a refusal is, a refused one shows.
            state.let_go(ticket.refused);
        }
        drop(state);
        drop(ticket);
        self.changed.notify_waiters();
    }

    /// A worker ended that may have been probing.
    pub(crate) fn worker_lost(&self) {
        self.state().probing = None;
        self.changed.notify_waiters();
    }

    /// Any waiting segment, for cleaning up after it.
    pub(crate) fn pop(&self) -> Option<PendingUpload> {
        self.state().waiting.pop_first().map(|(_, ticket)| ticket)
    }

    /// No more segments come. What stands aside is tried at once: there is little time left.
    pub(crate) fn close(&self) {
        let (mut state, now) = (self.state(), Instant::now());
        state.closed = true;
        (state.probe_at, state.quiet_until) = (None, None);
        state.waiting.values_mut().filter_map(|ticket| ticket.again_at.as_mut()).for_each(|at| *at = now);
        drop(state);
        self.changed.notify_waiters();
    }

    /// What is not in the bucket yet, oldest first: stem and bytes.
    pub(crate) fn unfinished(&self) -> Vec<(String, u64)> {
        self.state().unfinished.values().map(|segment| (segment.stem.clone(), segment.bytes)).collect()
    }

    /// How much is not in the bucket yet, and how it stands.
    pub(crate) fn load(&self) -> Backlog {
        let (state, now) = (self.state(), Instant::now());
        let free = u32::try_from(self.budget.available_permits()).unwrap_or(u32::MAX).min(self.units);
        let percent = u64::from(self.units - free) * 100 / u64::from(self.units);
        Backlog {
            segments: state.unfinished.len(),
            bytes: state.unfinished.values().map(|segment| segment.bytes).sum(),
            oldest: state.unfinished.values().next().map_or(Duration::ZERO, |segment| now - segment.since),
            percent: u32::try_from(percent).unwrap_or(100),
            failing: state.failing_since.map(|since| now - since),
            aside: state.aside(),
        }
    }
}

#[cfg(test)]
mod tests;
