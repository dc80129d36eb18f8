//! The bus on Redis: publish/subscribe, and streams for durable topics.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use redis::Cmd;

use super::commands::Commands;
use super::dialer::Dialer;
use super::failure::{Classifier, Operation};
use super::outage::OutageLog;
use super::pace::Pace;
use super::reader;
use super::stream::{self, Acks, Streams};
use crate::bus::{BoxFuture, Bus, GroupMember, check_size};
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
    /// Stores messages of durable topics.
    storing: Commands,
    streams: Streams,
    /// Of the subscriptions to durable topics.
    acks: Mutex<Vec<Weak<Acks>>>,
}

impl RedisBus {
    pub(super) fn new(
        dialer: Arc<Dialer>,
        classifier: Classifier,
        outages: Arc<OutageLog>,
        publishing: Commands,
        storing: Commands,
        streams: Streams,
    ) -> Self {
        let pace = (!dialer.is_cluster()).then(Pace::new);
        Self { dialer, classifier, outages, publishing, pace, storing, streams, acks: Mutex::default() }
    }

    pub(super) async fn connect(&self) -> Result<(), Error> {
        self.publishing.connect().await
    }

    async fn publish_now(&self, topic: &Topic, payload: Bytes) -> Result<Receivers, Error> {
        check_size(topic, &payload)?;
        if topic.is_durable() {
            let (place, limits) = (&self.classifier.place, &self.streams.limits);
            stream::publish(&self.storing, place, topic, &payload, limits).await?;
            return Ok(Receivers::Unknown);
        }
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

    async fn join_now(
        &self,
        topic: &Topic,
        member: &GroupMember,
        queue: QueueConfig,
    ) -> Result<Subscription, Error> {
        if !topic.is_durable() {
            return Err(Error::Invalid(format!(
                "the topic {topic} is plain and has no groups; subscribe to it"
            )));
        }
        let log = self.outages.connection();
        let (subscription, acks) = stream::join(self.streams.clone(), log, topic, member, queue).await?;
        let mut all = self.acks.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|acks| acks.strong_count() > 0);
        all.push(Arc::downgrade(&acks));
        Ok(subscription)
    }

    async fn flush_now(&self) {
        let all = self.acks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for acks in all.iter().filter_map(Weak::upgrade) {
            acks.flush().await;
        }
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
        if topic.is_durable() {
            let error = format!("the topic {topic} is durable, and its readers form groups; join one");
            return Box::pin(async { Err(Error::Invalid(error)) });
        }
        let (dialer, classifier) = (self.dialer.clone(), self.classifier.clone());
        Box::pin(reader::subscribe(dialer, classifier, self.outages.connection(), topic, queue))
    }

    fn join<'a>(
        &'a self,
        topic: &'a Topic,
        member: &'a GroupMember,
        queue: QueueConfig,
    ) -> BoxFuture<'a, Result<Subscription, Error>> {
        Box::pin(self.join_now(topic, member, queue))
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.flush_now())
    }

    fn describe(&self) -> String {
        self.classifier.place.clone()
    }
}
