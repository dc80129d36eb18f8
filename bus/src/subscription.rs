//! The receiving end of a topic.

use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::task::AbortHandle;

use crate::delivery::Delivery;
use crate::inbox::{Inbox, Payload, QueueConfig, SubscriptionStats};
use crate::topic::Topic;

/// A subscription to one topic. It returns the messages of its queue in order of arrival.
///
/// It reconnects by itself, and ends only when it is closed ([`close`](Self::close)) or dropped. Messages published
/// while it is disconnected are lost, as always with publish/subscribe; `disconnects` in its [`stats`](Self::stats)
/// counts those gaps.
///
/// On a [`Bus`](crate::Bus) a subscription carries bytes, on [`LocalTopics`](crate::LocalTopics) any type.
pub struct Subscription<P: Payload = Bytes> {
    inbox: Arc<Inbox<P>>,
    /// The task that fills the queue; `None` within a process.
    reader: Option<AbortHandle>,
}

impl<P: Payload> Subscription<P> {
    /// The subscriber's end of `inbox`. `reader`, the task that fills it, is aborted when the subscription is closed
    /// or dropped.
    pub fn new(inbox: Arc<Inbox<P>>, reader: Option<AbortHandle>) -> Self {
        Self { inbox, reader }
    }

    /// The next message, as soon as there is one; `None` once closed and empty. Cancel safe: dropping the future loses
    /// no message.
    pub async fn recv(&mut self) -> Option<Delivery<P>> {
        self.inbox.pop().await
    }

    /// The next message, if one is in the queue.
    pub fn try_recv(&mut self) -> Option<Delivery<P>> {
        self.inbox.try_pop()
    }

    /// The counters at this moment.
    pub fn stats(&self) -> SubscriptionStats {
        self.inbox.stats()
    }

    /// A monitor that reads the counters elsewhere.
    pub fn monitor(&self) -> SubscriptionMonitor {
        // A monitor does not depend on the type of the payload.
        let inbox: Arc<dyn Counted> = self.inbox.clone();
        SubscriptionMonitor(Arc::downgrade(&inbox))
    }

    /// Calls `observer` with each message that the full queue drops from now on, in the task that reads the bus, so it must
    /// not block. A second observer is ignored.
    pub fn observe_drops(&self, observer: impl Fn(&P) + Send + Sync + 'static) {
        self.inbox.observe_drops(observer);
    }

    /// The topic that was requested.
    pub fn topic(&self) -> &Topic {
        self.inbox.topic()
    }

    /// The bounds of its queue.
    pub fn queue(&self) -> &QueueConfig {
        self.inbox.bounds()
    }

    /// Unsubscribes, and discards the messages in the queue, which stay unacknowledged. Calls `observe` with each of them
    /// before.
    pub fn abandon(&mut self, observe: impl FnMut(&P)) {
        self.close();
        self.inbox.abandon(observe);
    }

    /// Unsubscribes. Messages in the queue can still be received.
    pub fn close(&mut self) {
        self.inbox.close();
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
    }
}

impl<P: Payload> Drop for Subscription<P> {
    fn drop(&mut self) {
        self.abandon(|_| {});
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

/// Reads the counters of a subscription, and does not keep the subscription alive.
#[derive(Clone)]
pub struct SubscriptionMonitor(Weak<dyn Counted>);

impl SubscriptionMonitor {
    /// The counters at this moment; `None` once the subscription was dropped.
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
