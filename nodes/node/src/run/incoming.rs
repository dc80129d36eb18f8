//! What a node is subscribed to: messages of a bus, or samples of the other nodes of its process.

use bytes::Bytes;
use msight_bus::registry::resolve_topic;
use msight_bus::{
    Acknowledgement, Delivery, Error, Subscription, SubscriptionMonitor, SubscriptionStats, Topic,
};
use msight_proto::{DecodeError, Receipt, Sample, head};

use crate::accept::{Accept, Packed};
use crate::dropped::DroppedBySensor;
use crate::flags::CommonFlags;
use crate::local::{SharedSample, TopicScope};
use crate::losses::LossLog;
use crate::queued::{QueuedMessage as _, with_receipt};
use crate::resources::Resources;

/// A subscription of either kind.
pub(super) enum Incoming {
    Bus(Subscription),
    Local(Subscription<SharedSample>),
}

/// What has arrived, still packed. A message is acknowledged by its receipt; one that is dropped before it was opened
/// stays unacknowledged.
pub(super) enum Arrival {
    Message { payload: Bytes, acknowledgement: Option<Acknowledgement> },
    Sample(SharedSample),
}

/// What is not a sample of the wanted type: why, and the message if there is one.
pub(super) struct Unusable {
    pub(super) error: DecodeError,
    pub(super) message: Option<Bytes>,
}

impl Incoming {
    /// Subscribes to the channel that the registry names for the topic, by default the topic's own name.
    pub(super) async fn open(topic: &Topic, flags: &CommonFlags, setting: &Resources) -> Result<Self, Error> {
        let channel = resolve_topic(&*setting.registry, topic).await?;
        match &setting.local {
            Some(local) if local.scope(topic) != TopicScope::Bus => {
                Ok(Self::Local(local.topics().subscribe(&channel, flags.queue())))
            }
            _ => Ok(Self::Bus(setting.bus.subscribe(&channel, flags.queue()).await?)),
        }
    }

    pub(super) async fn recv(&mut self) -> Option<Arrival> {
        match self {
            Self::Bus(messages) => messages.recv().await.map(Arrival::of_message),
            Self::Local(samples) => samples.recv().await.map(Arrival::of_sample),
        }
    }

    pub(super) fn try_recv(&mut self) -> Option<Arrival> {
        match self {
            Self::Bus(messages) => messages.try_recv().map(Arrival::of_message),
            Self::Local(samples) => samples.try_recv().map(Arrival::of_sample),
        }
    }

    pub(super) fn close(&mut self) {
        match self {
            Self::Bus(messages) => messages.close(),
            Self::Local(samples) => samples.close(),
        }
    }

    /// Reports what the queue drops, and counts it by sensor.
    pub(super) fn report_dropped(&self, dropped: DroppedBySensor) {
        let losses = LossLog::new(self.topic().clone());
        let report = move |sensor: Option<&str>, span| {
            dropped.add(sensor);
            losses.add(
                sensor,
                span,
                "the input queue was full: the node is slower than the topic, or a message exceeds --queue-bytes",
            );
        };
        match self {
            Self::Bus(messages) => messages.observe_drops(move |payload| {
                let (sensor, span) = sensor_and_span(payload);
                report(sensor.as_deref(), span);
            }),
            Self::Local(samples) => samples.observe_drops(move |sample| {
                report(sample.sensor(), sample.span());
            }),
        }
    }

    /// Unsubscribes, and discards what waits without an acknowledgement. It is reported as lost.
    pub(super) fn abandon(&mut self) {
        let losses = LossLog::new(self.topic().clone());
        let reason = "they still waited when the node stopped";
        match self {
            Self::Bus(messages) => messages.abandon(|payload| {
                let (sensor, span) = sensor_and_span(payload);
                losses.add(sensor.as_deref(), span, reason);
            }),
            Self::Local(samples) => samples.abandon(|sample| {
                losses.add(sample.sensor(), sample.span(), reason);
            }),
        }
    }

    pub(super) fn stats(&self) -> SubscriptionStats {
        match self {
            Self::Bus(messages) => messages.stats(),
            Self::Local(samples) => samples.stats(),
        }
    }

    pub(super) fn monitor(&self) -> SubscriptionMonitor {
        match self {
            Self::Bus(messages) => messages.monitor(),
            Self::Local(samples) => samples.monitor(),
        }
    }

    pub(super) fn topic(&self) -> &Topic {
        match self {
            Self::Bus(messages) => messages.topic(),
            Self::Local(samples) => samples.topic(),
        }
    }
}

/// Of an encoded message; of none that can be read, there is no sensor and no time.
fn sensor_and_span(payload: &[u8]) -> (Option<String>, (f64, f64)) {
    head(payload).map_or((None, (f64::NAN, f64::NAN)), |head| {
        (head.sensor_name, (head.capture_timestamp, head.capture_timestamp))
    })
}

impl Arrival {
    fn of_message(delivery: Delivery) -> Self {
        let Delivery { payload, acknowledgement } = delivery;
        Self::Message { payload, acknowledgement }
    }

    /// A sample brings its own receipt.
    fn of_sample(delivery: Delivery<SharedSample>) -> Self {
        Self::Sample(delivery.payload)
    }

    /// Leaves the message out on purpose: it need not come again.
    pub(super) fn skip(self) {
        match self {
            Self::Message { acknowledgement, .. } => {
                acknowledgement.into_iter().for_each(Acknowledgement::acknowledge);
            }
            Self::Sample(sample) => sample.release(),
        }
    }

    /// The sample, which acknowledges its message when it is dropped.
    pub(super) fn open<A: Accept>(self) -> Result<Sample<A>, Unusable> {
        match self {
            Self::Message { payload, acknowledgement } => {
                let receipt =
                    acknowledgement.map(|acknowledgement| Receipt::new(|| acknowledgement.acknowledge()));
                match A::accept(Packed::encoded(payload.clone())) {
                    Ok(sample) => Ok(with_receipt(sample, receipt)),
                    // It is counted as bad and acknowledged: it would be as bad the next time.
                    Err(error) => Err(Unusable { error, message: Some(payload) }),
                }
            }
            Self::Sample(sample) => {
                A::accept(Packed::shared(sample)).map_err(|error| Unusable { error, message: None })
            }
        }
    }
}
