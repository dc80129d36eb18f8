//! What surrounds the loop of every node: its name in the registry, its topics, and its end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use msight_bus::Topic;
use msight_proto::Message;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};

use crate::context::{Context, Inner};
use crate::dropped::DroppedBySensor;
use crate::flags::{CommonFlags, Kind};
use crate::local::TopicScope;
use crate::outbox::FullPolicy;
use crate::port::{Direction, Port};
use crate::resources::Resources;
use crate::{Gap, Node, Publisher};

use super::activity::Activity;
use super::inlet::Inlet;
use super::membership::Membership;
use super::namesakes;
use super::outlet::Outlet;
use super::role::Role;
use super::unfinished::Unfinished;

/// A registered node with its outputs and its further inputs.
pub(crate) struct Session {
    pub(super) cx: Context,
    pub(super) flags: CommonFlags,
    pub(super) resources: Resources,
    pub(super) unfinished: Unfinished,
    membership: Membership,
    /// That of `-pt`.
    output: Option<Outlet>,
    further_outputs: Vec<Outlet>,
    _namesakes: Vec<AbortOnDropHandle<()>>,
}

impl Session {
    /// Registers the node and opens its outputs and its further inputs, waiting for the bus as long as it takes;
    /// `None` when the node is stopped meanwhile.
    ///
    /// # Errors
    /// Another node has the name, or the bus refuses this one.
    pub(super) async fn begin<R: Role>(flags: CommonFlags, resources: Resources) -> Result<Option<Self>> {
        let publishes = declared(R::PUBLISHES.as_slice(), flags.publish_topic.as_ref())?;
        let takes = declared(R::TAKES, flags.subscribe_topic.as_ref())?;
        let ports = flags.further_topics.iter().map(|(port, name)| Ok((*port, Topic::new(name)?)));
        let ports: Vec<(Port, Topic)> = ports.collect::<Result<_>>()?;

        let Some(mut membership) = Membership::join(R::Node::CLASS, &flags, &resources, R::KIND).await?
        else {
            return Ok(None);
        };
        let further = ports.iter().filter_map(|(port, topic)| Some((topic, vec![port.data_type?])));
        let own = publishes.iter().chain(&takes).map(|(topic, types)| (topic, types.clone()));
        for (topic, types) in own.chain(further) {
            membership.declare(topic, &types).await;
        }
        let is_source = R::KIND == Kind::Source;
        let policy = |of_source| if is_source { of_source } else { FullPolicy::Wait };
        let mut inner = inner(&flags, &resources, <R::Node as Node>::PORTS);
        inner.activity = is_source.then(|| membership.activity());
        resources.metrics.start_losses(<R::Node as Node>::METRICS);
        let mut output = None;
        if let Some((topic, _)) = publishes {
            output = Some(Outlet::open(topic, policy(FullPolicy::DropOldest), &resources).await);
        }
        let mut further_outputs = Vec::new();
        for (port, topic) in ports.iter().filter(|(port, _)| port.direction == Direction::Out) {
            let (policy, resources) = (policy(port.full_policy), resources.of_topic(topic));
            let outlet = Outlet::open(topic.clone(), policy, &resources).await;
            inner.outputs.push((*port, outlet.route()));
            further_outputs.push(outlet);
        }
        let unfinished = Unfinished::default();
        let mut outcome = Ok(Some(()));
        for (port, topic) in ports.iter().filter(|(port, _)| port.direction == Direction::In) {
            let resources = resources.of_topic(topic);
            match Inlet::open(topic, &flags, Gap::new(-1), &resources, None, &unfinished).await {
                Ok(Some(inlet)) => {
                    inlet.report_dropped(DroppedBySensor::default());
                    inner.inputs.push((*port, Arc::new(Mutex::new(inlet))));
                }
                Ok(None) => outcome = Ok(None),
                Err(error) => outcome = Err(error),
            }
            if !matches!(outcome, Ok(Some(()))) {
                break;
            }
        }
        let cx = Context::new(inner);
        let _namesakes = namesakes::watch_all(&flags, &resources, R::KIND);
        let session =
            Self { cx, flags, resources, unfinished, membership, output, further_outputs, _namesakes };
        match outcome {
            Ok(Some(())) => Ok(Some(session)),
            outcome => session.end(outcome.map(drop), Duration::ZERO).await.map(|()| None),
        }
    }

    /// Publishes to the topic of `-pt`.
    pub(super) fn publisher<M: Message>(&self) -> Option<Publisher<M>> {
        // What is published here is seen by the node's loop.
        self.output.as_ref().map(|outlet| Publisher::new(outlet.route(), None))
    }

    /// Subscribes to the topic of `-st`; `None` when the node is stopped meanwhile.
    ///
    /// # Errors
    /// The bus refuses this node.
    pub(super) async fn subscribe(&self) -> Result<Option<Inlet>> {
        let topic = Topic::new(self.flags.subscribe_topic.as_deref().unwrap_or_default())?;
        let gap = self.cx.remaining_gap();
        let activity = Some(self.activity());
        let inlet =
            Inlet::open(&topic, &self.flags, gap, &self.resources, activity, &self.unfinished).await?;
        Ok(inlet.inspect(|inlet| inlet.report_dropped(self.cx.dropped())))
    }

    /// Where the node's work leaves its signs of life.
    pub(super) fn activity(&self) -> Activity {
        self.membership.activity()
    }

    /// What the future gives, or `None` when it is time to stop before.
    pub(super) async fn unless_stopped<T>(
        &self,
        future: impl Future<Output = Result<T>>,
    ) -> Result<Option<T>> {
        tokio::select! {
            biased;
            () = self.resources.stop.cancelled() => Ok(None),
            outcome = future => outcome.map(Some),
        }
    }

    /// Delivers what is still queued, within `time`, and gives the name back.
    ///
    /// # Errors
    /// The first of `outcome`, messages that were not delivered, and a name that another node has taken.
    pub(super) async fn end(self, outcome: Result<()>, time: Duration) -> Result<()> {
        for (_, inlet) in self.cx.inputs() {
            // A task of the node that still waits there finds the end by itself.
            if let Ok(mut inlet) = inlet.try_lock() {
                inlet.abandon();
            }
        }
        let deadline = Instant::now() + time;
        let mut outcome = outcome;
        for outlet in self.output.into_iter().chain(self.further_outputs) {
            let drained = outlet.drain(deadline.saturating_duration_since(Instant::now())).await;
            outcome = both(outcome, drained);
        }
        outcome = both(outcome, self.membership.leave().await);
        if outcome.is_ok() {
            info!(counts = self.resources.metrics.totals(), "stopped");
        }
        outcome
    }
}

/// The first error of two; the second is logged, since only one can be returned.
pub(super) fn both(first: Result<()>, second: Result<()>) -> Result<()> {
    match (first, second) {
        (Err(first), Err(second)) => {
            error!("{second:#}");
            Err(first)
        }
        (first, second) => first.and(second),
    }
}

fn inner(flags: &CommonFlags, resources: &Resources, ports: &'static [Port]) -> Inner {
    Inner {
        name: flags.name.clone(),
        device: resources.device.clone(),
        sensor_name: flags.sensor_name.clone(),
        gap: flags.gap(),
        gap_taken: false.into(),
        grace: flags.grace(),
        metrics: resources.metrics.clone(),
        health: resources.health.clone(),
        stopping: resources.stop.clone(),
        has_publish_topic: flags.publish_topic.is_some(),
        scope: scope(flags, resources),
        dropped: DroppedBySensor::default(),
        ports,
        outputs: Vec::new(),
        activity: None,
        inputs: Vec::new(),
    }
}

/// How far what is published on `-pt` goes.
fn scope(flags: &CommonFlags, resources: &Resources) -> TopicScope {
    let topic = flags.publish_topic.as_ref().and_then(|name| Topic::new(name).ok());
    resources.local.as_ref().zip(topic).map_or(TopicScope::Bus, |(local, topic)| local.scope(&topic))
}

/// A topic and the types of its messages, if the node has such a topic.
fn declared(types: &[&'static str], name: Option<&String>) -> Result<Option<(Topic, Vec<&'static str>)>> {
    let name = name.filter(|_| !types.is_empty());
    name.map(|name| Ok((Topic::new(name)?, types.to_vec()))).transpose()
}
