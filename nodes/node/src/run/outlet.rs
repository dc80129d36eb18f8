//! The outgoing side: the queues of a topic, and the tasks that empty them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use msight_bus::registry::resolve_topic;
use msight_bus::{Payload, Topic};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, error};

use crate::delivery::{self, Silence, to_bus, to_nodes};
use crate::local::{Parcel, Reach};
use crate::outbox::{Counts, Outbox, WhenFull};
use crate::publisher::Route;
use crate::resources::Resources;

/// Where a node publishes.
pub(super) enum Outlet {
    Bus(Lane<delivery::Message>),
    Local { nodes: Lane<Parcel>, exposed: Option<Lane<Parcel>> },
}

impl Outlet {
    /// Publishes on the channel that the registry names for the topic, which is the topic's own name unless
    /// somebody wrote another into its record.
    pub(super) async fn open(topic: Topic, when_full: WhenFull, setting: &Resources) -> Self {
        let local = setting.local.as_ref().map(|local| (local, local.reach(&topic)));
        let channel = resolve_topic(&*setting.bus, &topic).await.unwrap_or(topic);
        let outbox = Counts::published(&setting.metrics);
        let (local, reach) = match local {
            Some((local, reach)) if reach != Reach::Bus => (local, reach),
            _ => return Self::Bus(Lane::to_bus(channel, when_full, outbox, Silence::default(), setting)),
        };
        let exposed = (reach == Reach::Exposed).then(|| {
            // The nodes here never wait for the bus.
            let counts = Counts::exposed(&setting.metrics);
            Lane::to_bus(channel.clone(), WhenFull::DropOldest, counts, Silence::optional(), setting)
        });
        let silence = if exposed.is_some() { Silence::optional() } else { Silence::default() };
        let outbox = Outbox::new(channel, when_full, outbox);
        let delivery = to_nodes(outbox.clone(), local.topics().clone(), silence, setting.stop.clone());
        Self::Local { nodes: Lane::new(outbox, delivery), exposed }
    }

    /// What publishers here need.
    pub(super) fn route(&self) -> Route {
        match self {
            Self::Bus(lane) => Route::Bus(lane.outbox.clone()),
            Self::Local { nodes, exposed } => Route::Local {
                nodes: nodes.outbox.clone(),
                exposed: exposed.as_ref().map(|lane| lane.outbox.clone()),
            },
        }
    }

    /// Waits until everything has arrived, as long as `time` allows.
    pub(super) async fn drain(self, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        match self {
            Self::Bus(lane) => lane.drain(deadline).await,
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

/// A queue, and the task that empties it.
pub(super) struct Lane<L: Payload> {
    outbox: Arc<Outbox<L>>,
    delivery: JoinHandle<()>,
}

impl<L: Payload> Lane<L> {
    fn new(outbox: Arc<Outbox<L>>, delivery: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { outbox, delivery: tokio::spawn(delivery.in_current_span()) }
    }

    fn to_bus(
        channel: Topic,
        when_full: WhenFull,
        counts: Counts,
        silence: Silence,
        setting: &Resources,
    ) -> Self
    where
        L: delivery::Letter,
    {
        let outbox = Outbox::new(channel, when_full, counts);
        let delivery = to_bus(outbox.clone(), setting.bus.clone(), silence, setting.stop.clone());
        Self::new(outbox, delivery)
    }

    async fn drain(self, deadline: Instant) -> Result<()> {
        let drained = timeout(deadline.saturating_duration_since(Instant::now()), self.outbox.empty()).await;
        self.delivery.abort();
        match drained {
            Ok(()) => Ok(()),
            Err(_) => Err(anyhow!(
                "{} messages are lost: the bus did not take them within the time of --grace",
                self.outbox.abandon()
            )),
        }
    }
}

impl<L: Payload> Drop for Lane<L> {
    /// After a panic of the node, which shares its process with others, nothing is drained.
    fn drop(&mut self) {
        self.delivery.abort();
        let lost = self.outbox.abandon();
        if lost > 0 {
            error!(topic = %self.outbox.topic, "{lost} messages are lost: their node has failed before they were delivered");
        }
    }
}
