//! The receiving end of a topic.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::AbortHandle;

use crate::queue::{Inbox, Payload, SubscriptionStats};
use crate::{Queue, Topic};

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
    pub(crate) fn new(inbox: Arc<Inbox<P>>, reader: Option<AbortHandle>) -> Self {
        Self { inbox, reader }
    }

    /// The next payload, as soon as there is one; `None` once closed and empty. Nothing is lost
    /// when the future is dropped before it is done.
    pub async fn recv(&mut self) -> Option<P> {
        self.inbox.pop().await
    }

    /// The next payload if one waits already.
    pub fn try_recv(&mut self) -> Option<P> {
        self.inbox.try_pop()
    }

    /// The counters, which live on after the subscription.
    pub fn stats(&self) -> Arc<SubscriptionStats> {
        self.inbox.stats().clone()
    }

    /// The topic as it was asked for.
    pub fn topic(&self) -> &Topic {
        self.inbox.topic()
    }

    /// The bounds of its queue.
    pub fn queue(&self) -> &Queue {
        self.inbox.bounds()
    }

    /// Unsubscribes. What waits in the queue can still be received.
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
    }
}

impl<P: Payload> fmt::Debug for Subscription<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", self.topic())
            .field("stats", self.inbox.stats())
            .finish_non_exhaustive()
    }
}
