//! The queue of a subscription: the bus fills it and never waits, one consumer empties it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::error;

use crate::delivery::Delivery;
use crate::limit::MAX_MESSAGE_BYTES;
use crate::queue::{BoundedQueue, Limits, PushError};
use crate::topic::Topic;

/// The payload of a subscription. Its size is known and does not change in the queue.
pub trait Payload: Send + 'static {
    /// Its size, in bytes.
    fn size(&self) -> usize;
}

impl Payload for Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

/// The policy of a subscription's full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// Drops the oldest messages, so the consumer sees the latest. For live pictures.
    DropOldest,
    /// Drops the arriving message, so the consumer sees an unbroken beginning. For segments.
    DropNewest,
}

/// The bounds of a subscription's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// Maximum number of waiting messages; 0 counts as 1.
    pub max_items: usize,
    /// Maximum of their total size, in bytes. A single message above it, or above [`MAX_MESSAGE_BYTES`], is always
    /// dropped.
    pub max_bytes: usize,
    /// The policy when the queue is full.
    pub overflow: Overflow,
}

impl QueueConfig {
    /// A queue that is limited by bytes: it holds what a broker keeps for a subscriber that stalls for seconds. The
    /// number of messages is limited because each needs memory beside its payload.
    pub const fn of_bytes(max_bytes: usize) -> Self {
        let max_items = max_bytes / Self::SMALL;
        Self { max_items, max_bytes, overflow: Overflow::DropOldest }
    }

    /// Bytes that a smaller message counts as.
    const SMALL: usize = 256;
}

impl Default for QueueConfig {
    /// 64 MiB, which is twice what a stock Redis keeps for a subscriber, and [`Overflow::DropOldest`].
    fn default() -> Self {
        Self::of_bytes(64 << 20)
    }
}

/// The counters of a subscription and the fill of its queue, all at the same moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscriptionStats {
    /// Messages that arrived, dropped ones included.
    pub received: u64,
    /// Bytes of the messages that arrived.
    pub bytes: u64,
    /// Messages dropped for any reason.
    pub dropped: u64,
    /// Bytes of the dropped messages.
    pub dropped_bytes: u64,
    /// Dropped messages that were larger than the queue or [`MAX_MESSAGE_BYTES`] allows.
    pub oversized: u64,
    /// Messages discarded with the subscription.
    pub abandoned: u64,
    /// Bytes of the discarded messages.
    pub abandoned_bytes: u64,
    /// Times that the connection was lost.
    pub disconnects: u64,
    /// Times that the connection was restored.
    pub reconnects: u64,
    /// Messages in the queue now.
    pub queued: u64,
    /// Bytes of the messages in the queue now.
    pub queued_bytes: u64,
}

impl SubscriptionStats {
    /// Messages that the consumer has taken. Together with the dropped, the abandoned and the queued messages, these are
    /// all that were received.
    pub fn taken(&self) -> u64 {
        self.received - self.dropped - self.abandoned - self.queued
    }

    /// Bytes of the messages that the consumer has taken.
    pub fn taken_bytes(&self) -> u64 {
        self.bytes - self.dropped_bytes - self.abandoned_bytes - self.queued_bytes
    }
}

/// The end of a [`Subscription`](crate::Subscription) that its bus holds. Your own [`Bus`](crate::Bus) creates one for
/// each subscription, and pushes arriving messages into it.
pub struct Inbox<P: Payload = Bytes> {
    topic: Topic,
    bounds: QueueConfig,
    queue: BoundedQueue<Delivery<P>>,
    drops: Mutex<DropReport>,
    on_drop: OnceLock<DropObserver<P>>,
    disconnects: AtomicU64,
    reconnects: AtomicU64,
}

/// Called with each message that a full queue drops.
type DropObserver<P> = Box<dyn Fn(&P) + Send + Sync>;

impl<P: Payload> Inbox<P> {
    /// An empty queue for messages of `topic`.
    pub fn new(topic: Topic, bounds: QueueConfig) -> Arc<Self> {
        let limits = Limits {
            max_items: bounds.max_items,
            max_bytes: bounds.max_bytes,
            max_item_bytes: bounds.max_bytes.min(MAX_MESSAGE_BYTES),
        };
        Arc::new(Self {
            topic,
            bounds,
            queue: BoundedQueue::new(limits),
            drops: Mutex::default(),
            on_drop: OnceLock::new(),
            disconnects: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        })
    }

    /// The topic that the subscriber requested.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Queues an arriving message. Never waits: a message that does not fit is dropped and counted.
    pub fn push(&self, delivery: Delivery<P>) {
        let bytes = delivery.payload.size();
        let outcome = match self.bounds.overflow {
            Overflow::DropOldest => self.queue.force_push(delivery, bytes),
            Overflow::DropNewest => self.queue.try_push(delivery, bytes).map(|()| Vec::new()),
        };
        let dropped = match outcome {
            Ok(evicted) => evicted,
            Err(PushError::Full(one) | PushError::Oversized(one)) => vec![one],
            Err(PushError::Closed(_)) => return,
        };
        if let Some(observe) = self.on_drop.get() {
            dropped.iter().for_each(|delivery| observe(&delivery.payload));
        }
        self.report_drops(dropped.len() as u64);
    }

    /// Counts a loss of the connection.
    pub fn count_disconnect(&self) {
        self.disconnects.fetch_add(1, Relaxed);
    }

    /// Counts a reconnect.
    pub fn count_reconnect(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    /// Whether the subscriber has closed the subscription or dropped it.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// The counters.
    pub fn stats(&self) -> SubscriptionStats {
        let queue = self.queue.stats();
        let (received, dropped) = (queue.offered(), queue.dropped());
        SubscriptionStats {
            received: received.items,
            bytes: received.bytes,
            dropped: dropped.items,
            dropped_bytes: dropped.bytes,
            oversized: queue.oversized.items,
            abandoned: queue.abandoned.items,
            abandoned_bytes: queue.abandoned.bytes,
            disconnects: self.disconnects.load(Relaxed),
            reconnects: self.reconnects.load(Relaxed),
            queued: queue.waiting.items,
            queued_bytes: queue.waiting.bytes,
        }
    }

    pub(crate) fn observe_drops(&self, observer: impl Fn(&P) + Send + Sync + 'static) {
        // A second one is ignored.
        let _ = self.on_drop.set(Box::new(observer));
    }

    pub(crate) fn bounds(&self) -> &QueueConfig {
        &self.bounds
    }

    /// The oldest waiting message.
    pub(crate) fn try_pop(&self) -> Option<Delivery<P>> {
        let delivery = self.queue.try_pop()?;
        self.report_drops(0);
        Some(delivery)
    }

    /// The oldest waiting message, as soon as there is one; `None` once closed and empty.
    pub(crate) async fn pop(&self) -> Option<Delivery<P>> {
        let delivery = self.queue.pop().await?;
        self.report_drops(0);
        Some(delivery)
    }

    /// Rejects further messages; those in the queue can still be received.
    pub(crate) fn close(&self) {
        self.queue.close();
        let mut drops = self.drops.lock().unwrap_or_else(PoisonError::into_inner);
        self.log_drops(std::mem::take(&mut drops.unreported));
    }

    /// Discards the messages in the queue, each after a call of `observe`.
    pub(crate) fn abandon(&self, mut observe: impl FnMut(&P)) {
        self.queue.abandon_with(|delivery| observe(&delivery.payload));
    }

    fn report_drops(&self, dropped: u64) {
        let mut drops = self.drops.lock().unwrap_or_else(PoisonError::into_inner);
        self.log_drops(drops.due(dropped, Instant::now()));
    }

    fn log_drops(&self, dropped: u64) {
        // An observer has reported each of them.
        if dropped > 0 && self.on_drop.get().is_none() {
            let QueueConfig { max_items, max_bytes, overflow } = self.bounds;
            error!(
                topic = %self.topic,
                dropped,
                max_items,
                max_bytes,
                ?overflow,
                "messages lost: the consumer is slower than the topic, or a message exceeds the limit"
            );
        }
    }
}

/// Limits reports of drops to one a second, with their number.
#[derive(Debug, Default)]
struct DropReport {
    unreported: u64,
    reported_at: Option<Instant>,
}

impl DropReport {
    const INTERVAL: Duration = Duration::from_secs(1);

    /// Adds `dropped` drops, and returns how many to report now.
    fn due(&mut self, dropped: u64, now: Instant) -> u64 {
        self.unreported += dropped;
        let is_early = self.reported_at.is_some_and(|at| now.duration_since(at) < Self::INTERVAL);
        if self.unreported == 0 || is_early {
            return 0;
        }
        self.reported_at = Some(now);
        std::mem::take(&mut self.unreported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(max_items: usize, max_bytes: usize, overflow: Overflow) -> Arc<Inbox> {
        Inbox::new(Topic::new("t").unwrap(), QueueConfig { max_items, max_bytes, overflow })
    }

    fn push(inbox: &Inbox, n: u8, bytes: usize) {
        inbox.push(Delivery::unacknowledged(vec![n; bytes].into()));
    }

    fn drain(inbox: &Inbox) -> Vec<u8> {
        std::iter::from_fn(|| inbox.try_pop()).map(|delivery| delivery.payload[0]).collect()
    }

    #[test]
    fn drop_oldest_keeps_the_latest() {
        let inbox = inbox(3, 100, Overflow::DropOldest);
        (0..10).for_each(|n| push(&inbox, n, 1));
        let stats = inbox.stats();
        assert_eq!((stats.received, stats.dropped, stats.queued, stats.taken()), (10, 7, 3, 0));
        assert_eq!(drain(&inbox), [7, 8, 9]);
        assert_eq!((inbox.stats().taken(), inbox.stats().taken_bytes()), (3, 3));
    }

    #[test]
    fn dropped_messages_are_observed() {
        for (overflow, dropped) in [(Overflow::DropOldest, [0, 1, 9]), (Overflow::DropNewest, [2, 3, 9])] {
            let (inbox, seen) = (inbox(2, 100, overflow), Arc::new(Mutex::new(Vec::new())));
            let observed = seen.clone();
            inbox.observe_drops(move |payload: &Bytes| observed.lock().unwrap().push(payload[0]));
            (0..4).for_each(|n| push(&inbox, n, 1));
            push(&inbox, 9, 101);
            assert_eq!(*seen.lock().unwrap(), dropped);
        }
    }

    #[test]
    fn drop_newest_keeps_the_beginning() {
        let inbox = inbox(3, 100, Overflow::DropNewest);
        (0..10).for_each(|n| push(&inbox, n, 1));
        assert_eq!(drain(&inbox), [0, 1, 2]);
        assert_eq!(inbox.stats().dropped_bytes, 7);
    }

    #[test]
    fn bytes_bound_as_well_as_items() {
        let inbox = inbox(10, 100, Overflow::DropOldest);
        (0..3).for_each(|n| push(&inbox, n, 40));
        assert_eq!(inbox.stats().queued_bytes, 80);
        push(&inbox, 3, 100);
        assert_eq!(drain(&inbox), [3]);
        push(&inbox, 4, 101);
        assert_eq!(drain(&inbox), [0; 0]);
        assert_eq!(inbox.stats().oversized, 1);
    }

    #[test]
    fn a_message_above_the_hard_limit_is_always_dropped() {
        let inbox = inbox(10, usize::MAX, Overflow::DropOldest);
        push(&inbox, 0, MAX_MESSAGE_BYTES + 1);
        assert!(inbox.try_pop().is_none());
        assert_eq!(inbox.stats().oversized, 1);
    }

    #[test]
    fn a_closed_inbox_counts_nothing() {
        let inbox = inbox(10, 100, Overflow::DropNewest);
        inbox.close();
        push(&inbox, 0, 1);
        assert_eq!(inbox.stats(), SubscriptionStats::default());
    }

    #[test]
    fn drops_are_reported_at_most_once_a_second() {
        let (mut drops, start) = (DropReport::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(drops.due(0, at(0)), 0);
        assert_eq!(drops.due(1, at(0)), 1);
        assert_eq!(drops.due(2, at(999)), 0);
        assert_eq!(drops.due(0, at(1000)), 2);
        assert_eq!(drops.due(0, at(5000)), 0);
    }
}
