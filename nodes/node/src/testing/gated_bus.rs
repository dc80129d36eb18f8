//! A bus that is slow or away when a test says so.

use std::sync::Arc;

use bytes::Bytes;
use msight_bus::{BoxFuture, Bus, Error, MemoryBus, QueueConfig, Receivers, Subscription, Topic};

type Gate = dyn Fn(&Topic) -> BoxFuture<'static, Result<(), Error>> + Send + Sync;

/// A bus with a gate in front of publishing.
///
/// ```
/// use msight_bus::Error;
/// use msight_node::testing::GatedBus;
///
/// let away = GatedBus::new(|topic| {
///     let operation = format!("publish to topic {topic}");
///     let (place, reason) = ("memory".to_owned(), "it is away".to_owned());
///     Box::pin(async { Err(Error::Unavailable { operation, place, reason }) })
/// });
/// ```
pub struct GatedBus {
    bus: Arc<dyn Bus>,
    gate: Box<Gate>,
}

impl GatedBus {
    /// A [`MemoryBus`] that publishes a message when the gate's future has ended well, and fails as the gate does.
    /// Subscribing passes.
    pub fn new(
        gate: impl Fn(&Topic) -> BoxFuture<'static, Result<(), Error>> + Send + Sync + 'static,
    ) -> Self {
        Self::around(Arc::new(MemoryBus::default()), gate)
    }

    /// The same of another bus.
    pub fn around(
        bus: Arc<dyn Bus>,
        gate: impl Fn(&Topic) -> BoxFuture<'static, Result<(), Error>> + Send + Sync + 'static,
    ) -> Self {
        Self { bus, gate: Box::new(gate) }
    }
}

impl Bus for GatedBus {
    fn publish<'a>(&'a self, topic: &'a Topic, payload: Bytes) -> BoxFuture<'a, Result<Receivers, Error>> {
        Box::pin(async move {
            (self.gate)(topic).await?;
            self.bus.publish(topic, payload).await
        })
    }

    fn subscribe<'a>(
        &'a self,
        topic: &'a Topic,
        queue: QueueConfig,
    ) -> BoxFuture<'a, Result<Subscription, Error>> {
        self.bus.subscribe(topic, queue)
    }

    fn describe(&self) -> String {
        "memory with a gate".to_owned()
    }
}
