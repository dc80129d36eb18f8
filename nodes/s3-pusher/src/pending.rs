//! The segments that are not in the bucket yet: oldest first, within a budget of bytes.
//!
//! This is the only place that knows where a waiting segment is kept, which today is memory.

use crate::segment::Segment;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Unit of the budget, in bytes. A segment counts for one unit at least, which bounds their number too.
const UNIT: u64 = 64 * 1024;

/// Segments waiting for upload or being uploaded.
#[derive(Debug)]
pub(crate) struct Pending {
    budget: Arc<Semaphore>,
    units: u32,
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
}

/// Room in the budget; none is needed while stopping.
pub(crate) type Room = Option<OwnedSemaphorePermit>;

/// A segment that a worker has taken.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) segment: Segment,
    number: u64,
    _room: Room,
}

impl Pending {
    /// Room for so many bytes.
    pub(crate) fn new(budget: u64) -> Self {
        let units = u32::try_from(budget.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        Self {
            budget: Arc::new(Semaphore::new(units as usize)),
            units,
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
    pub(crate) fn push(&self, segment: Segment, room: Room) {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.unfinished.insert(number, (segment.stem.clone(), segment.video.len() as u64));
        state.waiting.push_back(Ticket { segment, number, _room: room });
        drop(state);
        self.changed.notify_one();
    }

    /// The oldest waiting segment; waits for one, and is `None` when there will be no more.
    pub(crate) async fn take(&self) -> Option<Ticket> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if let Some(ticket) = state.waiting.pop_front() {
                    return Some(ticket);
                }
                if state.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// A segment is through, or given up for good; its room is free.
    pub(crate) fn done(&self, ticket: Ticket) {
        self.state().unfinished.remove(&ticket.number);
        drop(ticket);
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
    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use msight_proto::{Head, Sample, VideoData};

    fn segment(second: f64, bytes: usize) -> Segment {
        let body = VideoData {
            video: Some(Bytes::from(vec![0; bytes])),
            detection_results: None,
            frame_ids: None,
            capture_timestamps: Some(vec![second]),
        };
        let sample = Sample::new(Head::new("s".to_owned(), second), body);
        Segment::new(sample, &Layout::new("", "d", Folders::Utc).unwrap(), "d").unwrap()
    }

    #[test]
    fn oldest_first_and_nothing_forgotten() {
        let pending = Pending::new(1 << 20);
        for second in [3.0, 1.0, 2.0] {
            let room = pending.room(10).now_or_never().unwrap();
            pending.push(segment(second, 10), room);
        }
        let first = pending.take().now_or_never().unwrap().unwrap();
        assert!(first.segment.stem.ends_with("/3_3"));
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
        let pending = Pending::new(4 * UNIT);
        let giant = pending.room(usize::MAX).now_or_never().unwrap();
        assert!(pending.room(1).now_or_never().is_none());
        pending.push(segment(1.0, 10), giant);
        let ticket = pending.take().now_or_never().unwrap().unwrap();
        assert!(pending.room(1).now_or_never().is_none());
        pending.done(ticket);
        let rooms: Vec<_> = (0..4).map(|_| pending.room(1).now_or_never().unwrap()).collect();
        assert!(pending.room(1).now_or_never().is_none());
        drop(rooms);
    }
}
