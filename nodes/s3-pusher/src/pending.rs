//! The segments that are not in the bucket yet: oldest first, within a budget of bytes.
//!
//! A segment that fails is set aside for a while, in case it alone fails, and the others continue. When several fail and
//! none is stored in between, the bucket counts as down: from time to time one segment is tried as a probe, a different
//! one each time. The first one that is stored releases the rest, oldest first.
//!
//! A segment in the spool folder takes nothing of the budget: it waits there, and only a reference to it is here. References
//! are limited in number.

use crate::failure::{Class, Failure, Hold};
use crate::retry::RetryPolicy;
use crate::upload::{About, Job};
use msight_proto::Receipt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Maximum number of segments in the spool folder that wait here; the rest stays in the folder alone until there is room.
pub(crate) const MAX_REFERENCES: usize = 4096;

/// Unit of the budget, in bytes. A segment counts at least one unit, which bounds the number of segments too.
const UNIT: u64 = 64 * 1024;

/// The bucket counts as down after this many failed segments without a stored one in between.
const DOWN: u32 = 3;

/// A probe that takes longer may hang on a dead connection: another one is sent beside it.
const HUNG: Duration = Duration::from_secs(60);

/// The longest wait for a retry once the node stops, when little time is left.
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
    /// By number, in order of arrival.
    waiting: BTreeMap<u64, PendingUpload>,
    /// All segments that wait or are being uploaded.
    unfinished: BTreeMap<u64, Unfinished>,
    /// How many of them are in the spool folder.
    references: usize,
    next: u64,
    closed: bool,
    /// Segments that failed since the last stored one, each counted once.
    failed: u32,
    /// When the first of them failed.
    failing_since: Option<Instant>,
    /// Tries while the bucket is down.
    probes: u32,
    /// When the next one is made.
    probe_at: Option<Instant>,
    /// When the current probe was started.
    probing: Option<Instant>,
    /// The end of the server's `Retry-After`.
    quiet_until: Option<Instant>,
    /// When a segment was stored last.
    stored_at: Option<Instant>,
}

/// A segment that is not in the bucket yet.
#[derive(Debug, Clone)]
pub(crate) struct Unfinished {
    /// Key without extension, or path in the spool folder.
    pub(crate) stem: String,
    pub(crate) bytes: u64,
    pub(crate) is_spooled: bool,
    pub(crate) about: About,
    since: Instant,
    receipt: Option<Receipt>,
}

/// A part of the budget; while stopping a segment needs none.
pub(crate) type Reservation = Option<OwnedSemaphorePermit>;

/// A segment that waits, or that a worker has taken.
#[derive(Debug)]
pub(crate) struct PendingUpload {
    pub(crate) job: Job,
    /// When it was first tried.
    pub(crate) started: Option<Instant>,
    pub(crate) attempts: u32,
    /// The try is a probe: the segment failed before, or the bucket is down.
    pub(crate) probe: bool,
    /// Its last failure has a cause that must be fixed.
    pub(crate) refused: bool,
    /// That failure, and its time.
    refusal: Option<(Failure, Instant)>,
    /// Failures since it was last released, and the time of its next try while it is set aside.
    failures: u32,
    again_at: Option<Instant>,
    number: u64,
    _room: Reservation,
}

/// The effect of a failure on the other segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Impact {
    /// The segment is set aside; others are tried.
    Aside,
    /// The bucket counts as down from now on.
    Down,
    /// None new: the segment failed before.
    Again,
}

/// The segments that are not stored yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) segments: usize,
    /// Of the videos.
    pub(crate) bytes: u64,
    /// How long the oldest has been here.
    pub(crate) oldest: Duration,
    /// How much of the budget is used.
    pub(crate) percent: u32,
    /// Time since the first failure, while no try has succeeded.
    pub(crate) failing: Option<Duration>,
    /// Whether any segment is set aside.
    pub(crate) aside: bool,
}

impl State {
    /// A segment no longer waits.
    fn forget(&mut self, ticket: &PendingUpload) {
        self.unfinished.remove(&ticket.number);
        self.references -= usize::from(ticket.job.is_spooled());
    }

    fn down(&self) -> bool {
        self.failed >= DOWN
    }

    /// The segment to try now.
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

    /// The time of the next try, unless another event comes first.
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

    /// Releases the segments that are set aside; with `refused` also those with a cause that must be fixed.
    fn release(&mut self, refused: bool) {
        for ticket in self.waiting.values_mut().filter(|ticket| refused || !ticket.refused) {
            (ticket.failures, ticket.again_at) = (0, None);
        }
    }

    fn aside(&self) -> bool {
        self.down() || self.probing.is_some() || self.waiting.values().any(|ticket| ticket.again_at.is_some())
    }
}

impl Pending {
    /// With a budget of this many bytes.
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

    /// Whether a segment has room now.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.budget.available_permits() >= self.units_of(bytes) as usize
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from((bytes as u64).div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units)
    }

    /// Takes out the oldest segment that the server refuses although it accepts others: one that is too large, or one after
    /// whose refusal another was stored. It keeps room that acceptable ones need.
    pub(crate) fn evict(&self) -> Option<(PendingUpload, Failure)> {
        let mut state = self.state();
        let stored_at = state.stored_at;
        let is_hopeless = |ticket: &&PendingUpload| {
            // One in the spool folder keeps no room.
            let kept = ticket.refusal.as_ref().filter(|_| !ticket.job.is_spooled());
            kept.as_ref().is_some_and(|(failure, at)| {
                failure.class == Class::Held(Hold::TooLarge)
                    || stored_at.is_some_and(|stored_at| stored_at > *at)
            })
        };
        let number = state.waiting.values().find(is_hopeless)?.number;
        let ticket = state.waiting.remove(&number)?;
        let (failure, _) = ticket.refusal.clone()?;
        Some((ticket, failure))
    }

    /// A segment that was taken out is lost, or left in the spool folder; its part of the budget is free. It tells nothing of
    /// the bucket.
    pub(crate) fn give_up(&self, ticket: PendingUpload) {
        let mut state = self.state();
        state.forget(&ticket);
        if ticket.probe {
            state.probing = None;
        }
        drop(state);
        drop(ticket);
        self.changed.notify_waiters();
    }

    /// Waits for room in the budget. A segment larger than the whole budget waits until it is alone.
    pub(crate) async fn room(&self, bytes: usize) -> Reservation {
        let units = self.units_of(bytes);
        // The semaphore is never closed.
        self.budget.clone().acquire_many_owned(units).await.ok()
    }

    /// Adds a segment as the last one. One in the spool folder is left there, and `false` returned, if there is no room for
    /// another reference or no more segments come.
    pub(crate) fn push(&self, job: impl Into<Job>, room: Reservation) -> bool {
        let (job, mut state) = (job.into(), self.state());
        if job.is_spooled() {
            if state.closed || state.references >= MAX_REFERENCES {
                return false;
            }
            state.references += 1;
        }
        let number = state.next;
        state.next += 1;
        let unfinished = Unfinished {
            stem: job.name(),
            bytes: job.bytes(),
            is_spooled: job.is_spooled(),
            about: job.about(),
            since: Instant::now(),
            receipt: job.receipt(),
        };
        state.unfinished.insert(number, unfinished);
        let ticket = PendingUpload {
            job,
            started: None,
            attempts: 0,
            probe: false,
            refused: false,
            refusal: None,
            failures: 0,
            again_at: None,
            number,
            _room: room,
        };
        state.waiting.insert(number, ticket);
        drop(state);
        self.changed.notify_waiters();
        true
    }

    /// How many more segments in the spool folder have room here.
    pub(crate) fn room_for_references(&self) -> usize {
        MAX_REFERENCES - self.state().references
    }

    /// Waits for the next segment to try; `None` after [`Pending::close`] once all segments are taken.
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

    /// A try has failed: sets the segment aside. Returns the time until the next try of it, or of any segment while the
    /// bucket is down.
    pub(crate) fn failed(&self, mut ticket: PendingUpload, failure: &Failure) -> (Impact, Duration) {
        let (mut state, now) = (self.state(), Instant::now());
        let was_down = state.down();
        let impact = if ticket.failures > 0 {
            Impact::Again
        } else if matches!(failure.class, Class::Held(Hold::TooLarge) | Class::Unreadable) {
            // It tells nothing of the segments that are smaller, or of other files.
            Impact::Aside
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
        ticket.refusal = ticket.refused.then(|| (failure.clone(), now));
        ticket.probe = false;
        state.waiting.insert(ticket.number, ticket);
        drop(state);
        self.changed.notify_waiters();
        (impact, wait)
    }

    /// A segment is stored or lost; its part of the budget is free.
    pub(crate) fn done(&self, ticket: PendingUpload) {
        let mut state = self.state();
        state.forget(&ticket);
        state.stored_at = Some(Instant::now());
        (state.failed, state.failing_since) = (0, None);
        (state.probes, state.probe_at, state.quiet_until) = (0, None, None);
        if ticket.probe {
            state.probing = None;
            // The connection works again. Only a probe that had been refused shows that refusals are over.
            state.release(ticket.refused);
        }
        drop(state);
        drop(ticket);
        self.changed.notify_waiters();
    }

    /// A worker failed that may have been probing.
    pub(crate) fn worker_lost(&self) {
        self.state().probing = None;
        self.changed.notify_waiters();
    }

    /// Takes out a waiting segment, to clean up after it.
    pub(crate) fn pop(&self) -> Option<PendingUpload> {
        self.state().waiting.pop_first().map(|(_, ticket)| ticket)
    }

    /// No more segments come. Those set aside are tried at once, because little time is left; it is for those in memory, so
    /// the segments in the spool folder stay there, except the ones under way.
    pub(crate) fn close(&self) {
        let (mut state, now) = (self.state(), Instant::now());
        state.closed = true;
        state.waiting.retain(|_, ticket| !ticket.job.is_spooled());
        (state.probe_at, state.quiet_until) = (None, None);
        state.waiting.values_mut().filter_map(|ticket| ticket.again_at.as_mut()).for_each(|at| *at = now);
        drop(state);
        self.changed.notify_waiters();
    }

    /// The segments that are not in the bucket yet, oldest first.
    pub(crate) fn unfinished(&self) -> Vec<Unfinished> {
        self.state().unfinished.values().cloned().collect()
    }

    /// Leaves the messages of the segments that are not in the bucket yet unacknowledged.
    pub(crate) fn abandon_receipts(&self) {
        self.state().unfinished.values().flat_map(|segment| &segment.receipt).for_each(Receipt::abandon);
    }

    /// How much is not in the bucket yet.
    pub(crate) fn backlog(&self) -> Backlog {
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
