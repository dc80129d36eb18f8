//! The queue of what a node publishes on one topic, until it is delivered.

use std::fmt::Display;
use std::sync::Arc;

use msight_bus::{BoundedQueue, Limits, PushError, Receivers, Topic};
use msight_contract::traffic;
use tokio::time::Instant;

use crate::losses::LossLog;
use crate::metrics::{Counter, Counters, Elapsed, Metric, Metrics};
use crate::queued::{QueuedMessage, Significance};
use crate::subscribers::SubscriberWatch;

/// What the queue does when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FullPolicy {
    DropOldest,
    Wait,
}

/// Why a message is not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// The queue was full.
    QueueFull,
    /// It is above the bus's limit.
    TooLarge,
    /// The bus does not accept it, or it cannot be encoded.
    Refused,
    /// The node stopped before it was delivered.
    Stopped,
    /// The topic has no subscriber.
    NoSubscriber,
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
    /// An announcement for which there is no room is dropped, whatever the policy: a node that has its data safe does not
    /// wait for the bus. With [`FullPolicy::Wait`], this never returns for other messages once the queue is abandoned: the
    /// publisher was stopped, and counts what that costs.
    pub(crate) async fn push(&self, message: M) {
        let bytes = message.size();
        match self.full_policy {
            _ if message.significance() == Significance::Announcement => {
                match self.queue.try_push(message, bytes) {
                    Ok(()) => {}
                    Err(PushError::Closed(_)) => self.counts.announcements.add(DropReason::Stopped, 1),
                    Err(PushError::Full(message) | PushError::Oversized(message)) => self.drop_full(message),
                }
            }
            FullPolicy::DropOldest => match self.queue.force_push(message, bytes) {
                Ok(evicted) => evicted.into_iter().for_each(|message| self.drop_full(message)),
                Err(PushError::Closed(_)) => self.counts.lost(DropReason::Stopped, 1),
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
                let significance = message.significance();
                if subscribers.unheard(&self.topic, significance, Instant::now()) {
                    self.counts.dropped(significance, DropReason::NoSubscriber);
                    // The watch reports announcements.
                    if significance == Significance::Recording {
                        let reason =
                            "the topic has no subscriber; start the node that reads it, or correct the topic";
                        self.report(message, reason);
                    }
                }
            }
            Receivers::Known(_) => subscribers.heard(&self.topic, Instant::now()),
        }
    }

    /// Waits until no message is queued or in flight.
    pub(crate) async fn wait_empty(&self) {
        self.queue.wait_empty().await;
    }

    /// Counts and reports what is not delivered, and returns how many messages are lost; announcements are not. Its delivery
    /// must have ended.
    pub(crate) fn abandon(&self, reason: &'static str) -> usize {
        let mut announcements = 0;
        let left = self.queue.abandon_with(|message| {
            announcements += usize::from(message.significance() == Significance::Announcement);
            self.report(&message, reason);
        });
        let lost = left - announcements;
        self.counts.announcements.add(DropReason::Stopped, announcements as u64);
        self.counts.lost(DropReason::Stopped, lost as u64);
        lost
    }

    /// Counts and reports a message that is not delivered.
    pub(crate) fn drop_message(&self, message: &M, why: DropReason, reason: impl Display + Send + 'static) {
        self.counts.dropped(message.significance(), why);
        self.report(message, reason);
    }

    /// Reports a message that is not delivered.
    pub(crate) fn report(&self, message: &M, reason: impl Display + Send + 'static) {
        let (sensor, span) = (message.sensor(), message.span());
        match message.significance() {
            Significance::Announcement => self.losses.add_announcement(sensor, span, reason),
            Significance::Live | Significance::Recording => self.losses.add(sensor, span, reason),
        }
    }

    fn drop_full(&self, message: M) {
        let reason = "the output queue was full, because the bus or its subscriber was slow or away";
        self.drop_message(&message, DropReason::QueueFull, reason);
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
    /// Messages that are lost; without a subscriber, only recordings are.
    lost: Counters<DropReason>,
    /// Announcements that were dropped.
    announcements: Counters<DropReason>,
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

    /// Messages are lost.
    pub(crate) fn lost(&self, why: DropReason, messages: u64) {
        self.lost.add(why, messages);
    }

    /// A message is not delivered.
    fn dropped(&self, significance: Significance, why: DropReason) {
        match significance {
            Significance::Announcement => self.announcements.add(why, 1),
            Significance::Live | Significance::Recording => self.lost(why, 1),
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
        Self {
            published: metrics.counter(&traffic::PUBLISHED),
            published_bytes: metrics.counter(&traffic::PUBLISHED_BYTES),
            unheard: metrics.counter(&traffic::PUBLISHED_UNHEARD),
            sensors: Some(metrics.clone()),
            lost: by_reason(metrics, &traffic::PUBLISH_DROPPED),
            announcements: by_reason(metrics, &traffic::ANNOUNCEMENTS_DROPPED),
        }
    }

    /// Of what is published on the bus beside the way within the process.
    pub(crate) fn exposed(metrics: &Metrics) -> Self {
        Self {
            published: metrics.counter(&traffic::EXPOSED),
            published_bytes: metrics.counter(&traffic::EXPOSED_BYTES),
            unheard: metrics.counter(&traffic::EXPOSED_UNHEARD),
            sensors: None,
            lost: by_reason(metrics, &traffic::EXPOSE_DROPPED),
            announcements: by_reason(metrics, &traffic::ANNOUNCEMENTS_DROPPED),
        }
    }
}

fn by_reason(metrics: &Metrics, metric: &Metric) -> Counters<DropReason> {
    Counters::new(
        metrics,
        metric,
        &[
            (DropReason::QueueFull, "queue full"),
            (DropReason::TooLarge, "too large"),
            (DropReason::Refused, "refused by the bus"),
            (DropReason::Stopped, "stopped"),
            (DropReason::NoSubscriber, "no subscriber"),
        ],
    )
}
