//! A bus that is slow or away when a test says so.

use bytes::Bytes;
use msight_bus::{BoxFuture, Bus, Error, MemoryBus, Queue, Subscription, Table, Topic};

type Gate = dyn Fn(&Topic) -> BoxFuture<'static, Result<(), Error>> + Send + Sync;

/// A [`MemoryBus`] with a gate in front of publishing.
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
    bus: MemoryBus,
    gate: Box<Gate>,
}

impl GatedBus {
    /// A bus that publishes a message when the gate's future has ended well, and fails as the gate does. All else
    /// passes.
    pub fn new(
        gate: impl Fn(&Topic) -> BoxFuture<'static, Result<(), Error>> + Send + Sync + 'static,
    ) -> Self {
        Self { bus: MemoryBus::default(), gate: Box::new(gate) }
    }
}

impl Bus for GatedBus {
    fn publish<'a>(&'a self, topic: &'a Topic, payload: Bytes) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            (self.gate)(topic).await?;
            self.bus.publish(topic, payload).await
        })
    }

    fn subscribe<'a>(&'a self, topic: &'a Topic, queue: Queue) -> BoxFuture<'a, Result<Subscription, Error>> {
        self.bus.subscribe(topic, queue)
    }

    fn read<'a>(&'a self, table: Table) -> BoxFuture<'a, Result<Vec<(String, String)>, Error>> {
        self.bus.read(table)
    }

    fn get<'a>(&'a self, table: Table, field: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        self.bus.get(table, field)
    }

    fn swap<'a>(
        &'a self,
        table: Table,
        field: &'a str,
        expected: Option<&'a str>,
        new: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Result<(), Option<String>>, Error>> {
        self.bus.swap(table, field, expected, new)
    }

    fn reset<'a>(&'a self) -> BoxFuture<'a, Result<u64, Error>> {
        self.bus.reset()
    }

    fn describe(&self) -> String {
        "memory with a gate".to_owned()
    }
}
