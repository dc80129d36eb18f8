//! What empties the queue of a topic: one letter after the other, each until it has arrived.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use msight_bus::{Backoff, Bus, Error, LocalTopics, Payload, Topic};
use msight_proto::Receipt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::local::Parcel;
use crate::logs::Repeated;
use crate::outbox::Outbox;

/// What can be delivered to a bus. It is held until the bus has it.
pub(crate) trait Letter: Payload + Sync {
    /// The message.
    fn message(&self) -> impl Future<Output = Result<Bytes>> + Send;
}

/// A message that is made already, and the receipt to hold.
pub(crate) struct Message {
    pub(crate) payload: Bytes,
    #[expect(dead_code, reason = "held for its Drop")]
    pub(crate) receipt: Option<Receipt>,
}

impl Payload for Message {
    fn size(&self) -> usize {
        self.payload.len()
    }
}

impl Letter for Message {
    async fn message(&self) -> Result<Bytes> {
        Ok(self.payload.clone())
    }
}

impl Letter for Parcel {
    async fn message(&self) -> Result<Bytes> {
        let parcel = self.clone();
        // A picture becomes JPEG here, which takes milliseconds: other nodes wait for this thread.
        let message = tokio::task::spawn_blocking(move || parcel.message()).await;
        Ok(message.context("the encoder has failed")??)
    }
}

/// Publishes what is queued on the bus, each message until the bus has taken it. Runs until it is dropped.
///
/// A message that reaches nobody although somebody was subscribed before is published again for a while:
/// after Redis was away, subscribers come back one after the other. Once `stop` is cancelled they will not.
pub(crate) async fn to_bus<L: Letter>(
    outbox: Arc<Outbox<L>>,
    bus: Arc<dyn Bus>,
    mut silence: Silence,
    stop: CancellationToken,
) {
    let refusals = Repeated::new();
    loop {
        let letter = outbox.next().await;
        let arrival = async {
            let message = letter.message().await?;
            loop {
                match publish(&outbox, &*bus, &message).await? {
                    0 if silence.may_end(Instant::now()) && !stop.is_cancelled() => {
                        tokio::time::sleep(Silence::PAUSE).await;
                    }
                    receivers => return anyhow::Ok((receivers, message.len())),
                }
            }
        };
        match arrival.await {
            Ok((receivers, bytes)) => {
                outbox.counts.arrived(receivers, bytes);
                silence.note(&outbox.topic, receivers, Instant::now());
            }
            Err(error) => {
                outbox.counts.dropped_refused.inc();
                let topic = outbox.topic.clone();
                refusals.count(move |times| error!(%topic, times, "message lost: {error:#}"));
            }
        }
        drop(letter);
        outbox.sent();
    }
}

/// Tries until the bus takes the message or will never take it. A refusal is retried as well: somebody
/// may mend the rights, and the queue's bound decides what is lost until then.
async fn publish<L: Letter>(outbox: &Outbox<L>, bus: &dyn Bus, message: &Bytes) -> Result<usize, Error> {
    let topic = &outbox.topic;
    let mut backoff = Backoff::reconnecting();
    let mut refused_at: Option<Instant> = None;
    loop {
        match bus.publish(topic, message.clone()).await {
            Ok(receivers) => {
                if refused_at.is_some() {
                    info!(%topic, "published: the bus takes messages again");
                }
                return Ok(receivers);
            }
            Err(error @ (Error::TooLarge { .. } | Error::Invalid(_))) => return Err(error),
            Err(error) => {
                // An outage is said by the bus; a refusal here, at first and twice a minute.
                if error.is_transient() {
                    debug!(%topic, "{error}; messages wait");
                } else if refused_at.is_none_or(|at| at.elapsed() >= Duration::from_secs(30)) {
                    refused_at = Some(Instant::now());
                    error!(%topic, "{error}; messages wait until somebody has changed that");
                }
                tokio::time::sleep(backoff.delay()).await;
            }
        }
    }
}

/// Hands what is queued to the nodes of this process. Runs until it is dropped.
///
/// As on a bus, what reaches nobody although somebody was there before waits for a while: a node that has failed is
/// started again.
pub(crate) async fn to_nodes(
    outbox: Arc<Outbox<Parcel>>,
    topics: LocalTopics<Parcel>,
    mut silence: Silence,
    stop: CancellationToken,
) {
    loop {
        let mut parcel = outbox.next().await;
        let bytes = parcel.size();
        let receivers = loop {
            // Not kept here meanwhile: who alone has a sample gets it without a copy.
            match topics.publish(&outbox.topic, parcel) {
                Err(unheard) if silence.may_end(Instant::now()) && !stop.is_cancelled() => parcel = unheard,
                outcome => break outcome.unwrap_or(0),
            }
            tokio::time::sleep(Silence::PAUSE).await;
        };
        outbox.counts.arrived(receivers, bytes);
        silence.note(&outbox.topic, receivers, Instant::now());
        outbox.sent();
    }
}

/// Notices that nobody listens, which is more often a typing error in a topic than meant.
#[derive(Default)]
pub(crate) struct Silence {
    /// Nobody need listen.
    optional: bool,
    /// Somebody was subscribed before.
    heard: bool,
    since: Option<Instant>,
    said: bool,
}

impl Silence {
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Between two attempts to reach somebody.
    const PAUSE: Duration = Duration::from_millis(100);

    /// Of a topic whose readers may all be elsewhere, on the bus or in this process: nothing is said of it.
    pub(crate) fn optional() -> Self {
        Self { optional: true, ..Self::default() }
    }

    /// Whether somebody may come back, to whom a message that nobody got can be published again.
    fn may_end(&mut self, now: Instant) -> bool {
        self.heard && now - *self.since.get_or_insert(now) < Self::PATIENCE
    }

    fn note(&mut self, topic: &Topic, receivers: usize, now: Instant) {
        if receivers > 0 {
            if self.said && !self.optional {
                info!(%topic, "somebody is subscribed now");
            }
            *self = Self { heard: true, optional: self.optional, ..Self::default() };
            return;
        }
        let since = *self.since.get_or_insert(now);
        if !self.said && now - since >= Self::PATIENCE {
            self.said = true;
            self.heard = false;
            if !self.optional {
                warn!(%topic, "nobody is subscribed; what is published goes nowhere. Is the topic's name the same at both ends?");
            }
        }
    }
}
