//! The tasks that empty the queue of a topic: one message after the other, each until it is delivered.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use msight_bus::{Backoff, Bus, Error, LocalTopics, OutageLimit, Payload, Receivers};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::local::SharedSample;
use crate::outbox::{DropReason, Outbox};
use crate::queued::{QueuedMessage, Significance};
use crate::subscribers::SubscriberWatch;

/// Publishes what is queued on the bus, each message until the bus has accepted it. Runs until it is dropped.
///
/// A message that reaches no subscriber although there was one before is published again for a while:
/// after Redis was away, subscribers come back one after the other. Once `stop` is cancelled they will not.
pub(crate) async fn to_bus<M: QueuedMessage>(
    outbox: Arc<Outbox<M>>,
    bus: Arc<dyn Bus>,
    mut subscribers: SubscriberWatch,
    stop: CancellationToken,
) {
    let mut refusals = OutageLimit::default();
    while let Some(queued) = outbox.next().await {
        let mut queued = InFlight { outbox: &outbox, message: Some(queued) };
        let delivery = async {
            let message = queued.encoded().await?;
            loop {
                match publish(&outbox, &*bus, &message, &mut refusals).await? {
                    Receivers::Known(0) if subscribers.may_return(Instant::now()) && !stop.is_cancelled() => {
                        tokio::time::sleep(SubscriberWatch::RETRY).await;
                    }
                    receivers => return anyhow::Ok((receivers, message.len())),
                }
            }
        };
        match delivery.await {
            Ok((receivers, bytes)) => {
                let since_last = outbox.counts.since_last(queued.sensor());
                outbox.counts.delivered(receivers, bytes, since_last.as_ref());
                outbox.note(&mut subscribers, receivers, &queued);
            }
            Err(error) => {
                outbox.drop_message(&queued, DropReason::Refused, format!("{error:#}"));
            }
        }
        queued.message.take().into_iter().for_each(QueuedMessage::release);
        outbox.complete();
    }
}

/// A message on its way to the bus. If its delivery is given up, because the node stops or has failed, it is reported. The
/// queue counts it as lost, but for an announcement, which is counted here.
struct InFlight<'a, M: QueuedMessage> {
    outbox: &'a Outbox<M>,
    /// Until the message is delivered.
    message: Option<M>,
}

impl<M: QueuedMessage> Deref for InFlight<'_, M> {
    type Target = M;
    fn deref(&self) -> &M {
        self.message.as_ref().expect("it is taken last")
    }
}

impl<M: QueuedMessage> Drop for InFlight<'_, M> {
    fn drop(&mut self) {
        let Some(message) = &self.message else { return };
        let reason = "the node ended before the bus had accepted them";
        if message.significance() == Significance::Announcement {
            self.outbox.drop_message(message, DropReason::Stopped, reason);
            self.outbox.complete();
        } else {
            self.outbox.report(message, reason);
        }
    }
}

/// Tries until the bus accepts the message or never will. A refusal is retried as well: an administrator
/// may correct the rights, and the queue's limits decide what is lost until then.
async fn publish<M: QueuedMessage>(
    outbox: &Outbox<M>,
    bus: &dyn Bus,
    message: &Bytes,
    refusals: &mut OutageLimit,
) -> Result<Receivers, Error> {
    let topic = &outbox.topic;
    let mut backoff = Backoff::reconnecting();
    loop {
        match bus.publish(topic, message.clone()).await {
            Ok(receivers) => {
                if refusals.recovered(Instant::now().into_std()).is_some() {
                    info!(%topic, "publishing again: the bus takes messages again");
                }
                return Ok(receivers);
            }
            Err(error @ (Error::TooLarge { .. } | Error::Invalid(_))) => return Err(error),
            Err(error) => {
                // The bus logs an outage, and a refusal is logged here.
                if error.is_transient() {
                    debug!(%topic, "publishing delayed: {error}");
                } else if refusals.failed(Instant::now().into_std()).is_some() {
                    error!(%topic, "publishing delayed: {error}; correct the rights or the settings");
                }
                tokio::time::sleep(backoff.delay()).await;
            }
        }
    }
}

/// Hands what is queued to the nodes of this process. Runs until it is dropped.
///
/// As on a bus, a message without a subscriber waits for a while if there was one before: a node that has failed is
/// started again.
pub(crate) async fn to_nodes(
    outbox: Arc<Outbox<SharedSample>>,
    topics: LocalTopics<SharedSample>,
    mut subscribers: SubscriberWatch,
    stop: CancellationToken,
) {
    while let Some(mut sample) = outbox.next().await {
        let (bytes, since_last) = (sample.size(), outbox.counts.since_last(sample.sensor()));
        let receivers = loop {
            // Not kept here meanwhile: the only owner of a sample gets it without a copy.
            match topics.publish(&outbox.topic, sample) {
                Err(back) if subscribers.may_return(Instant::now()) && !stop.is_cancelled() => sample = back,
                Ok(count) => {
                    subscribers.heard(&outbox.topic, Instant::now());
                    break count;
                }
                Err(unheard) => {
                    outbox.note(&mut subscribers, Receivers::Known(0), &unheard);
                    unheard.release();
                    break 0;
                }
            }
            tokio::time::sleep(SubscriberWatch::RETRY).await;
        };
        outbox.counts.delivered(Receivers::Known(receivers), bytes, since_last.as_ref());
        outbox.complete();
    }
}
