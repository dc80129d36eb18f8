//! A bus of another crate with durable topics: it stores messages, does not report its receivers, and expects an
//! acknowledgement of each message.

use bytes::Bytes;
use msight_bus::{Bus, Overflow, QueueConfig, Receivers};
use msight_test_support::DEADLINE;
use msight_test_support::bus::{DurableBus, topic};

#[tokio::test]
async fn dropped_messages_stay_unacknowledged() {
    let (bus, topic) = (DurableBus::default(), topic("t"));
    let queue = QueueConfig { max_items: 2, overflow: Overflow::DropOldest, ..QueueConfig::default() };
    let mut subscription = bus.subscribe(&topic, queue).await.unwrap();
    for message in ["evicted", "acknowledged", "dropped"] {
        assert_eq!(
            bus.publish(&topic, Bytes::from_static(message.as_bytes())).await.unwrap(),
            Receivers::Unknown
        );
    }
    let mut next = async || tokio::time::timeout(DEADLINE, subscription.recv()).await.unwrap().unwrap();
    next().await.acknowledgement.unwrap().acknowledge();
    drop(next().await);
    bus.publish(&topic, Bytes::from_static(b"waiting")).await.unwrap();
    subscription.close();
    drop(subscription);
    assert_eq!(bus.acknowledged(), ["acknowledged"]);
}

#[tokio::test]
async fn a_panic_leaves_a_message_unacknowledged() {
    let (bus, topic) = (DurableBus::default(), topic("t"));
    let mut subscription = bus.subscribe(&topic, QueueConfig::default()).await.unwrap();
    bus.publish(&topic, Bytes::from_static(b"x")).await.unwrap();
    let delivery = subscription.try_recv().unwrap();
    let work = tokio::spawn(async move {
        let _held = delivery;
        panic!("on purpose");
    });
    assert!(work.await.unwrap_err().is_panic());
    assert!(bus.acknowledged().is_empty());
}

#[tokio::test]
async fn a_monitor_ends_with_its_subscription() {
    let (bus, topic) = (DurableBus::default(), topic("t"));
    let subscription = bus.subscribe(&topic, QueueConfig::default()).await.unwrap();
    let monitor = subscription.monitor();
    bus.publish(&topic, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(monitor.stats().unwrap().queued, 1);
    bus.end_subscriptions();
    drop(subscription);
    assert!(monitor.stats().is_none());
}
