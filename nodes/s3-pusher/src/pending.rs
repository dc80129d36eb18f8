//! The segments that are not in the bucket yet: oldest first, within a budget of bytes.
//!
//! A segment that is refused stands aside and the others go on, in case it alone is refused. When several are
//! refused and none is taken, all are held. From time to time one of those that are held is tried, never the same
//! one while there are others.
//!
//! This is the only place that knows where a waiting segment is kept, which today is memory.

use crate::backoff::Pacing;
use crate::upload::Upload;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Unit of the budget, in bytes. A segment counts for one unit at least, which bounds their number too.
const UNIT: u64 = 64 * 1024;

/// So many segments refused, and none taken in between, look like the bucket and not like the segments.
const REFUSED: u32 = 3;

/// Segments waiting for upload or being uploaded.
#[derive(Debug)]
pub(crate) struct Pending {
    budget: Arc<Semaphore>,
    units: u32,
    pacing: Pacing,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Ticket>,
    /// Of all that is waiting or under way: where it goes and its bytes.
    unfinished: BTreeMap<u64, (String, u64)>,
    next: u64,
    closed: bool,
    /// Segments refused for the first time since the bucket last took one.
    refused: u32,
    /// Tries since then of what stands aside.
    probes: u32,
    /// When one of what is held is tried again.
    probe_at: Option<Instant>,
    probing: bool,
}

/// Room in the budget; none is needed while stopping.
pub(crate) type Room = Option<OwnedSemaphorePermit>;

/// A segment that a worker has taken.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) upload: Upload,
    pub(crate) tries: Tries,
    /// Taken to see whether the bucket takes by now what it refused.
    pub(crate) probe: bool,
    aside: bool,
    refusals: u32,
    number: u64,
    _room: Room,
}

/// What became of a segment so far.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    pub(crate) started: Option<Instant>,
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
    pub(crate) timeouts: u32,
}

/// How a refusal is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The segment stands aside, others are tried.
    Aside,
    /// With this one everything is held.
    All,
    /// It was refused before.
    Again,
}

impl State {
    fn held(&self) -> bool {
        self.refused >= REFUSED
    }

    /// What to try now, if anything.
    fn pop(&mut self, now: Instant) -> Option<Ticket> {
        let held = self.held();
        if !self.probing && self.probe_at.is_some_and(|at| at <= now) {
            let candidates = self.waiting.iter().enumerate().filter(|(_, ticket)| held || ticket.aside);
            if let Some((index, _)) = candidates.min_by_key(|(_, ticket)| ticket.refusals) {
                self.probing = true;
                return self.waiting.remove(index).map(|ticket| Ticket { probe: true, ..ticket });
            }
        }
        if held {
            return None;
        }
        let index = self.waiting.iter().position(|ticket| !ticket.aside)?;
        self.waiting.remove(index)
    }
}

impl Pending {
    /// Room for so many bytes.
    pub(crate) fn new(budget: u64, pacing: Pacing) -> Self {
        let units = u32::try_from(budget.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        Self {
            budget: Arc::new(Semaphore::new(units as usize)),
            units,
            pacing,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room. A segment larger than the whole budget waits until it is alone.
    pub(crate) async fn room(&self, bytes: usize) -> Room {
        let units = u32::try_from((bytes as u64).div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        // The semaphore is never closed.
        self.budget.clone().acquire_many_owned(units).await.ok()
    }

    /// Adds a segment behind the others.
    pub(crate) fn push(&self, upload: Upload, room: Room) {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.unfinished.insert(number, (upload.segment_stem().to_owned(), upload.bytes()));
        let tries = Tries::default();
        let (probe, aside, refusals) = (false, false, 0);
        state.waiting.push_back(Ticket { upload, tries, probe, aside, refusals, number, _room: room });
        drop(state);
        self.changed.notify_waiters();
    }

    /// The segment to try next; waits for one, and is `None` when there will be no more.
    pub(crate) async fn take(&self) -> Option<Ticket> {
        loop {
            let changed = self.changed.notified();
            let probe_at = {
                let mut state = self.state();
                if let Some(ticket) = state.pop(Instant::now()) {
                    return Some(ticket);
                }
                if state.waiting.is_empty() && state.closed {
                    return None;
                }
                state.probe_at.filter(|_| !state.probing && !state.waiting.is_empty())
            };
            match probe_at {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }

    /// A segment is to be tried again, before the others or behind them.
    pub(crate) fn put_back(&self, ticket: Ticket, first: bool) {
        let mut state = self.state();
        if first {
            state.waiting.push_front(ticket);
        } else {
            state.waiting.push_back(ticket);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A segment was refused for something that can be mended, or a probe came to no answer: it stands aside.
    pub(crate) fn refused(&self, mut ticket: Ticket) -> Refusal {
        let mut state = self.state();
        let held = state.held();
        let refusal = if ticket.refusals > 0 {
            Refusal::Again
        } else {
            state.refused = state.refused.saturating_add(1);
            if !held && state.held() { Refusal::All } else { Refusal::Aside }
        };
        if ticket.probe {
            state.probing = false;
        }
        if ticket.probe || state.probe_at.is_none() {
            state.probes = state.probes.saturating_add(1);
            state.probe_at = Some(Instant::now() + self.pacing.probe(state.probes));
        }
        ticket.refusals = ticket.refusals.saturating_add(1);
        (ticket.probe, ticket.aside) = (false, true);
        state.waiting.push_back(ticket);
        drop(state);
        self.changed.notify_waiters();
        refusal
    }

    /// A segment is through, or given up for good; its room is free.
    pub(crate) fn done(&self, ticket: Ticket) {
        let mut state = self.state();
        state.unfinished.remove(&ticket.number);
        state.refused = 0;
        if ticket.probe {
            state.probing = false;
            state.probes = 0;
            if ticket.aside {
                // Somebody has mended something: what stands aside may go now.
                state.waiting.iter_mut().for_each(|ticket| ticket.aside = false);
            }
            let aside = state.waiting.iter().any(|ticket| ticket.aside);
            state.probe_at = aside.then(|| Instant::now() + self.pacing.probe(1));
        }
        drop(state);
        drop(ticket);
        self.changed.notify_waiters();
    }

    /// A worker ended that may have been probing.
    pub(crate) fn worker_lost(&self) {
        self.state().probing = false;
        self.changed.notify_waiters();
    }

    /// Whether anything stands aside or is held.
    pub(crate) fn holding(&self) -> bool {
        let state = self.state();
        state.held() || state.probing || state.waiting.iter().any(|ticket| ticket.aside)
    }

    /// Any waiting segment, for cleaning up after it.
    pub(crate) fn pop(&self) -> Option<Ticket> {
        self.state().waiting.pop_front()
    }

    /// No more segments come.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_waiters();
    }

    /// What is not in the bucket yet, oldest first: stem and bytes.
    pub(crate) fn unfinished(&self) -> Vec<(String, u64)> {
        self.state().unfinished.values().cloned().collect()
    }

    /// Number and bytes of what is not in the bucket yet.
    pub(crate) fn load(&self) -> (usize, u64) {
        let state = self.state();
        (state.unfinished.len(), state.unfinished.values().map(|(_, bytes)| bytes).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Folders, Layout};
    use crate::segment::Segment;
    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use msight_proto::{Head, Sample, VideoData};

    fn upload(second: f64, bytes: usize) -> Upload {
        let body = VideoData {
            video: Some(Bytes::from(vec![0; bytes])),
            detection_results: None,
            frame_ids: None,
            capture_timestamps: Some(vec![second]),
        };
        let sample = Sample::new(Head::new("s".to_owned(), second), body);
        let layout = Layout::new("", "d", Folders::Utc).unwrap();
        Upload::new(Segment::new(sample, &layout, "d").unwrap(), false)
    }

    #[test]
    fn oldest_first_and_nothing_forgotten() {
        let pending = Pending::new(1 << 20, Pacing::default());
        for second in [3.0, 1.0, 2.0] {
            let room = pending.room(10).now_or_never().unwrap();
            pending.push(upload(second, 10), room);
        }
        let first = pending.take().now_or_never().unwrap().unwrap();
        assert!(first.upload.segment_stem().ends_with("/3_3"));
        assert_eq!(pending.load(), (3, 30), "what is being uploaded is not safe yet");
        pending.done(first);
        assert_eq!(pending.unfinished().len(), 2);
        pending.close();
        assert!(pending.take().now_or_never().unwrap().is_some());
        assert!(pending.take().now_or_never().unwrap().is_some());
        assert!(pending.take().now_or_never().unwrap().is_none());
        assert_eq!(pending.unfinished().len(), 2);
    }

    #[test]
    fn a_full_budget_makes_wait_and_a_giant_goes_alone() {
        let pending = Pending::new(4 * UNIT, Pacing::default());
        let giant = pending.room(usize::MAX).now_or_never().unwrap();
        assert!(pending.room(1).now_or_never().is_none());
        pending.push(upload(1.0, 10), giant);
        let ticket = pending.take().now_or_never().unwrap().unwrap();
        assert!(pending.room(1).now_or_never().is_none());
        pending.done(ticket);
        let rooms: Vec<_> = (0..4).map(|_| pending.room(1).now_or_never().unwrap()).collect();
        assert!(pending.room(1).now_or_never().is_none());
        drop(rooms);
    }

    fn take(pending: &Pending) -> Option<u64> {
        let ticket = pending.take().now_or_never().flatten()?;
        let number = ticket.number;
        pending.refused(ticket);
        Some(number)
    }

    /// As if the time of the next probe had come.
    fn probe_now(pending: &Pending) {
        pending.state().probe_at = Some(Instant::now());
    }

    #[tokio::test]
    async fn refused_ones_stand_aside_and_take_turns() {
        let pending = Pending::new(1 << 20, Pacing::default());
        for second in 0..5 {
            pending.push(upload(second.into(), 10), None);
        }
        assert_eq!([take(&pending), take(&pending), take(&pending)], [Some(0), Some(1), Some(2)]);
        assert_eq!(take(&pending), None, "all are held");
        let mut probed = Vec::new();
        for _ in 0..6 {
            probe_now(&pending);
            probed.extend(take(&pending));
            assert_eq!(take(&pending), None, "one probe at a time");
        }
        assert_eq!(probed, [3, 4, 0, 1, 2, 3]);

        // A new one is the next probe; it is taken, and the others stand aside still.
        pending.push(upload(5.0, 10), None);
        probe_now(&pending);
        let taken = pending.take().now_or_never().flatten().unwrap();
        assert_eq!(taken.number, 5);
        pending.done(taken);
        assert!(pending.holding());
        pending.push(upload(6.0, 10), None);
        let taken = pending.take().now_or_never().flatten().unwrap();
        assert_eq!((taken.number, taken.probe), (6, false));
        pending.done(taken);
        assert_eq!(take(&pending), None);

        // When one of them is taken, all may go.
        probe_now(&pending);
        for _ in 0..5 {
            let taken = pending.take().now_or_never().flatten().unwrap();
            pending.done(taken);
        }
        assert!(!pending.holding());
    }
}
