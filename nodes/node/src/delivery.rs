//! The tasks that empty the queue of a topic: one message after the other, each until it is delivered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use msight_bus::{Backoff, Bus, Error, LocalTopics, OutageLimit, Payload, Receivers, Topic};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::local::SharedSample;
use crate::logs::Repeated;
use crate::outbox::Outbox;
use crate::queued::QueuedMessage;

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
    let (losses, mut refusals) = (Repeated::new(), OutageLimit::default());
    while let Some(queued) = outbox.next().await {
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
                subscribers.note(&outbox.topic, receivers, Instant::now());
            }
            Err(error) => {
                outbox.counts.dropped_refused.inc();
                let topic = outbox.topic.clone();
                losses.count(move |times| error!(%topic, times, "message lost: {error:#}"));
            }
        }
        queued.release();
        outbox.complete();
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
                Ok(count) => break Receivers::Known(count),
                Err(unheard) => {
                    unheard.release();
                    break Receivers::Known(0);
                }
            }
            tokio::time::sleep(SubscriberWatch::RETRY).await;
        };
        outbox.counts.delivered(receivers, bytes, since_last.as_ref());
        subscribers.note(&outbox.topic, receivers, Instant::now());
        outbox.complete();
    }
}

/// Warns when a topic has no subscriber, which is more often a mistyped name than intended. A bus that does not
/// report its receivers gives no warning.
#[derive(Default)]
pub(crate) struct SubscriberWatch {
    /// Missing subscribers are no reason for a warning.
    optional: bool,
    /// There was a subscriber before.
    seen: bool,
    missing_since: Option<Instant>,
    warned: bool,
}

impl SubscriberWatch {
    /// So long without a subscriber is worth a warning, and ends the attempts to reach one.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Between two attempts.
    const RETRY: Duration = Duration::from_millis(100);

    /// Of a topic whose subscribers may all be elsewhere, on the bus or in this process.
    pub(crate) fn optional() -> Self {
        Self { optional: true, ..Self::default() }
    }

    /// Whether a subscriber may come back, for whom a message can be published again.
    fn may_return(&mut self, now: Instant) -> bool {
        self.seen && now - *self.missing_since.get_or_insert(now) < Self::PATIENCE
    }

    fn note(&mut self, topic: &Topic, receivers: Receivers, now: Instant) {
        match receivers {
            Receivers::Unknown => {}
            Receivers::Known(0) => {
                let since = *self.missing_since.get_or_insert(now);
                if !self.warned && now - since >= Self::PATIENCE {
                    self.warned = true;
                    self.seen = false;
                    if !self.optional {
                        warn!(
                            %topic,
                            "no subscriber: messages are lost; check that both ends name the same topic"
                        );
                    }
                }
            }
            Receivers::Known(_) => {
                if self.warned && !self.optional {
                    info!(%topic, "subscriber found");
                }
                *self = Self { seen: true, optional: self.optional, ..Self::default() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_count_of_zero_means_that_subscribers_are_missing() {
        let (mut watch, start) = (SubscriberWatch::default(), Instant::now());
        let topic = Topic::new("t").unwrap();
        let at = |seconds| start + Duration::from_secs(seconds);
        for seconds in [0, 5, 20] {
            watch.note(&topic, Receivers::Unknown, at(seconds));
        }
        assert!(watch.missing_since.is_none() && !watch.may_return(at(20)));
        watch.note(&topic, Receivers::Known(1), at(30));
        assert!(watch.may_return(at(31)), "it was there a moment ago");
        watch.note(&topic, Receivers::Known(0), at(32));
        assert!(!watch.warned);
        watch.note(&topic, Receivers::Known(0), at(41));
        assert!(watch.warned && !watch.may_return(at(41)));
        watch.note(&topic, Receivers::Known(1), at(42));
        assert!(!watch.warned && watch.may_return(at(43)));
    }
}
