//! The bus on Redis publish/subscribe.

use std::sync::Arc;

use bytes::Bytes;
use redis::Cmd;

use super::commands::Commands;
use super::dialer::Dialer;
use super::failure::{Classifier, Operation};
use super::outage::OutageLog;
use super::pace::Pace;
use super::reader;
use crate::bus::{BoxFuture, Bus, check_size};
use crate::delivery::Receivers;
use crate::error::Error;
use crate::inbox::QueueConfig;
use crate::subscription::Subscription;
use crate::topic::Topic;

/// The bus on one Redis.
pub(crate) struct RedisBus {
    dialer: Arc<Dialer>,
    classifier: Classifier,
    outages: Arc<OutageLog>,
    publishing: Commands,
    /// `None` in a cluster, where subscribers of a topic are on all nodes.
    pace: Option<Pace>,
}

impl RedisBus {
    pub(super) fn new(
        dialer: Arc<Dialer>,
        classifier: Classifier,
        outages: Arc<OutageLog>,
        publishing: Commands,
    ) -> Self {
        let pace = (!dialer.is_cluster()).then(Pace::new);
        Self { dialer, classifier, outages, publishing, pace }
    }

    pub(super) async fn connect(&self) -> Result<(), Error> {
        self.publishing.connect().await
    }

    async fn publish_now(&self, topic: &Topic, payload: Bytes) -> Result<Receivers, Error> {
        check_size(topic, &payload)?;
        let mut publish = Cmd::with_capacity(3, payload.len() + topic.as_str().len() + 16);
        publish.arg("PUBLISH").arg(topic.as_str()).arg(&payload[..]);
        let Some(pace) = &self.pace else { return self.send(topic, &publish, payload.len()).await };
        let turn = pace.take_turn(&self.publishing, topic, payload.len()).await;
        let receivers = self.send(topic, &publish, payload.len()).await;
        if let Some(turn) = turn {
            pace.end_turn(&self.publishing, topic, turn).await;
        }
        receivers
    }

    async fn send(&self, topic: &Topic, publish: &Cmd, bytes: usize) -> Result<Receivers, Error> {
        let receivers = self.publishing.run(Operation::Publish(topic), publish, bytes).await?;
        // A node of a cluster counts its own subscribers only (https://redis.io/docs/latest/commands/publish/).
        Ok(if self.dialer.is_cluster() { Receivers::Unknown } else { Receivers::Known(receivers) })
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
