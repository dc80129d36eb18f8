//! The messages of a subscription that are not settled yet.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::entries::EntryId;
use crate::delivery::{Acknowledgement, Settlement};

/// The messages that the subscriber holds, and those that it has settled and Redis does not know of yet. Each was
/// delivered, so there are not more than the stream holds.
#[derive(Debug, Default)]
pub(in crate::redis) struct Acks {
    state: Mutex<State>,
    /// A message was settled.
    settled: Notify,
    /// Redis has learned of settled messages.
    sent: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Messages not to be delivered again: they are with the subscriber, or settled and Redis does not know it yet.
    held: HashSet<EntryId>,
    acknowledged: Vec<EntryId>,
    rejected: Vec<(EntryId, String)>,
    /// Settled messages on their way to Redis.
    sending: usize,
}

impl State {
    /// Whether Redis knows of all settled messages.
    fn is_sent(&self) -> bool {
        self.acknowledged.is_empty() && self.rejected.is_empty() && self.sending == 0
    }
}

/// Settled messages to report to Redis.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) acknowledged: Vec<EntryId>,
    pub(super) rejected: Vec<(EntryId, String)>,
}

impl Batch {
    fn len(&self) -> usize {
        self.acknowledged.len() + self.rejected.len()
    }
}

/// Most messages of a batch.
const BATCH: usize = 512;

impl Acks {
    /// Takes a message to deliver; `None` if the subscriber has it already.
    pub(super) fn hold(self: &Arc<Self>, id: EntryId) -> Option<Acknowledgement> {
        if !self.state().held.insert(id) {
            return None;
        }
        let held = Held { acks: self.clone(), id, is_settled: false };
        Some(Acknowledgement::settling(move |how| held.settle(how)))
    }

    /// Whether the subscriber has the message.
    pub(super) fn is_held(&self, id: EntryId) -> bool {
        self.state().held.contains(&id)
    }

    /// Number of messages that are not settled, or of which Redis does not know it.
    pub(super) fn len(&self) -> usize {
        self.state().held.len()
    }

    /// Waits until a message is settled.
    pub(super) async fn settled(&self) {
        self.settled.notified().await;
    }

    /// Takes settled messages to report. [`sent`](Self::sent) or [`failed`](Self::failed) ends that.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut state = self.state();
        let count = state.acknowledged.len().min(BATCH);
        let acknowledged = state.acknowledged.drain(..count).collect();
        let batch = Batch { acknowledged, rejected: std::mem::take(&mut state.rejected) };
        state.sending = batch.len();
        (batch.len() > 0).then_some(batch)
    }

    /// Redis knows of the batch.
    pub(super) fn sent(&self, batch: Batch) {
        let mut state = self.state();
        state.sending = 0;
        let rejected = batch.rejected.into_iter().map(|(id, _)| id);
        for id in batch.acknowledged.into_iter().chain(rejected) {
            state.held.remove(&id);
        }
        drop(state);
        self.sent.notify_waiters();
    }

    /// Redis may not know of the batch.
    pub(super) fn failed(&self, batch: Batch) {
        let mut state = self.state();
        state.sending = 0;
        state.acknowledged.extend(batch.acknowledged);
        state.rejected.extend(batch.rejected);
    }

    /// Waits until Redis knows of all settled messages.
    pub(in crate::redis) async fn flush(&self) {
        loop {
            let mut sent = std::pin::pin!(self.sent.notified());
            sent.as_mut().enable();
            if self.state().is_sent() {
                return;
            }
            sent.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message at the subscriber. Dropped without being settled, it is delivered again later.
struct Held {
    acks: Arc<Acks>,
    id: EntryId,
    is_settled: bool,
}

impl Held {
    fn settle(mut self, how: Settlement) {
        self.is_settled = true;
        let mut state = self.acks.state();
        match how {
            Settlement::Acknowledged => state.acknowledged.push(self.id),
            Settlement::Rejected(reason) => state.rejected.push((self.id, reason)),
        }
        drop(state);
        self.acks.settled.notify_one();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_settled {
            self.acks.state().held.remove(&self.id);
        }
    }
}
