//! The queue of what a node publishes on one topic, until it is delivered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use msight_bus::{Payload, Topic};
use msight_contract::traffic;
use tokio::sync::Notify;
use tracing::error;

use crate::logs::Repeated;
use crate::metrics::{Counter, Metrics};

/// What the queue does when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    DropOldest,
    Wait,
}

/// The letters of one topic that wait, and what became of those that do not.
pub(crate) struct Outbox<L> {
    pub(crate) topic: Topic,
    pub(crate) counts: Counts,
    when_full: WhenFull,
    losses: Repeated,
    waiting: Mutex<Waiting<L>>,
    /// Wakes the task that delivers.
    filled: Notify,
    /// Wakes those who wait for room, and for the end.
    emptied: Notify,
}

struct Waiting<L> {
    letters: VecDeque<L>,
    /// The size of the letter that is on its way.
    sending: Option<usize>,
    /// Of both.
    bytes: usize,
    /// What comes now is not delivered any more.
    closed: bool,
}

const MAX_LETTERS: usize = 64;
const MAX_BYTES: usize = 128 << 20;

impl<L: Payload> Outbox<L> {
    pub(crate) fn new(topic: Topic, when_full: WhenFull, counts: Counts) -> Arc<Self> {
        let (waiting, filled, emptied) = (Mutex::default(), Notify::new(), Notify::new());
        Arc::new(Self { topic, counts, when_full, losses: Repeated::new(), waiting, filled, emptied })
    }

    /// Queues a letter. Where it has to wait for room, it waits for ever once the queue is given up: whoever has sent
    /// it knows that it was stopped, and counts what that costs.
    pub(crate) async fn push(&self, letter: L) {
        loop {
            // Asked for before looking, so that a wake-up in between is not missed.
            let emptied = self.emptied.notified();
            {
                let mut waiting = self.lock();
                if waiting.closed && self.when_full == WhenFull::DropOldest {
                    self.counts.dropped_stopped.inc();
                    return;
                }
                if self.when_full == WhenFull::DropOldest {
                    while !waiting.has_room(&letter) && waiting.drop_oldest() {
                        self.counts.dropped_full.inc();
                        let topic = self.topic.clone();
                        self.losses.count(move |lost| {
                            error!(%topic, lost, "messages lost: the bus did not take them in time");
                        });
                    }
                }
                if !waiting.closed && waiting.has_room(&letter) {
                    waiting.bytes += letter.size();
                    waiting.letters.push_back(letter);
                    drop(waiting);
                    self.filled.notify_one();
                    return;
                }
            }
            emptied.await;
        }
    }

    /// The next letter, which takes its room until [`sent`](Self::sent) is called.
    pub(crate) async fn next(&self) -> L {
        loop {
            let filled = self.filled.notified();
            if let Some(letter) = self.lock().begin_to_send() {
                return letter;
            }
            filled.await;
        }
    }

    /// The letter on its way has arrived, or never will.
    pub(crate) fn sent(&self) {
        let mut waiting = self.lock();
        let size = waiting.sending.take().unwrap_or(0);
        waiting.bytes -= size;
        drop(waiting);
        self.emptied.notify_waiters();
    }

    /// Waits until nothing is queued or on its way.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.lock().len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Counts what is not delivered as lost, and says how much that is. Nothing may be on its way any more.
    pub(crate) fn abandon(&self) -> usize {
        let waiting = std::mem::replace(&mut *self.lock(), Waiting { closed: true, ..Waiting::default() });
        self.counts.dropped_stopped.inc_by(waiting.len() as u64);
        waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<L>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> Default for Waiting<L> {
    fn default() -> Self {
        Self { letters: VecDeque::new(), sending: None, bytes: 0, closed: false }
    }
}

impl<L: Payload> Waiting<L> {
    fn len(&self) -> usize {
        self.letters.len() + usize::from(self.sending.is_some())
    }

    fn has_room(&self, letter: &L) -> bool {
        self.letters.is_empty() || self.len() < MAX_LETTERS && self.bytes + letter.size() <= MAX_BYTES
    }

    /// Takes out the oldest letter that is not on its way; whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let Some(letter) = self.letters.pop_front() else { return false };
        self.bytes -= letter.size();
        true
    }

    fn begin_to_send(&mut self) -> Option<L> {
        let letter = self.letters.pop_front()?;
        self.sending = Some(letter.size());
        Some(letter)
    }
}

/// What became of the letters of a queue.
pub(crate) struct Counts {
    published: Counter,
    published_bytes: Counter,
    unheard: Counter,
    pub(crate) dropped_full: Counter,
    pub(crate) dropped_too_large: Counter,
    pub(crate) dropped_refused: Counter,
    dropped_stopped: Counter,
}

impl Counts {
    /// A letter was delivered to so many.
    pub(crate) fn arrived(&self, receivers: usize, bytes: usize) {
        self.published.inc();
        self.published_bytes.inc_by(bytes as u64);
        if receivers == 0 {
            self.unheard.inc();
        }
    }

    /// Of what the node publishes.
    pub(crate) fn published(metrics: &Metrics) -> Self {
        let dropped = |reason| metrics.counter_with(&traffic::PUBLISH_DROPPED, &[reason]);
        Self {
            published: metrics.counter(&traffic::PUBLISHED),
            published_bytes: metrics.counter(&traffic::PUBLISHED_BYTES),
            unheard: metrics.counter(&traffic::PUBLISHED_UNHEARD),
            dropped_full: dropped("queue full"),
            dropped_too_large: dropped("too large"),
            dropped_refused: dropped("refused by the bus"),
            dropped_stopped: dropped("stopped"),
        }
    }

    /// Of what is published on the bus beside the way within the process.
    pub(crate) fn exposed(metrics: &Metrics) -> Self {
        let dropped = |reason| metrics.counter_with(&traffic::EXPOSE_DROPPED, &[reason]);
        Self {
            published: metrics.counter(&traffic::EXPOSED),
            published_bytes: metrics.counter(&traffic::EXPOSED_BYTES),
            unheard: metrics.counter(&traffic::EXPOSED_UNHEARD),
            dropped_full: dropped("queue full"),
            dropped_too_large: dropped("too large"),
            dropped_refused: dropped("refused by the bus"),
            dropped_stopped: dropped("stopped"),
        }
    }
}
