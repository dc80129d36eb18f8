//! The contract of every bus, run against memory and a real Redis.

use std::sync::Arc;

use bytes::Bytes;
use msight_bus::{Bus, Error, MAX_MESSAGE_BYTES, MemoryBus, Overflow, QueueConfig, Receivers, connect};
use msight_test_support::bus::{next, topic};
use msight_test_support::redis::RedisServer;
use msight_test_support::until;

macro_rules! every_bus {
    ($($name:ident)*) => {
        mod memory {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(Arc::new(MemoryBus::new())).await;
                }
            )*
        }
        mod redis {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let server = RedisServer::start(&[]);
                    super::$name(server.bus().await).await;
                }
            )*
        }
    };
}

every_bus! {
    messages_arrive_in_order
    every_subscriber_gets_every_message
    topics_are_separate
    payloads_are_bytes
    a_message_above_the_limit_is_rejected
    a_full_queue_keeps_the_latest
    a_full_queue_keeps_the_beginning
    a_payload_larger_than_the_queue_is_counted
    dropping_a_subscription_unsubscribes
    a_closed_subscription_returns_its_queued_messages
}

#[tokio::test]
async fn a_process_has_one_memory_bus_for_the_url() {
    let topic = topic("shared");
    let mut subscription = connect(Some("memory://"))
        .await
        .unwrap()
        .bus
        .subscribe(&topic, QueueConfig::default())
        .await
        .unwrap();
    let other = connect(Some("memory://")).await.unwrap();
    assert_eq!(other.bus.publish(&topic, Bytes::from_static(b"x")).await.unwrap(), Receivers::Known(1));
    assert_eq!(next(&mut subscription).await, "x");
    assert_eq!(MemoryBus::new().publish(&topic, Bytes::new()).await.unwrap(), Receivers::Known(0));
    assert!(matches!(connect(Some("amqp://h")).await.err().unwrap(), Error::Invalid(_)));
}

async fn messages_arrive_in_order(bus: Arc<dyn Bus>) {
    let topic = topic("order");
    let queue = QueueConfig { max_items: 1000, ..QueueConfig::default() };
    let mut subscription = bus.subscribe(&topic, queue).await.unwrap();
    for n in 0..500u32 {
        assert_eq!(bus.publish(&topic, n.to_be_bytes().to_vec().into()).await.unwrap(), Receivers::Known(1));
    }
    for n in 0..500u32 {
        assert_eq!(next(&mut subscription).await[..], n.to_be_bytes());
    }
    let stats = subscription.stats();
    assert_eq!((stats.received, stats.bytes), (500, 2000));
    assert_eq!((stats.dropped, stats.queued), (0, 0));
}

async fn every_subscriber_gets_every_message(bus: Arc<dyn Bus>) {
    let topic = topic("тема \"1\"");
    let mut subscriptions = Vec::new();
    for _ in 0..3 {
        subscriptions.push(bus.subscribe(&topic, QueueConfig::default()).await.unwrap());
    }
    assert_eq!(bus.publish(&topic, Bytes::from_static(b"one")).await.unwrap(), Receivers::Known(3));
    for subscription in &mut subscriptions {
        assert_eq!(next(subscription).await, "one");
    }
}

async fn topics_are_separate(bus: Arc<dyn Bus>) {
    let mut subscription = bus.subscribe(&topic("a"), QueueConfig::default()).await.unwrap();
    assert_eq!(bus.publish(&topic("b"), Bytes::from_static(b"b")).await.unwrap(), Receivers::Known(0));
    assert_eq!(bus.publish(&topic("a*"), Bytes::from_static(b"c")).await.unwrap(), Receivers::Known(0));
    bus.publish(&topic("a"), Bytes::from_static(b"a")).await.unwrap();
    assert_eq!(next(&mut subscription).await, "a");
    assert!(subscription.try_recv().is_none());
}

async fn payloads_are_bytes(bus: Arc<dyn Bus>) {
    let topic = topic("bytes");
    let mut subscription = bus.subscribe(&topic, QueueConfig::default()).await.unwrap();
    let every_byte: Bytes = (0..=255).collect::<Vec<u8>>().into();
    let large: Bytes = (0..5_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into();
    for payload in [Bytes::new(), every_byte, large, Bytes::from_static(b"\r\n$-1\r\n")] {
        bus.publish(&topic, payload.clone()).await.unwrap();
        assert!(next(&mut subscription).await == payload, "{} bytes", payload.len());
    }
}

async fn a_message_above_the_limit_is_rejected(bus: Arc<dyn Bus>) {
    let payload = Bytes::from(vec![0; MAX_MESSAGE_BYTES + 1]);
    let error = bus.publish(&topic("t"), payload).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

/// Publishes `0..count` and waits until all have arrived.
async fn fill(bus: &dyn Bus, queue: QueueConfig, count: u8) -> msight_bus::Subscription {
    let topic = topic("full");
    let subscription = bus.subscribe(&topic, queue).await.unwrap();
    for n in 0..count {
        bus.publish(&topic, vec![n; 10].into()).await.unwrap();
    }
    until("all arrive", async || subscription.stats().received == u64::from(count)).await;
    subscription
}

async fn a_full_queue_keeps_the_latest(bus: Arc<dyn Bus>) {
    let queue = QueueConfig { max_items: 4, max_bytes: 1000, overflow: Overflow::DropOldest };
    let mut subscription = fill(&*bus, queue, 10).await;
    let stats = subscription.stats();
    assert_eq!((stats.queued, stats.queued_bytes), (4, 40));
    assert_eq!((stats.dropped, stats.dropped_bytes), (6, 60));
    for n in 6..10 {
        assert_eq!(subscription.try_recv().unwrap().payload[0], n);
    }
    assert!(subscription.try_recv().is_none());
}

async fn a_full_queue_keeps_the_beginning(bus: Arc<dyn Bus>) {
    let queue = QueueConfig { max_items: 100, max_bytes: 35, overflow: Overflow::DropNewest };
    let mut subscription = fill(&*bus, queue, 10).await;
    assert_eq!(subscription.stats().dropped, 7);
    for n in 0..3 {
        assert_eq!(subscription.try_recv().unwrap().payload[0], n);
    }
    assert!(subscription.try_recv().is_none());
}

async fn a_payload_larger_than_the_queue_is_counted(bus: Arc<dyn Bus>) {
    let queue = QueueConfig { max_items: 4, max_bytes: 9, overflow: Overflow::DropOldest };
    let mut subscription = fill(&*bus, queue, 1).await;
    assert_eq!(subscription.stats().oversized, 1);
    assert_eq!(subscription.stats().dropped, 1);
    assert!(subscription.try_recv().is_none());
}

async fn dropping_a_subscription_unsubscribes(bus: Arc<dyn Bus>) {
    let topic = topic("drop");
    let first = bus.subscribe(&topic, QueueConfig::default()).await.unwrap();
    let mut second = bus.subscribe(&topic, QueueConfig::default()).await.unwrap();
    second.close();
    until("the closed one ends", async || {
        bus.publish(&topic, Bytes::new()).await.unwrap() == Receivers::Known(1)
    })
    .await;
    drop(first);
    until("the dropped one ends", async || {
        bus.publish(&topic, Bytes::new()).await.unwrap() == Receivers::Known(0)
    })
    .await;
}

async fn a_closed_subscription_returns_its_queued_messages(bus: Arc<dyn Bus>) {
    let mut subscription = fill(&*bus, QueueConfig::default(), 2).await;
    subscription.close();
    assert_eq!(subscription.recv().await.unwrap().payload[0], 0);
    assert_eq!(subscription.recv().await.unwrap().payload[0], 1);
    assert!(subscription.recv().await.is_none());
    assert!(subscription.recv().await.is_none());
}
