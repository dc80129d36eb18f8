//! Publishing and subscribing.

use std::sync::Arc;

use bytes::Bytes;
use redis::Cmd;

use super::commands::Commands;
use super::dialer::Dialer;
use super::failure::{Classifier, Operation};
use super::outage::OutageLog;
use super::reader;
use crate::bus::{BoxFuture, Bus, check_size};
use crate::delivery::Receivers;
use crate::error::Error;
use crate::inbox::QueueConfig;
use crate::subscription::Subscription;
use crate::topic::Topic;

/// The topics of a Redis.
pub(crate) struct RedisBus {
    dialer: Arc<Dialer>,
    classifier: Classifier,
    outages: Arc<OutageLog>,
    publishing: Commands,
}

impl RedisBus {
    pub(super) fn new(
        dialer: Arc<Dialer>,
        classifier: Classifier,
        outages: Arc<OutageLog>,
        publishing: Commands,
    ) -> Self {
        Self { dialer, classifier, outages, publishing }
    }

    pub(super) async fn connect(&self) -> Result<(), Error> {
        self.publishing.connect().await
    }

    async fn publish_now(&self, topic: &Topic, payload: Bytes) -> Result<Receivers, Error> {
        check_size(topic, &payload)?;
        let mut publish = Cmd::with_capacity(3, payload.len() + topic.as_str().len() + 16);
        publish.arg("PUBLISH").arg(topic.as_str()).arg(&payload[..]);
        let receivers = self.publishing.run(Operation::Publish(topic), &publish, payload.len()).await?;
        Ok(Receivers::Known(receivers))
    }
}

impl Bus for RedisBus {
    fn publish<'a>(&'a self, topic: &'a Topic, payload: Bytes) -> BoxFuture<'a, Result<Receivers, Error>> {
        Box::pin(self.publish_now(topic, payload))
    }

    fn subscribe<'a>(
        &'a self,
        topic: &'a Topic,
        queue: QueueConfig,
    ) -> BoxFuture<'a, Result<Subscription, Error>> {
        let (dialer, classifier) = (self.dialer.clone(), self.classifier.clone());
        Box::pin(reader::subscribe(dialer, classifier, self.outages.connection(), topic, queue))
    }

    fn describe(&self) -> String {
        self.classifier.place.clone()
    }
}
