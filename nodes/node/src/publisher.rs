//! The way out: samples become messages, and messages reach the bus in their order.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use msight_bus::{Backoff, Bus, Error, MAX_MESSAGE_BYTES, Topic};
use msight_proto::{Message, Receipt, Sample, encode};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::logs::Repeated;
use crate::metrics::{Counter, Metrics};

/// Publishes samples of one type on one topic. Clones publish through the same queue, in the order of their
/// calls.
///
/// Messages wait in a queue of at most 64 messages and 128 MiB for a bus that is slow or away. When it is
/// full, a source loses its oldest message, which is counted; a processor waits, and what it does not read
/// meanwhile is counted where it is dropped.
pub struct Publisher<M> {
    outbox: Arc<Outbox>,
    message: PhantomData<fn(M)>,
}

impl<M> Clone for Publisher<M> {
    fn clone(&self) -> Self {
        Self { outbox: self.outbox.clone(), message: PhantomData }
    }
}

impl<M: Message> Publisher<M> {
    pub(crate) fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox, message: PhantomData }
    }

    /// Encodes a sample and queues it. The sample's receipt is held until the bus has the message.
    ///
    /// # Errors
    /// A sample that cannot be encoded, or whose message is above the bus's limit of 64 MiB.
    pub async fn publish(&self, mut sample: Sample<M>) -> Result<()> {
        let payload = encode(&sample)?;
        if payload.len() > MAX_MESSAGE_BYTES {
            let bytes = payload.len();
            self.outbox.dropped_too_large.inc();
            return Err(anyhow!("the message has {bytes} bytes, above the limit of {MAX_MESSAGE_BYTES}"));
        }
        self.outbox.push(Letter { payload, receipt: sample.take_receipt() }).await;
        Ok(())
    }
}

/// What the queue does when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    DropOldest,
    Wait,
}

struct Letter {
    payload: Bytes,
    receipt: Option<Receipt>,
}

/// The queue of one topic, and the task that empties it.
pub(crate) struct Outbox {
    topic: Topic,
    when_full: WhenFull,
    waiting: Mutex<Waiting>,
    /// Wakes the task that publishes.
    filled: Notify,
    /// Wakes those who wait for room, and for the end.
    emptied: Notify,
    published: Counter,
    published_bytes: Counter,
    unheard: Counter,
    dropped_full: Counter,
    dropped_too_large: Counter,
    dropped_refused: Counter,
    dropped_stopped: Counter,
}

#[derive(Default)]
struct Waiting {
    letters: VecDeque<Letter>,
    bytes: usize,
    /// The first letter is on its way, and stays until the bus has answered.
    sending: bool,
}

impl Outbox {
    const MAX_LETTERS: usize = 64;
    const MAX_BYTES: usize = 128 << 20;

    pub(crate) fn new(topic: Topic, when_full: WhenFull, metrics: &Metrics) -> Arc<Self> {
        let dropped = |reason| {
            metrics.counter_with(
                "msight_publish_dropped_total",
                "Messages that were made but never reached the bus, by reason.",
                &[("reason", reason)],
            )
        };
        Arc::new(Self {
            topic,
            when_full,
            waiting: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
            published: metrics.counter("msight_published_total", "Messages that the bus has taken."),
            published_bytes: metrics.counter("msight_published_bytes_total", "Bytes of those messages."),
            unheard: metrics
                .counter("msight_published_unheard_total", "Messages that nobody was subscribed to."),
            dropped_full: dropped("queue full"),
            dropped_too_large: dropped("too large"),
            dropped_refused: dropped("refused by the bus"),
            dropped_stopped: dropped("stopped"),
        })
    }

    async fn push(&self, letter: Letter) {
        loop {
            // Asked for before looking, so that a wake-up in between is not missed.
            let emptied = self.emptied.notified();
            {
                let mut waiting = self.lock();
                if self.when_full == WhenFull::DropOldest {
                    while !waiting.has_room(&letter) && waiting.drop_oldest() {
                        self.dropped_full.inc();
                    }
                }
                if waiting.has_room(&letter) {
                    waiting.bytes += letter.payload.len();
                    waiting.letters.push_back(letter);
                    drop(waiting);
                    self.filled.notify_one();
                    return;
                }
            }
            emptied.await;
        }
    }

    /// Publishes what is queued, one message after the other, each until the bus has taken it. Runs until it
    /// is dropped.
    ///
    /// A message that reaches nobody although somebody was subscribed before is published again for a while:
    /// after Redis was away, subscribers come back one after the other. Once `stop` is cancelled they will not.
    pub(crate) async fn deliver(self: Arc<Self>, bus: Arc<dyn Bus>, stop: CancellationToken) {
        let mut silence = Silence::default();
        let refusals = Repeated::new();
        loop {
            let filled = self.filled.notified();
            let Some(payload) = self.lock().begin_to_send() else {
                filled.await;
                continue;
            };
            let outcome = loop {
                match self.deliver_one(&*bus, &payload).await {
                    Ok(0) if silence.may_end(Instant::now()) && !stop.is_cancelled() => {
                        tokio::time::sleep(Silence::PAUSE).await;
                    }
                    outcome => break outcome,
                }
            };
            match outcome {
                Ok(receivers) => {
                    self.published.inc();
                    self.published_bytes.inc_by(payload.len() as u64);
                    if receivers == 0 {
                        self.unheard.inc();
                    }
                    silence.note(&self.topic, receivers, Instant::now());
                }
                Err(error) => {
                    self.dropped_refused.inc();
                    if let Some(times) = refusals.count() {
                        error!(topic = %self.topic, times, "message lost: {error}");
                    }
                }
            }
            self.lock().end_of_send();
            self.emptied.notify_waiters();
        }
    }

    /// Tries until the bus takes the message or will never take it. A refusal is retried as well: somebody
    /// may mend the rights, and the queue's bound decides what is lost until then.
    async fn deliver_one(&self, bus: &dyn Bus, payload: &Bytes) -> Result<usize, Error> {
        let mut backoff = Backoff::reconnecting();
        let mut refused_at: Option<Instant> = None;
        let lost_before = self.dropped_full.get();
        loop {
            match bus.publish(&self.topic, payload.clone()).await {
                Ok(receivers) => {
                    let lost = self.dropped_full.get() - lost_before;
                    if lost > 0 {
                        error!(topic = %self.topic, lost, "messages lost: the bus did not take them in time");
                    }
                    if refused_at.is_some() {
                        info!(topic = %self.topic, "published: the bus takes messages again");
                    }
                    return Ok(receivers);
                }
                Err(error @ (Error::TooLarge { .. } | Error::Invalid(_))) => return Err(error),
                Err(error) => {
                    // An outage is said by the bus; a refusal here, at first and twice a minute.
                    if error.is_transient() {
                        debug!(topic = %self.topic, "{error}; messages wait");
                    } else if refused_at.is_none_or(|at| at.elapsed() >= Duration::from_secs(30)) {
                        refused_at = Some(Instant::now());
                        error!(topic = %self.topic, "{error}; messages wait until somebody has changed that");
                    }
                    tokio::time::sleep(backoff.delay()).await;
                }
            }
        }
    }

    /// Waits until nothing is queued.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.lock().letters.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Counts what still waits as lost, and says how much that is.
    pub(crate) fn abandon(&self) -> usize {
        let lost = self.lock().letters.len();
        self.dropped_stopped.inc_by(lost as u64);
        lost
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn has_room(&self, letter: &Letter) -> bool {
        self.letters.len() == usize::from(self.sending)
            || self.letters.len() < Outbox::MAX_LETTERS
                && self.bytes + letter.payload.len() <= Outbox::MAX_BYTES
    }

    /// Takes out the oldest letter that is not on its way; whether there was one.
    fn drop_oldest(&mut self) -> bool {
        self.remove(usize::from(self.sending))
    }

    fn begin_to_send(&mut self) -> Option<Bytes> {
        let first = self.letters.front()?;
        self.sending = true;
        Some(first.payload.clone())
    }

    fn end_of_send(&mut self) {
        self.sending = false;
        self.remove(0);
    }

    fn remove(&mut self, index: usize) -> bool {
        let Some(letter) = self.letters.remove(index) else { return false };
        self.bytes -= letter.payload.len();
        drop(letter.receipt);
        true
    }
}

/// Notices that nobody listens, which is more often a typing error in a topic than meant.
#[derive(Default)]
struct Silence {
    /// Somebody was subscribed before.
    heard: bool,
    since: Option<Instant>,
    said: bool,
}

impl Silence {
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Between two attempts to reach somebody.
    const PAUSE: Duration = Duration::from_millis(100);

    /// Whether somebody may come back, to whom a message that nobody got can be published again.
    fn may_end(&mut self, now: Instant) -> bool {
        self.heard && now - *self.since.get_or_insert(now) < Self::PATIENCE
    }

    fn note(&mut self, topic: &Topic, receivers: usize, now: Instant) {
        if receivers > 0 {
            if self.said {
                info!(%topic, "somebody is subscribed now");
            }
            *self = Self { heard: true, ..Self::default() };
            return;
        }
        let since = *self.since.get_or_insert(now);
        if !self.said && now - since >= Self::PATIENCE {
            self.said = true;
            self.heard = false;
            warn!(%topic, "nobody is subscribed; what is published goes nowhere. Is the topic's name the same at both ends?");
        }
    }
}
