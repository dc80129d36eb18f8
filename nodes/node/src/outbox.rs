//! The queue of what a node publishes on one topic, until it is delivered.

use std::fmt::Display;
use std::sync::Arc;

use msight_bus::{BoundedQueue, Limits, PushError, Receivers, Topic};
use msight_contract::traffic;
use tokio::time::Instant;

use crate::losses::LossLog;
use crate::metrics::{Counter, Elapsed, Metrics};
use crate::queued::QueuedMessage;
use crate::subscribers::SubscriberWatch;

/// What the queue does when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FullPolicy {
    DropOldest,
    Wait,
}

/// The messages of one topic that wait for their delivery, and what became of the others.
pub(crate) struct Outbox<M> {
    pub(crate) topic: Topic,
    pub(crate) counts: Counts,
    full_policy: FullPolicy,
    losses: LossLog,
    queue: BoundedQueue<M>,
}

/// The size of a single message is checked before it is queued.
const LIMITS: Limits = Limits::new(64, 128 << 20).admitting_any_size();

impl<M: QueuedMessage> Outbox<M> {
    pub(crate) fn new(topic: Topic, full_policy: FullPolicy, counts: Counts) -> Arc<Self> {
        let (losses, queue) = (LossLog::new(topic.clone()), BoundedQueue::new(LIMITS));
        Arc::new(Self { topic, counts, full_policy, losses, queue })
    }

    /// Queues a message. A message that the full queue drops is acknowledged, because that is the policy and it is
    /// counted; one that is abandoned with the queue is not.
    ///
    /// With [`FullPolicy::Wait`], this never returns once the queue is abandoned: the publisher was stopped, and counts
    /// what that costs.
    pub(crate) async fn push(&self, message: M) {
        let bytes = message.size();
        match self.full_policy {
            FullPolicy::DropOldest => match self.queue.force_push(message, bytes) {
                Ok(evicted) => evicted.into_iter().for_each(|message| self.drop_full(message)),
                Err(PushError::Closed(_)) => self.counts.dropped_stopped.inc(),
                Err(PushError::Full(message) | PushError::Oversized(message)) => self.drop_full(message),
            },
            FullPolicy::Wait => {
                if let Err(_unsent) = self.queue.push(message, bytes).await {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// The next message, which takes its room until [`complete`](Self::complete) is called; `None` once the queue is
    /// abandoned.
    pub(crate) async fn next(&self) -> Option<M> {
        self.queue.pop_in_flight().await
    }

    /// The message in flight was delivered, or never will be.
    pub(crate) fn complete(&self) {
        self.queue.complete_in_flight();
    }

    /// Reports whether a published message has reached a subscriber, and counts a lost one.
    pub(crate) fn note(&self, subscribers: &mut SubscriberWatch, receivers: Receivers, message: &M) {
        match receivers {
            Receivers::Unknown => {}
            Receivers::Known(0) => {
                if subscribers.unheard(&self.topic, message, Instant::now()) {
                    self.counts.dropped_unheard.inc();
                    self.report_loss(
                        message,
                        "the topic has no subscriber; start the node that reads it, or correct the topic",
                    );
                }
            }
            Receivers::Known(_) => subscribers.heard(&self.topic, Instant::now()),
        }
    }

    /// Waits until no message is queued or in flight.
    pub(crate) async fn wait_empty(&self) {
        self.queue.wait_empty().await;
    }

    /// Counts and reports what is not delivered as lost, and returns how many messages these are. Its delivery must have
    /// ended.
    pub(crate) fn abandon(&self, reason: &'static str) -> usize {
        let lost = self.queue.abandon_with(|message| self.report_loss(&message, reason));
        self.counts.dropped_stopped.inc_by(lost as u64);
        lost
    }

    /// Reports a message that is not delivered.
    pub(crate) fn report_loss(&self, message: &M, reason: impl Display + Send + 'static) {
        self.losses.add(message.sensor(), message.span(), reason);
    }

    fn drop_full(&self, message: M) {
        self.counts.dropped_full.inc();
        self.report_loss(
            &message,
            "the output queue was full, because the bus or its subscriber was slow or away",
        );
        message.release();
    }
}

/// What became of the messages of a queue.
pub(crate) struct Counts {
    published: Counter,
    published_bytes: Counter,
    unheard: Counter,
    /// Where the times of the sensors are kept; `None` beside the way within the process.
    sensors: Option<Metrics>,
    pub(crate) dropped_full: Counter,
    pub(crate) dropped_too_large: Counter,
    pub(crate) dropped_refused: Counter,
    dropped_stopped: Counter,
    /// Recordings without a subscriber.
    dropped_unheard: Counter,
}

impl Counts {
    /// A message of `bytes` bytes was delivered, of the sensor with this [`since_last`](Self::since_last).
    pub(crate) fn delivered(&self, receivers: Receivers, bytes: usize, since_last: Option<&Elapsed>) {
        if let Some(since_last) = since_last {
            since_last.restart();
        }
        self.published.inc();
        self.published_bytes.inc_by(bytes as u64);
        if receivers == Receivers::Known(0) {
            self.unheard.inc();
        }
    }

    /// The time since this sensor's last message was delivered.
    pub(crate) fn since_last(&self, sensor: Option<&str>) -> Option<Elapsed> {
        let sensors = self.sensors.as_ref()?;
        Some(sensors.elapsed_with(&traffic::PUBLISHED_LAST, &[sensor.unwrap_or_default()]))
    }

    /// Of what the node publishes.
    pub(crate) fn published(metrics: &Metrics) -> Self {
        metrics.declare(&traffic::PUBLISHED_LAST);
        let dropped = |reason| metrics.counter_with(&traffic::PUBLISH_DROPPED, &[reason]);
        Self {
            published: metrics.counter(&traffic::PUBLISHED),
            published_bytes: metrics.counter(&traffic::PUBLISHED_BYTES),
            unheard: metrics.counter(&traffic::PUBLISHED_UNHEARD),
            sensors: Some(metrics.clone()),
            dropped_full: dropped("queue full"),
            dropped_too_large: dropped("too large"),
            dropped_refused: dropped("refused by the bus"),
            dropped_stopped: dropped("stopped"),
            dropped_unheard: dropped("no subscriber"),
        }
    }

    /// Of what is published on the bus beside the way within the process.
    pub(crate) fn exposed(metrics: &Metrics) -> Self {
        let dropped = |reason| metrics.counter_with(&traffic::EXPOSE_DROPPED, &[reason]);
        Self {
            published: metrics.counter(&traffic::EXPOSED),
            published_bytes: metrics.counter(&traffic::EXPOSED_BYTES),
            unheard: metrics.counter(&traffic::EXPOSED_UNHEARD),
            sensors: None,
            dropped_full: dropped("queue full"),
            dropped_too_large: dropped("too large"),
            dropped_refused: dropped("refused by the bus"),
            dropped_stopped: dropped("stopped"),
            dropped_unheard: dropped("no subscriber"),
        }
    }
}
