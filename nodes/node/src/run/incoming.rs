//! What a node is subscribed to: messages of a bus, or samples of the other nodes of its process.

use std::sync::Arc;

use bytes::Bytes;
use msight_bus::registry::resolve_topic;
use msight_bus::{Error, Payload as _, Subscription, SubscriptionStats, Topic};
use msight_proto::{DecodeError, Message, Sample, decode};

use crate::flags::CommonFlags;
use crate::local::{Parcel, Reach};
use crate::resources::Resources;

/// A subscription of either kind.
pub(super) enum Incoming {
    Bus(Subscription),
    Local(Subscription<Parcel>),
}

/// What has arrived, still packed.
pub(super) enum Arrival {
    Message(Bytes),
    Sample(Parcel),
}

/// What is no sample of the type wanted: why, and how the message begins if there is one.
pub(super) struct Unusable {
    pub(super) error: DecodeError,
    pub(super) message: Option<Bytes>,
}

impl Incoming {
    /// Subscribes to the channel that the registry names for the topic, which is the topic's own name unless
    /// somebody wrote another into its record.
    pub(super) async fn open(topic: &Topic, flags: &CommonFlags, setting: &Resources) -> Result<Self, Error> {
        let channel = resolve_topic(&*setting.bus, topic).await?;
        match &setting.local {
            Some(local) if local.reach(topic) != Reach::Bus => {
                Ok(Self::Local(local.topics().subscribe(&channel, flags.queue())))
            }
            _ => Ok(Self::Bus(setting.bus.subscribe(&channel, flags.queue()).await?)),
        }
    }

    pub(super) async fn recv(&mut self) -> Option<Arrival> {
        match self {
            Self::Bus(messages) => messages.recv().await.map(Arrival::Message),
            Self::Local(samples) => samples.recv().await.map(Arrival::Sample),
        }
    }

    pub(super) fn try_recv(&mut self) -> Option<Arrival> {
        match self {
            Self::Bus(messages) => messages.try_recv().map(Arrival::Message),
            Self::Local(samples) => samples.try_recv().map(Arrival::Sample),
        }
    }

    pub(super) fn close(&mut self) {
        match self {
            Self::Bus(messages) => messages.close(),
            Self::Local(samples) => samples.close(),
        }
    }

    pub(super) fn stats(&self) -> Arc<SubscriptionStats> {
        match self {
            Self::Bus(messages) => messages.stats(),
            Self::Local(samples) => samples.stats(),
        }
    }

    pub(super) fn topic(&self) -> &Topic {
        match self {
            Self::Bus(messages) => messages.topic(),
            Self::Local(samples) => samples.topic(),
        }
    }
}

impl Arrival {
    /// The bytes that the queue has counted.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Message(message) => message.len(),
            Self::Sample(parcel) => parcel.size(),
        }
    }

    pub(super) fn open<M: Message>(self) -> Result<Sample<M>, Unusable> {
        match self {
            Self::Message(message) => {
                decode(&message).map_err(|error| Unusable { error, message: Some(message) })
            }
            Self::Sample(parcel) => parcel.open().map_err(|error| Unusable { error, message: None }),
        }
    }
}
