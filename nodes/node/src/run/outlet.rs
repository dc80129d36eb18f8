//! The outgoing side: the queues of a topic, and the tasks that deliver from them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use msight_bus::Topic;
use msight_bus::registry::resolve_topic;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use crate::delivery::{to_bus, to_nodes};
use crate::local::{SharedSample, TopicScope};
use crate::outbox::{Counts, FullPolicy, Outbox};
use crate::publisher::Route;
use crate::queued::{EncodedMessage, QueuedMessage};
use crate::resources::Resources;
use crate::subscribers::SubscriberWatch;

/// Where a node publishes.
pub(super) enum Outlet {
    Bus(Deliveries<EncodedMessage>),
    Local { nodes: Deliveries<SharedSample>, exposed: Option<Deliveries<SharedSample>> },
}

impl Outlet {
    /// Publishes on the channel that the registry names for the topic, by default the topic's own name.
    pub(super) async fn open(topic: Topic, full_policy: FullPolicy, setting: &Resources) -> Self {
        let local = setting.local.as_ref().map(|local| (local, local.scope(&topic)));
        let channel = resolve_topic(&*setting.registry, &topic).await.unwrap_or(topic);
        let outbox = Counts::published(&setting.metrics);
        let (local, scope) = match local {
            Some((local, scope)) if scope != TopicScope::Bus => (local, scope),
            _ => {
                return Self::Bus(Deliveries::to_bus(
                    channel,
                    full_policy,
                    outbox,
                    SubscriberWatch::default(),
                    setting,
                ));
            }
        };
        let exposed = (scope == TopicScope::Exposed).then(|| {
            // The nodes here never wait for the bus.
            let counts = Counts::exposed(&setting.metrics);
            Deliveries::to_bus(
                channel.clone(),
                FullPolicy::DropOldest,
                counts,
                SubscriberWatch::beside_nodes(local.topics().clone()),
                setting,
            )
        });
        let subscribers =
            if exposed.is_some() { SubscriberWatch::beside_bus() } else { SubscriberWatch::default() };
        let outbox = Outbox::new(channel, full_policy, outbox);
        let delivery = to_nodes(outbox.clone(), local.topics().clone(), subscribers, setting.stop.clone());
        Self::Local { nodes: Deliveries::new(outbox, delivery), exposed }
    }

    /// What publishers here need.
    pub(super) fn route(&self) -> Route {
        match self {
            Self::Bus(deliveries) => Route::Bus(deliveries.outbox.clone()),
            Self::Local { nodes, exposed } => Route::Local {
                nodes: nodes.outbox.clone(),
                exposed: exposed.as_ref().map(|deliveries| deliveries.outbox.clone()),
            },
        }
    }

    /// Waits until everything is delivered, for at most `time`.
    pub(super) async fn drain(self, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        match self {
            Self::Bus(deliveries) => deliveries.drain(deadline).await,
            Self::Local { nodes, exposed } => {
                let drained = nodes.drain(deadline).await;
                match exposed {
                    Some(exposed) => drained.and(exposed.drain(deadline).await),
                    None => drained,
                }
            }
        }
    }
}

/// A queue, and the task that delivers from it.
pub(super) struct Deliveries<M: QueuedMessage> {
    outbox: Arc<Outbox<M>>,
    task: JoinHandle<()>,
}

impl<M: QueuedMessage> Deliveries<M> {
    fn new(outbox: Arc<Outbox<M>>, delivery: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { outbox, task: tokio::spawn(delivery.in_current_span()) }
    }

    fn to_bus(
        channel: Topic,
        full_policy: FullPolicy,
        counts: Counts,
        subscribers: SubscriberWatch,
        setting: &Resources,
    ) -> Self {
        let outbox = Outbox::new(channel, full_policy, counts);
        let delivery = to_bus(outbox.clone(), setting.bus.clone(), subscribers, setting.stop.clone());
        Self::new(outbox, delivery)
    }

    async fn drain(mut self, deadline: Instant) -> Result<()> {
        let drained =
            timeout(deadline.saturating_duration_since(Instant::now()), self.outbox.wait_empty()).await;
        self.task.abort();
        // Until it has ended, it may count the message that it delivers.
        let _ = (&mut self.task).await;
        match drained {
            Ok(()) => Ok(()),
            Err(_) => {
                let reason = "the bus did not accept them within --grace";
                match self.outbox.abandon(reason) {
                    0 => Ok(()),
                    lost => Err(anyhow!("{lost} messages are lost: {reason}")),
                }
            }
        }
    }
}

impl<M: QueuedMessage> Drop for Deliveries<M> {
    /// After a panic of the node, which shares its process with others, nothing is drained.
    fn drop(&mut self) {
        self.task.abort();
        self.outbox.abandon("their node has failed before they were delivered");
    }
}
