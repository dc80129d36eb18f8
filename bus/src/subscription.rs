//! The receiving end of a topic.

use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::task::AbortHandle;

use crate::delivery::Delivery;
use crate::inbox::{Inbox, Payload, QueueConfig, SubscriptionStats};
use crate::topic::Topic;

/// A subscription to one topic: what its queue holds, in order of arrival.
///
/// It reconnects by itself and ends only by [`close`](Self::close) or by being dropped. What is
/// published while the connection is away is lost, as publish/subscribe has it; `disconnects` in
/// its [`stats`](Self::stats) counts those gaps.
///
/// A [`Bus`](crate::Bus) gives subscriptions to bytes; [`LocalTopics`](crate::LocalTopics) to whatever they carry.
pub struct Subscription<P: Payload = Bytes> {
    inbox: Arc<Inbox<P>>,
    /// The task that fills the queue; within a process none is needed.
    reader: Option<AbortHandle>,
}

impl<P: Payload> Subscription<P> {
    /// The subscriber's end of `inbox`. `reader`, the task that fills it, is aborted when the subscription is closed
    /// or dropped.
    pub fn new(inbox: Arc<Inbox<P>>, reader: Option<AbortHandle>) -> Self {
        Self { inbox, reader }
    }

    /// The next message, as soon as there is one; `None` once closed and empty. No message is lost
    /// when the future is dropped before it is done.
    pub async fn recv(&mut self) -> Option<Delivery<P>> {
        self.inbox.pop().await
    }

    /// The next message if one waits already.
    pub fn try_recv(&mut self) -> Option<Delivery<P>> {
        self.inbox.try_pop()
    }

    /// The counters, as they are now.
    pub fn stats(&self) -> SubscriptionStats {
        self.inbox.stats()
    }

    /// Reads the counters from elsewhere.
    pub fn monitor(&self) -> SubscriptionMonitor {
        // The type of the payload is of no interest there.
        let inbox: Arc<dyn Counted> = self.inbox.clone();
        SubscriptionMonitor(Arc::downgrade(&inbox))
    }

    /// The topic as it was asked for.
    pub fn topic(&self) -> &Topic {
        self.inbox.topic()
    }

    /// The bounds of its queue.
    pub fn queue(&self) -> &QueueConfig {
        self.inbox.bounds()
    }

    /// Unsubscribes. Messages that wait in the queue can still be received.
    pub fn close(&mut self) {
        self.inbox.close();
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
    }
}

impl<P: Payload> Drop for Subscription<P> {
    fn drop(&mut self) {
        self.close();
        self.inbox.discard();
    }
}

impl<P: Payload> fmt::Debug for Subscription<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", self.topic())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Reads the counters of a subscription for as long as it exists, without keeping it.
#[derive(Clone)]
pub struct SubscriptionMonitor(Weak<dyn Counted>);

impl SubscriptionMonitor {
    /// The counters, as they are now; `None` once the subscription is gone.
    pub fn stats(&self) -> Option<SubscriptionStats> {
        self.0.upgrade().map(|inbox| inbox.stats())
    }
}

trait Counted: Send + Sync {
    fn stats(&self) -> SubscriptionStats;
}

impl<P: Payload> Counted for Inbox<P> {
    fn stats(&self) -> SubscriptionStats {
        Inbox::stats(self)
    }
}
