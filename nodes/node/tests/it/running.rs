//! Nodes that run under the real runner, on a bus of the test's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use bytes::Bytes;
use msight_bus::{
    Bus, Connection, Delivery, Error, MemoryRegistry, Overflow, QueueConfig, Receivers, Subscription, Table,
    Topic,
};
use msight_node::health::Health;
use msight_node::metrics::Metrics;
use msight_node::testing::GatedBus;
use msight_node::{Context, Entry, Node, Processor, Publisher, Resources, Result, anyhow};
use msight_proto::{BytesData, Head, Sample, decode, encode};
use msight_test_support::{DEADLINE, until};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a node gets that runs on this connection, on a device of its own.
pub(crate) fn resources(Connection { bus, registry }: Connection) -> Resources {
    Resources {
        bus,
        registry,
        local: None,
        device: "edge1".to_owned(),
        metrics: Metrics::default(),
        health: Health::default(),
        stop: CancellationToken::new(),
    }
}

/// A node that runs on a bus of its own.
pub(crate) struct Running {
    pub(crate) resources: Resources,
    pub(crate) node: JoinHandle<Result<()>>,
}

impl Running {
    pub(crate) fn start(entry: Entry, args: &str) -> Self {
        Self::start_on(Connection::memory(), entry, args)
    }

    pub(crate) fn start_on(connection: Connection, entry: Entry, args: &str) -> Self {
        Self::start_with(resources(connection), entry, args)
    }

    pub(crate) fn start_with(resources: Resources, entry: Entry, args: &str) -> Self {
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        let node = tokio::spawn({
            let resources = resources.clone();
            async move { entry.run(args, resources).await }
        });
        Self { resources, node }
    }

    /// Starts a node that others depend on.
    pub(crate) async fn ready(resources: Resources, entry: Entry, args: &str) -> Self {
        let node = Self::start_with(resources, entry, args);
        node.until("the node is ready", |resources| resources.health.unready().is_none()).await;
        node
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection { bus: self.resources.bus.clone(), registry: self.resources.registry.clone() }
    }

    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Resources) -> bool) {
        until(what, async || done(&self.resources)).await;
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.resources.stop.cancel();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Result<()> {
        tokio::time::timeout(DEADLINE, self.node)
            .await
            .expect("the node ends")
            .expect("the node does not panic")
    }

    pub(crate) async fn publish(&self, payload: impl Into<Bytes>) {
        let (topic, payload) = (Topic::new("in").unwrap(), payload.into());
        while self.resources.bus.publish(&topic, payload.clone()).await.unwrap() == Receivers::Known(0) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn count(&self, line: &str) -> u64 {
        count(&self.resources, line)
    }

    pub(crate) async fn record(&self, name: &str) -> Option<serde_json::Value> {
        let text = self.resources.registry.get(Table::Nodes, name).await.unwrap()?;
        Some(serde_json::from_str(&text).unwrap())
    }
}

/// The value of a metric; `line` is its name and labels as Prometheus sees them, without those of the kit.
pub(crate) fn count(resources: &Resources, line: &str) -> u64 {
    let (name, label) = line.split_once('{').unwrap_or((line, ""));
    let label = label.trim_end_matches('}');
    resources
        .metrics
        .render()
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

pub(crate) fn message(text: &str) -> Bytes {
    let data = Some(Bytes::copy_from_slice(text.as_bytes()));
    encode(&Sample::new(Head::new("s".to_owned(), 1.0), BytesData { data })).unwrap()
}

/// No flags of its own.
#[derive(Clone, clap::Args)]
pub(crate) struct NoFlags {}

/// Hands on what it gets, but "fail" and "hang".
pub(crate) struct Echo;
impl Node for Echo {
    const NAME: &'static str = "echo";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}
impl Processor for Echo {
    type In = BytesData;
    type Out = BytesData;
    async fn process(&mut self, sample: Sample<BytesData>, out: &Publisher<BytesData>) -> Result<()> {
        match sample.body.data.as_deref() {
            Some(b"fail") => Err(anyhow!("on purpose")),
            Some(b"hang") => std::future::pending().await,
            _ => out.publish(sample).await,
        }
    }
    async fn finish(&mut self, out: &Publisher<BytesData>) -> Result<()> {
        out.publish(Sample::new(Head::new(None, 0.0), BytesData { data: Some("finished".into()) })).await
    }
}

/// Subscribes to a topic.
pub(crate) async fn listen(bus: &dyn Bus, topic: &str) -> Subscription {
    let queue = QueueConfig { max_items: 10_000, max_bytes: 1 << 30, overflow: Overflow::DropNewest };
    bus.subscribe(&Topic::new(topic).unwrap(), queue).await.unwrap()
}

/// A bus on which nothing can be published while the switch is on.
pub(crate) fn switched(off: &Arc<AtomicBool>) -> Connection {
    let off = off.clone();
    let bus = GatedBus::new(move |_| {
        let is_off = off.load(SeqCst);
        let (operation, place, reason) = ("publish".to_owned(), "test".to_owned(), "switched off".to_owned());
        Box::pin(
            async move { if is_off { Err(Error::Unavailable { operation, place, reason }) } else { Ok(()) } },
        )
    });
    Connection { bus: Arc::new(bus), registry: Arc::new(MemoryRegistry::new()) }
}

/// The text of a message.
pub(crate) fn text(delivery: &Delivery) -> String {
    let data = decode::<BytesData>(&delivery.payload).unwrap().body.data.unwrap();
    String::from_utf8(data.to_vec()).unwrap()
}
