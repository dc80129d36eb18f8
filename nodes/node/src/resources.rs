//! What a running node uses of the program around it.

use std::sync::Arc;

use msight_bus::{Bus, Registry, Topic};
use tokio_util::sync::CancellationToken;

use crate::Local;
use crate::health::Health;
use crate::metrics::Metrics;

/// What a program gives to a node that it runs: bus and registry, the device's name, metrics, and when to stop.
#[derive(Clone)]
pub struct Resources {
    /// Carries the topics.
    pub bus: Arc<dyn Bus>,
    /// Where the node registers.
    pub registry: Arc<dyn Registry>,
    /// The topics that the node shares with the other nodes of its process, if there are any: on these, samples go by
    /// reference count and not over the bus.
    pub local: Option<Local>,
    /// The device's name, otherwise `MSIGHT_EDGE_DEVICE_NAME`.
    pub device: String,
    /// Where the node counts.
    pub metrics: Metrics,
    /// Where the node reports whether it is ready.
    pub health: Health,
    /// Cancel it to stop the node as a first signal does.
    pub stop: CancellationToken,
}

impl Resources {
    /// The same, with metrics that carry the name of a topic.
    pub(crate) fn of_topic(&self, topic: &Topic) -> Self {
        Self { metrics: self.metrics.labelled("topic", topic.as_str()), ..self.clone() }
    }
}
