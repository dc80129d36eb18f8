//! Messages of a durable topic: acknowledged when what was made of them is safe, and only then.

use std::sync::Arc;

use bytes::Bytes;
use msight_bus::{Connection, MemoryRegistry};
use msight_node::testing::GatedBus;
use msight_node::{Context, Node, Result, Sink, processor, sink};
use msight_proto::{BytesData, Sample};
use msight_test_support::bus::DurableBus;
use msight_test_support::until;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::running::{Echo, NoFlags, Running, count, message};

/// A durable bus that accepts as many messages on the topic `out` as it has permits.
struct SlowBus {
    durable: Arc<DurableBus>,
    permits: Arc<Semaphore>,
}

impl SlowBus {
    fn new() -> Self {
        Self { durable: Arc::default(), permits: Arc::new(Semaphore::new(0)) }
    }

    fn connection(&self) -> Connection {
        let permits = self.permits.clone();
        let bus = GatedBus::around(self.durable.clone(), move |topic| {
            let permits = (topic.as_str() == "out").then(|| permits.clone());
            Box::pin(async move {
                if let Some(permits) = permits {
                    permits.acquire().await.expect("it is never closed").forget();
                }
                Ok(())
            })
        });
        Connection { bus: Arc::new(bus), registry: Arc::new(MemoryRegistry::new()) }
    }
}

/// A node that passes on what it gets, and is subscribed.
async fn echo(bus: &SlowBus, flags: &str) -> Running {
    let node =
        Running::start_on(bus.connection(), processor::<Echo>(), &format!("-n echo -st in -pt out {flags}"));
    node.until("it is subscribed", |resources| resources.health.unready().is_none()).await;
    node
}

#[tokio::test(start_paused = true)]
async fn a_message_is_acknowledged_once_the_bus_has_what_was_made_of_it() {
    let bus = SlowBus::new();
    let node = echo(&bus, "").await;
    let messages = [message("first"), message("second")];
    for message in &messages {
        node.publish(message.clone()).await;
    }
    node.until("both are worked on", |_| node.count("msight_received_total") == 2).await;
    assert!(bus.durable.acknowledged().is_empty(), "what was made of them waits for the bus");
    bus.permits.add_permits(1);
    until("the first is acknowledged", async || bus.durable.acknowledged() == messages[..1]).await;
    bus.permits.add_permits(1);
    until("both are acknowledged", async || bus.durable.acknowledged() == messages).await;
    bus.permits.add_permits(1);
    node.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_bus_when_the_node_ends_is_not_acknowledged() {
    let bus = SlowBus::new();
    let node = echo(&bus, "--grace 0.2").await;
    for text in ["in delivery", "in the queue"] {
        node.publish(message(text)).await;
    }
    node.until("both are worked on", |_| node.count("msight_received_total") == 2).await;
    let resources = node.resources.clone();
    assert!(node.stop().await.is_err());
    let lost = count(&resources, r#"msight_publish_dropped_total{reason="stopped"}"#);
    assert_eq!(
        (lost, bus.durable.acknowledged().len()),
        (3, 0),
        "also what the node published when it finished"
    );
}

#[tokio::test(start_paused = true)]
async fn work_that_a_stop_cuts_short_is_not_acknowledged() {
    let bus = SlowBus::new();
    bus.permits.add_permits(1);
    let node = echo(&bus, "--grace 0.2").await;
    node.publish(message("hang")).await;
    node.until("it is worked on", |_| node.count("msight_received_total") == 1).await;
    node.stop().await.unwrap();
    assert!(bus.durable.acknowledged().is_empty());
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_no_use_twice_are_acknowledged() {
    let bus = SlowBus::new();
    bus.permits.add_permits(1);
    let node = echo(&bus, "").await;
    let messages = [Bytes::from_static(b"malformed"), message("fail")];
    for message in &messages {
        node.publish(message.clone()).await;
    }
    until("both are acknowledged", async || bus.durable.acknowledged() == messages).await;
    node.stop().await.unwrap();
}

/// Works in tasks of its own, which never finish with a message that says "hold". It does not wait for them at the end, or
/// waits for too long.
#[derive(Default)]
struct Background(Vec<AbortOnDropHandle<()>>);

impl Node for Background {
    const NAME: &'static str = "background";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self::default())
    }
}

impl Sink for Background {
    type In = BytesData;
    async fn consume(&mut self, sample: Sample<BytesData>) -> Result<()> {
        let text = sample.body.data.clone().unwrap_or_default();
        assert_ne!(text, "panic", "on purpose");
        let work = async move {
            if text == "hold" {
                std::future::pending::<()>().await;
            }
            drop(sample);
        };
        self.0.push(AbortOnDropHandle::new(tokio::spawn(work)));
        Ok(())
    }
    async fn finish(&mut self) -> Result<()> {
        if self.0.len() > 3 { std::future::pending().await } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_node_still_holds_at_its_end_is_lost_and_not_acknowledged() {
    for finishes in [true, false] {
        let bus = SlowBus::new();
        let args = "-n background -st in --grace 0.2";
        let node = Running::start_on(bus.connection(), sink::<Background>(), args);
        node.until("it is subscribed", |resources| resources.health.unready().is_none()).await;
        let texts: &[&str] =
            if finishes { &["done", "hold", "hold"] } else { &["done", "hold", "done", "hold"] };
        let mut done = Vec::new();
        for text in texts {
            let message = message(text);
            node.publish(message.clone()).await;
            done.extend((*text == "done").then_some(message));
        }
        node.until("all are taken", |_| node.count("msight_received_total") == texts.len() as u64).await;
        until("those done are acknowledged", async || bus.durable.acknowledged() == done).await;
        let resources = node.resources.clone();
        assert_eq!(node.stop().await.is_ok(), finishes);
        // Time for what the node has aborted.
        tokio::task::yield_now().await;
        assert_eq!(bus.durable.acknowledged(), done);
        assert_eq!(count(&resources, "msight_unfinished_total"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_node_holds_when_it_panics_is_lost_and_not_acknowledged() {
    let bus = SlowBus::new();
    let node = Running::start_on(bus.connection(), sink::<Background>(), "-n background -st in");
    node.until("it is subscribed", |resources| resources.health.unready().is_none()).await;
    for text in ["hold", "panic"] {
        node.publish(message(text)).await;
    }
    let Running { resources, node } = node;
    assert!(node.await.unwrap_err().is_panic());
    tokio::task::yield_now().await;
    assert!(bus.durable.acknowledged().is_empty());
    assert_eq!(count(&resources, "msight_unfinished_total"), 2);
}
