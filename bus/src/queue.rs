//! The bounded queue between a reader and a consumer: policy, sizes and counters, for every bus.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use tracing::warn;

use crate::{MAX_MESSAGE_BYTES, Topic};

/// What a queue can hold: something whose size is known and does not change while it waits.
pub trait Payload: Send + 'static {
    /// Its size, in bytes.
    fn size(&self) -> usize;
}

impl Payload for Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

/// What a full queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest payloads make room: the consumer sees the latest. For live pictures.
    DropOldest,
    /// The arriving payload is dropped: the consumer sees an unbroken beginning. For segments.
    DropNewest,
}

/// The bounds of a subscription's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The largest number of waiting payloads; 0 counts as 1.
    pub max_items: usize,
    /// The largest sum of waiting payloads, in bytes. A single payload above it is always dropped.
    pub max_bytes: usize,
    /// What happens to a payload too many.
    pub overflow: Overflow,
}

impl Default for Queue {
    /// 32 payloads, 64 MiB, [`Overflow::DropOldest`].
    fn default() -> Self {
        Self { max_items: 32, max_bytes: 64 << 20, overflow: Overflow::DropOldest }
    }
}

/// What happened to a subscription so far, and how full its queue is now.
#[derive(Debug, Default)]
pub struct SubscriptionStats {
    /// Payloads that arrived, dropped ones included.
    pub received: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Payloads dropped, for whatever reason.
    pub dropped: AtomicU64,
    /// Their bytes.
    pub dropped_bytes: AtomicU64,
    /// Those of `dropped` that were larger than the queue or
    /// [`MAX_MESSAGE_BYTES`] allows.
    pub oversized: AtomicU64,
    /// Times the connection ended without us asking for it.
    pub disconnects: AtomicU64,
    /// Times it was made again.
    pub reconnects: AtomicU64,
    /// Payloads waiting in the queue now.
    pub queued: AtomicU64,
    /// Their bytes.
    pub queued_bytes: AtomicU64,
}

/// One subscription's queue: the reader pushes and never waits, one consumer pops.
pub(crate) struct Inbox<P> {
    topic: Topic,
    bounds: Queue,
    state: Mutex<State<P>>,
    ready: Notify,
    stats: Arc<SubscriptionStats>,
}

struct State<P> {
    waiting: VecDeque<P>,
    bytes: usize,
    open: bool,
    unsaid: Unsaid,
}

/// Drops that no log line has mentioned yet: they are said at most once a second.
struct Unsaid {
    drops: u64,
    said: Option<Instant>,
}

impl<P: Payload> Inbox<P> {
    pub(crate) fn new(topic: Topic, bounds: Queue) -> Self {
        let state =
            State { waiting: VecDeque::new(), bytes: 0, open: true, unsaid: Unsaid { drops: 0, said: None } };
        Self { topic, bounds, state: Mutex::new(state), ready: Notify::new(), stats: Arc::default() }
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    pub(crate) fn bounds(&self) -> &Queue {
        &self.bounds
    }

    pub(crate) fn stats(&self) -> &Arc<SubscriptionStats> {
        &self.stats
    }

    /// Takes what arrived. Never waits; what does not fit is dropped and counted.
    pub(crate) fn push(&self, payload: P) {
        let size = payload.size();
        let mut state = self.lock();
        if !state.open {
            return;
        }
        self.stats.received.fetch_add(1, Relaxed);
        self.stats.bytes.fetch_add(size as u64, Relaxed);
        let mut dropped = 0;
        if size > self.bounds.max_bytes.min(MAX_MESSAGE_BYTES) {
            self.stats.oversized.fetch_add(1, Relaxed);
            dropped += self.count_drop(size);
        } else {
            let fits = |state: &State<P>| {
                state.waiting.len() < self.bounds.max_items.max(1)
                    && state.bytes + size <= self.bounds.max_bytes
            };
            if self.bounds.overflow == Overflow::DropOldest {
                while !fits(&state) {
                    let Some(oldest) = state.waiting.pop_front() else { break };
                    state.bytes -= oldest.size();
                    dropped += self.count_drop(oldest.size());
                }
            }
            if fits(&state) {
                state.bytes += size;
                state.waiting.push_back(payload);
            } else {
                dropped += self.count_drop(size);
            }
        }
        self.publish_sizes(&state);
        self.say_drops(&mut state.unsaid, dropped, Instant::now());
        drop(state);
        self.ready.notify_one();
    }

    /// The oldest waiting payload.
    pub(crate) fn try_pop(&self) -> Option<P> {
        let mut state = self.lock();
        let payload = state.waiting.pop_front()?;
        state.bytes -= payload.size();
        self.publish_sizes(&state);
        self.say_drops(&mut state.unsaid, 0, Instant::now());
        Some(payload)
    }

    /// The oldest waiting payload, as soon as there is one; `None` when closed and empty. For
    /// one consumer; nothing is lost when the future is dropped.
    pub(crate) async fn pop(&self) -> Option<P> {
        loop {
            if let Some(payload) = self.try_pop() {
                return Some(payload);
            }
            if !self.lock().open {
                return None;
            }
            self.ready.notified().await;
        }
    }

    /// Nothing more is taken; what waits can still be popped.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.open = false;
        if state.unsaid.drops > 0 {
            state.unsaid.say(&self.topic, &self.bounds);
        }
        drop(state);
        self.ready.notify_one();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().open
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        // Nothing panics while it is held, and the state is whole between two statements anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_drop(&self, size: usize) -> u64 {
        self.stats.dropped.fetch_add(1, Relaxed);
        self.stats.dropped_bytes.fetch_add(size as u64, Relaxed);
        1
    }

    fn publish_sizes(&self, state: &State<P>) {
        self.stats.queued.store(state.waiting.len() as u64, Relaxed);
        self.stats.queued_bytes.store(state.bytes as u64, Relaxed);
    }

    fn say_drops(&self, unsaid: &mut Unsaid, dropped: u64, now: Instant) {
        unsaid.drops += dropped;
        if unsaid.is_due(now) {
            unsaid.said = Some(now);
            unsaid.say(&self.topic, &self.bounds);
        }
    }
}

impl Unsaid {
    fn is_due(&self, now: Instant) -> bool {
        let quiet = self.said.is_none_or(|said| now.duration_since(said) >= Duration::from_secs(1));
        self.drops > 0 && quiet
    }

    fn say(&mut self, topic: &Topic, bounds: &Queue) {
        warn!(
            %topic,
            dropped = self.drops,
            max_items = bounds.max_items,
            max_bytes = bounds.max_bytes,
            overflow = ?bounds.overflow,
            "messages dropped: the consumer is slower than the topic, or a message is above the limit"
        );
        self.drops = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inbox(max_items: usize, max_bytes: usize, overflow: Overflow) -> Inbox<Bytes> {
        Inbox::new(Topic::new("t").unwrap(), Queue { max_items, max_bytes, overflow })
    }

    fn payload(n: u8, len: usize) -> Bytes {
        vec![n; len].into()
    }

    fn drain(inbox: &Inbox<Bytes>) -> Vec<u8> {
        std::iter::from_fn(|| inbox.try_pop()).map(|payload| payload[0]).collect()
    }

    #[test]
    fn drop_oldest_keeps_the_latest() {
        let inbox = inbox(3, 100, Overflow::DropOldest);
        (0..10).for_each(|n| inbox.push(payload(n, 1)));
        assert_eq!(drain(&inbox), [7, 8, 9]);
        assert_eq!(inbox.stats.dropped.load(Relaxed), 7);
        assert_eq!(inbox.stats.received.load(Relaxed), 10);
    }

    #[test]
    fn drop_newest_keeps_the_beginning() {
        let inbox = inbox(3, 100, Overflow::DropNewest);
        (0..10).for_each(|n| inbox.push(payload(n, 1)));
        assert_eq!(drain(&inbox), [0, 1, 2]);
        assert_eq!(inbox.stats.dropped_bytes.load(Relaxed), 7);
    }

    #[test]
    fn bytes_bound_as_well_as_items() {
        let inbox = inbox(10, 100, Overflow::DropOldest);
        for n in 0..3 {
            inbox.push(payload(n, 40));
        }
        assert_eq!(inbox.stats.queued_bytes.load(Relaxed), 80);
        inbox.push(payload(3, 100));
        assert_eq!(drain(&inbox), [3]);
        inbox.push(payload(4, 101));
        assert_eq!(drain(&inbox), [0; 0]);
        assert_eq!(inbox.stats.oversized.load(Relaxed), 1);
    }

    #[test]
    fn a_payload_above_the_hard_limit_is_dropped_whatever_the_queue_allows() {
        let inbox = inbox(10, usize::MAX, Overflow::DropOldest);
        inbox.push(vec![0; MAX_MESSAGE_BYTES + 1].into());
        assert!(inbox.try_pop().is_none());
        assert_eq!(inbox.stats.oversized.load(Relaxed), 1);
    }

    #[test]
    fn drops_are_due_at_most_once_a_second() {
        let mut unsaid = Unsaid { drops: 1, said: None };
        let start = Instant::now();
        assert!(unsaid.is_due(start));
        unsaid.said = Some(start);
        assert!(!unsaid.is_due(start + Duration::from_millis(999)));
        assert!(unsaid.is_due(start + Duration::from_secs(1)));
        unsaid.drops = 0;
        assert!(!unsaid.is_due(start + Duration::from_secs(1)));
    }

    proptest! {
        /// Whatever comes: within bounds, in order, and nothing lost uncounted.
        #[test]
        fn bounded_ordered_and_accounted(
            sizes in proptest::collection::vec(1usize..60, 0..200),
            pops in proptest::collection::vec(any::<bool>(), 200),
            max_items in 0usize..8,
            newest in any::<bool>(),
        ) {
            let overflow = if newest { Overflow::DropNewest } else { Overflow::DropOldest };
            let inbox = inbox(max_items, 50, overflow);
            let mut popped = Vec::new();
            for (n, (&size, &pop)) in sizes.iter().zip(&pops).enumerate() {
                inbox.push(payload(n as u8, size));
                let queued = inbox.stats.queued.load(Relaxed);
                prop_assert!(queued <= max_items.max(1) as u64);
                prop_assert!(inbox.stats.queued_bytes.load(Relaxed) <= 50);
                if pop {
                    popped.extend(inbox.try_pop().map(|payload| payload[0]));
                }
            }
            popped.extend(drain(&inbox));
            prop_assert!(popped.is_sorted_by(|a, b| a < b));
            let dropped = inbox.stats.dropped.load(Relaxed) as usize;
            prop_assert_eq!(popped.len() + dropped, sizes.len());
            prop_assert_eq!(inbox.stats.queued_bytes.load(Relaxed), 0);
        }
    }
}
