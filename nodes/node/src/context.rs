//! What a node is told of the program around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use msight_proto::{FrameId, Head, Message, unix_now};
use tokio_util::sync::CancellationToken;

use crate::dropped::DroppedBySensor;
use crate::health::Health;
use crate::local::TopicScope;
use crate::metrics::Metrics;
use crate::port::{Input, Output, Port};
use crate::publisher::{Publisher, Route};
use crate::run::activity::Activity;
use crate::subscriber::{SharedInlet, Subscriber};
use crate::{Accept, Gap};

/// Where a node runs: its name and device, the flags that all nodes share, metrics, and when to stop.
/// Cloning is cheap.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) device: String,
    pub(crate) sensor_name: Option<String>,
    pub(crate) gap: i64,
    pub(crate) gap_taken: AtomicBool,
    pub(crate) grace: Duration,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) stopping: CancellationToken,
    /// How far what is published on `-pt` goes.
    pub(crate) scope: TopicScope,
    pub(crate) has_publish_topic: bool,
    pub(crate) dropped: DroppedBySensor,
    /// What the node declares.
    pub(crate) ports: &'static [Port],
    /// Where the further outputs that have a topic publish to.
    pub(crate) outputs: Vec<(Port, Route)>,
    /// Of a source.
    pub(crate) activity: Option<Activity>,
    /// The queues of the further inputs that have a topic.
    pub(crate) inputs: Vec<(Port, SharedInlet)>,
}

impl Context {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The node's name, `-n`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The device's name, `MSIGHT_EDGE_DEVICE_NAME`.
    pub fn device(&self) -> &str {
        &self.0.device
    }

    /// The sensor's name, `-sn`; always there for a source.
    pub fn sensor_name(&self) -> Option<&str> {
        self.0.sensor_name.as_deref()
    }

    /// The head of a new message from this node: made now, on this device, with a new frame id. The capture
    /// time is in seconds since 1970 (UTC).
    pub fn head(&self, sensor_name: impl Into<Option<String>>, capture_timestamp: f64) -> Head {
        Head {
            sensor_name: sensor_name.into(),
            capture_timestamp,
            creation_timestamp: unix_now(),
            frame_id: Some(FrameId::next()),
            device_name: Some(self.0.device.clone()),
        }
    }

    /// The `--gap` of a source that wants to leave out frames before it spends work on them. Once taken, the
    /// kit does not apply it any more; take it in [`Node::open`](crate::Node::open).
    pub fn take_gap(&self) -> Gap {
        self.0.gap_taken.store(true, Ordering::Relaxed);
        Gap::new(self.0.gap)
    }

    /// The gap for the kit to apply: that of the flag, or none if the node took it.
    pub(crate) fn remaining_gap(&self) -> Gap {
        Gap::new(if self.0.gap_taken.load(Ordering::Relaxed) { -1 } else { self.0.gap })
    }

    /// Whether what the node publishes on `-pt` goes to other nodes of this process as it is. Then a picture is best left as
    /// its decoder gave it; bytes are encoded on request.
    pub fn hands_over(&self) -> bool {
        self.0.scope != TopicScope::Bus
    }

    /// Whether what the node publishes on `-pt` goes to other nodes of this process only, so that it never becomes bytes.
    pub fn stays_in_process(&self) -> bool {
        self.0.scope == TopicScope::Process
    }

    /// Whether the command line names the topic of `-pt`. A source that can do without makes no samples then.
    pub fn has_publish_topic(&self) -> bool {
        self.0.has_publish_topic
    }

    /// How many messages of this sensor the full queue of `-st` has dropped since this was last asked. With
    /// `--overflow drop-oldest`, they came before the sample that the node has now.
    pub fn take_dropped(&self, sensor: Option<&str>) -> u64 {
        self.0.dropped.take(sensor)
    }

    pub(crate) fn dropped(&self) -> DroppedBySensor {
        self.0.dropped.clone()
    }

    /// Publishes to a further output; `None` where the command line names no topic for it.
    ///
    /// # Panics
    /// When [`Node::PORTS`](crate::Node::PORTS) does not have the output.
    pub fn publisher<M: Message>(&self, output: &Output<M>) -> Option<Publisher<M>> {
        let port = self.declared(output.port());
        let (_, route) = self.0.outputs.iter().find(|(one, _)| *one == port)?;
        Some(Publisher::new(route.clone(), self.0.activity.clone()))
    }

    /// Takes samples from a further input; `None` where the command line names no topic for it. All that are asked
    /// for take from one queue.
    ///
    /// # Panics
    /// When [`Node::PORTS`](crate::Node::PORTS) does not have the input.
    pub fn subscriber<M: Accept>(&self, input: &Input<M>) -> Option<Subscriber<M>> {
        let port = self.declared(input.port());
        let (_, inlet) = self.0.inputs.iter().find(|(one, _)| *one == port)?;
        Some(Subscriber::new(inlet.clone()))
    }

    pub(crate) fn inputs(&self) -> &[(Port, SharedInlet)] {
        &self.0.inputs
    }

    fn declared(&self, port: Port) -> Port {
        assert!(self.0.ports.contains(&port), "{} is not in the PORTS of this node", port.flag);
        port
    }

    /// Cancelled when the node is to stop. The kit stops reading by itself; this is for work of the node's own.
    pub fn stopping(&self) -> CancellationToken {
        self.0.stopping.clone()
    }

    /// How long stopping may take, `--grace`.
    pub fn grace(&self) -> Duration {
        self.0.grace
    }

    /// Where the node says that something outside keeps it from its work ([`Health::set_blocked`]); all else about
    /// it the kit says.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// Where the node's counters and gauges are made.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }
}
