//! Topics within a process: every published payload goes into the queue of each subscriber.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::delivery::Delivery;
use crate::inbox::{Inbox, Payload, QueueConfig};
use crate::subscription::Subscription;
use crate::topic::Topic;

/// Topics in the memory of this process that carry payloads of any one type. Clones share the topics.
///
/// Every subscriber gets a clone of each published payload, through a queue with the same bounds, policies and counters
/// as on a [`Bus`](crate::Bus).
pub struct LocalTopics<P: Payload> {
    subscribers: Arc<Mutex<Subscribers<P>>>,
}

type Subscribers<P> = HashMap<Topic, Vec<Weak<Inbox<P>>>>;

impl<P: Payload> Clone for LocalTopics<P> {
    fn clone(&self) -> Self {
        Self { subscribers: self.subscribers.clone() }
    }
}

impl<P: Payload> Default for LocalTopics<P> {
    fn default() -> Self {
        Self { subscribers: Arc::default() }
    }
}

impl<P: Payload + Clone> LocalTopics<P> {
    /// Publishes `payload` to all current subscribers of `topic`, and returns their number. Never waits; all
    /// subscribers see the same order. The last subscriber gets the payload itself, the others get clones.
    ///
    /// # Errors
    /// There is no subscriber. Returns the payload.
    pub fn publish(&self, topic: &Topic, payload: P) -> Result<usize, P> {
        // Hold the lock until all subscribers have the payload, so that they see the same order.
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(inboxes) = subscribers.get_mut(topic) else { return Err(payload) };
        let mut open = Vec::with_capacity(inboxes.len());
        inboxes.retain(|inbox| {
            let inbox = inbox.upgrade().filter(|inbox| !inbox.is_closed());
            let is_open = inbox.is_some();
            open.extend(inbox);
            is_open
        });
        let Some(last) = open.pop() else {
            subscribers.remove(topic);
            return Err(payload);
        };
        open.iter().for_each(|inbox| inbox.push(Delivery::unacknowledged(payload.clone())));
        last.push(Delivery::unacknowledged(payload));
        Ok(open.len() + 1)
    }

    /// Whether `topic` has a subscriber.
    pub fn has_subscriber(&self, topic: &Topic) -> bool {
        let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = |inbox: &Weak<Inbox<P>>| inbox.upgrade().is_some_and(|inbox| !inbox.is_closed());
        subscribers.get(topic).is_some_and(|inboxes| inboxes.iter().any(is_open))
    }

    /// Subscribes to `topic`: every payload published from now on arrives in the subscription's queue. A full queue
    /// drops messages by the policy of `queue`.
    pub fn subscribe(&self, topic: &Topic, queue: QueueConfig) -> Subscription<P> {
        let inbox = Inbox::new(topic.clone(), queue);
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let inboxes = subscribers.entry(topic.clone()).or_default();
        inboxes.retain(|inbox| inbox.strong_count() > 0);
        inboxes.push(Arc::downgrade(&inbox));
        Subscription::new(inbox, None)
    }
}
