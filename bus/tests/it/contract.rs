//! What every bus does, memory and a real Redis alike.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use msight_bus::registry::{
    Beat, Declared, NodeRecord, Owner, Registration, RegistryError, SENSOR_DATA, Status, TopicNames, nodes,
    register_topic, resolve_topic, topics,
};
use msight_bus::{Bus, Error, MAX_MESSAGE_BYTES, MemoryBus, Overflow, Queue, Table, connect};
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
    everybody_gets_every_message
    topics_are_apart
    payloads_are_bytes
    a_message_above_the_limit_is_refused
    a_full_queue_keeps_the_latest
    a_full_queue_keeps_the_beginning
    a_payload_larger_than_the_queue_is_counted
    dropping_a_subscription_unsubscribes
    a_closed_subscription_gives_what_it_has
    swap_compares_and_sets
    swap_has_one_winner
    reset_deletes_the_registry
    a_name_has_one_owner
    a_dead_owner_is_succeeded
    a_claim_whose_answer_was_lost_can_be_made_again
    a_python_node_is_respected
    a_vanished_record_is_restored
    a_python_rewrite_is_no_loss
    a_lost_name_is_noticed_and_left
    a_malformed_record_is_in_nobodys_way
    topics_are_declared
    a_topic_record_names_the_channel
}

#[tokio::test]
async fn one_process_has_one_memory_bus_by_name() {
    let topic = topic("shared");
    let mut subscription =
        connect(Some("memory://")).await.unwrap().subscribe(&topic, Queue::default()).await.unwrap();
    let other = connect(Some("memory://")).await.unwrap();
    assert_eq!(other.publish(&topic, Bytes::from_static(b"x")).await.unwrap(), 1);
    assert_eq!(next(&mut subscription).await, "x");
    assert_eq!(MemoryBus::new().publish(&topic, Bytes::new()).await.unwrap(), 0);
    assert!(matches!(connect(Some("amqp://h")).await.err().unwrap(), Error::Invalid(_)));
}

async fn messages_arrive_in_order(bus: Arc<dyn Bus>) {
    let topic = topic("order");
    let queue = Queue { max_items: 1000, ..Queue::default() };
    let mut subscription = bus.subscribe(&topic, queue).await.unwrap();
    for n in 0..500u32 {
        assert_eq!(bus.publish(&topic, n.to_be_bytes().to_vec().into()).await.unwrap(), 1);
    }
    for n in 0..500u32 {
        assert_eq!(next(&mut subscription).await[..], n.to_be_bytes());
    }
    let stats = subscription.stats();
    assert_eq!((stats.received.load(Relaxed), stats.bytes.load(Relaxed)), (500, 2000));
    assert_eq!((stats.dropped.load(Relaxed), stats.queued.load(Relaxed)), (0, 0));
}

async fn everybody_gets_every_message(bus: Arc<dyn Bus>) {
    let topic = topic("тема \"1\"");
    let mut subscriptions = Vec::new();
    for _ in 0..3 {
        subscriptions.push(bus.subscribe(&topic, Queue::default()).await.unwrap());
    }
    assert_eq!(bus.publish(&topic, Bytes::from_static(b"one")).await.unwrap(), 3);
    for subscription in &mut subscriptions {
        assert_eq!(next(subscription).await, "one");
    }
}

async fn topics_are_apart(bus: Arc<dyn Bus>) {
    let mut subscription = bus.subscribe(&topic("a"), Queue::default()).await.unwrap();
    assert_eq!(bus.publish(&topic("b"), Bytes::from_static(b"b")).await.unwrap(), 0);
    assert_eq!(bus.publish(&topic("a*"), Bytes::from_static(b"c")).await.unwrap(), 0);
    bus.publish(&topic("a"), Bytes::from_static(b"a")).await.unwrap();
    assert_eq!(next(&mut subscription).await, "a");
    assert!(subscription.try_recv().is_none());
}

async fn payloads_are_bytes(bus: Arc<dyn Bus>) {
    let topic = topic("bytes");
    let mut subscription = bus.subscribe(&topic, Queue::default()).await.unwrap();
    let every_byte: Bytes = (0..=255).collect::<Vec<u8>>().into();
    let large: Bytes = (0..5_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into();
    for payload in [Bytes::new(), every_byte, large, Bytes::from_static(b"\r\n$-1\r\n")] {
        bus.publish(&topic, payload.clone()).await.unwrap();
        assert!(next(&mut subscription).await == payload, "{} bytes", payload.len());
    }
}

async fn a_message_above_the_limit_is_refused(bus: Arc<dyn Bus>) {
    let payload = Bytes::from(vec![0; MAX_MESSAGE_BYTES + 1]);
    let error = bus.publish(&topic("t"), payload).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

/// Publishes `0..count` and waits until all have arrived.
async fn fill(bus: &dyn Bus, queue: Queue, count: u8) -> msight_bus::Subscription {
    let topic = topic("full");
    let subscription = bus.subscribe(&topic, queue).await.unwrap();
    for n in 0..count {
        bus.publish(&topic, vec![n; 10].into()).await.unwrap();
    }
    let stats = subscription.stats();
    until("all arrive", async || stats.received.load(Relaxed) == u64::from(count)).await;
    subscription
}

async fn a_full_queue_keeps_the_latest(bus: Arc<dyn Bus>) {
    let queue = Queue { max_items: 4, max_bytes: 1000, overflow: Overflow::DropOldest };
    let mut subscription = fill(&*bus, queue, 10).await;
    let stats = subscription.stats();
    assert_eq!((stats.queued.load(Relaxed), stats.queued_bytes.load(Relaxed)), (4, 40));
    assert_eq!((stats.dropped.load(Relaxed), stats.dropped_bytes.load(Relaxed)), (6, 60));
    for n in 6..10 {
        assert_eq!(subscription.try_recv().unwrap()[0], n);
    }
    assert!(subscription.try_recv().is_none());
}

async fn a_full_queue_keeps_the_beginning(bus: Arc<dyn Bus>) {
    let queue = Queue { max_items: 100, max_bytes: 35, overflow: Overflow::DropNewest };
    let mut subscription = fill(&*bus, queue, 10).await;
    assert_eq!(subscription.stats().dropped.load(Relaxed), 7);
    for n in 0..3 {
        assert_eq!(subscription.try_recv().unwrap()[0], n);
    }
    assert!(subscription.try_recv().is_none());
}

async fn a_payload_larger_than_the_queue_is_counted(bus: Arc<dyn Bus>) {
    let queue = Queue { max_items: 4, max_bytes: 9, overflow: Overflow::DropOldest };
    let mut subscription = fill(&*bus, queue, 1).await;
    assert_eq!(subscription.stats().oversized.load(Relaxed), 1);
    assert_eq!(subscription.stats().dropped.load(Relaxed), 1);
    assert!(subscription.try_recv().is_none());
}

async fn dropping_a_subscription_unsubscribes(bus: Arc<dyn Bus>) {
    let topic = topic("drop");
    let first = bus.subscribe(&topic, Queue::default()).await.unwrap();
    let mut second = bus.subscribe(&topic, Queue::default()).await.unwrap();
    second.close();
    until("the closed one ends", async || bus.publish(&topic, Bytes::new()).await.unwrap() == 1).await;
    drop(first);
    until("the dropped one ends", async || bus.publish(&topic, Bytes::new()).await.unwrap() == 0).await;
}

async fn a_closed_subscription_gives_what_it_has(bus: Arc<dyn Bus>) {
    let mut subscription = fill(&*bus, Queue::default(), 2).await;
    subscription.close();
    assert_eq!(subscription.recv().await.unwrap()[0], 0);
    assert_eq!(subscription.recv().await.unwrap()[0], 1);
    assert!(subscription.recv().await.is_none());
    assert!(subscription.recv().await.is_none());
}

async fn swap_compares_and_sets(bus: Arc<dyn Bus>) {
    let swap = async |expected, new| bus.swap(Table::Topics, "é", expected, new).await.unwrap();
    assert_eq!(swap(Some("1"), Some("2")).await, Err(None));
    assert_eq!(swap(None, Some("1")).await, Ok(()));
    assert_eq!(swap(None, Some("2")).await, Err(Some("1".to_owned())));
    assert_eq!(swap(Some(""), Some("2")).await, Err(Some("1".to_owned())));
    assert_eq!(swap(Some("1"), Some("")).await, Ok(()));
    assert_eq!(bus.get(Table::Topics, "é").await.unwrap().as_deref(), Some(""));
    assert_eq!(swap(None, None).await, Err(Some(String::new())));
    assert_eq!(bus.read(Table::Topics).await.unwrap(), [("é".to_owned(), String::new())]);
    assert_eq!(bus.read(Table::Nodes).await.unwrap(), []);
    assert_eq!(swap(Some(""), None).await, Ok(()));
    assert_eq!(swap(None, None).await, Ok(()));
    assert_eq!(bus.get(Table::Topics, "é").await.unwrap(), None);
}

async fn swap_has_one_winner(bus: Arc<dyn Bus>) {
    let contenders = (0..20).map(|n| {
        let bus = bus.clone();
        tokio::spawn(
            async move { bus.swap(Table::Nodes, "n", None, Some(&n.to_string())).await.unwrap().is_ok() },
        )
    });
    let mut winners = 0;
    for contender in contenders.collect::<Vec<_>>() {
        winners += usize::from(contender.await.unwrap());
    }
    assert_eq!(winners, 1);
}

async fn reset_deletes_the_registry(bus: Arc<dyn Bus>) {
    assert_eq!(bus.reset().await.unwrap(), 0);
    for table in [Table::Nodes, Table::Topics] {
        bus.swap(table, "x", None, Some("y")).await.unwrap().unwrap();
    }
    assert_eq!(bus.reset().await.unwrap(), 2);
    assert!(bus.read(Table::Nodes).await.unwrap().is_empty());
}

fn record(name: &str) -> NodeRecord {
    let mut record = NodeRecord::new(name, "edge1".to_owned(), "RTSPSourceNode");
    record.publish_topic = Some(TopicNames::from("rtsp_topic"));
    record
}

fn elsewhere() -> Owner {
    Owner { id: "ee".into(), host: "elsewhere".into(), pid: 1, pid_namespace: "pid:[1]".into() }
}

/// In whole seconds: serde_json does not read every fraction back to the last bit.
fn now() -> f64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as f64
}

async fn put(bus: &dyn Bus, record: &NodeRecord) {
    let current = bus.get(Table::Nodes, &record.name).await.unwrap();
    let text = record.to_json().unwrap();
    bus.swap(Table::Nodes, &record.name, current.as_deref(), Some(&text)).await.unwrap().unwrap();
}

async fn stored(bus: &dyn Bus, name: &str) -> Option<NodeRecord> {
    let text = bus.get(Table::Nodes, name).await.unwrap()?;
    Some(NodeRecord::from_json(name, &text).unwrap())
}

async fn a_name_has_one_owner(bus: Arc<dyn Bus>) {
    let mut first = Registration::claim(bus.clone(), record("cam"), Owner::current()).await.unwrap();
    let found = stored(&*bus, "cam").await.unwrap();
    assert_eq!((found.status, found.publish_topic), (Status::Registered, Some("rtsp_topic".into())));
    assert!((found.last_heartbeat - now()).abs() < 10.0);

    let refusal = Registration::claim(bus.clone(), record("cam"), Owner::current()).await.err().unwrap();
    let message = refusal.to_string();
    assert!(matches!(refusal, RegistryError::Held { .. }), "{message}");
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");

    assert_eq!(first.heartbeat(Status::Running).await.unwrap(), Beat::Kept);
    assert_eq!(stored(&*bus, "cam").await.unwrap().status, Status::Running);
    assert_eq!(nodes(&*bus).await.unwrap().len(), 1);
    first.release().await.unwrap();
    assert_eq!(stored(&*bus, "cam").await, None);
    Registration::claim(bus.clone(), record("cam"), Owner::current()).await.unwrap();
}

async fn a_dead_owner_is_succeeded(bus: Arc<dyn Bus>) {
    // Silent for too long, elsewhere.
    let old = NodeRecord { owner: Some(elsewhere()), last_heartbeat: now() - 16.0, ..record("cam") };
    put(&*bus, &old).await;
    Registration::claim(bus.clone(), record("cam"), Owner::current()).await.unwrap();
    // Killed a moment ago, here: a child that has ended and been waited for.
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let killed = Owner { pid: child.id(), ..Owner::current() };
    put(&*bus, &NodeRecord { owner: Some(killed), last_heartbeat: now(), ..record("cam") }).await;
    Registration::claim(bus.clone(), record("cam"), Owner::current()).await.unwrap();
    // Alive, elsewhere.
    let mut other = NodeRecord { owner: Some(elsewhere()), last_heartbeat: now(), ..record("cam") };
    put(&*bus, &other).await;
    let refusal = Registration::claim(bus.clone(), record("cam"), Owner::current()).await.err().unwrap();
    assert!(refusal.to_string().contains("elsewhere"), "{refusal}");
    // What we do not know outlives its owner.
    other.last_heartbeat -= 100.0;
    other.extra.insert("zeta".to_owned(), 1.into());
    put(&*bus, &other).await;
    Registration::claim(bus.clone(), record("cam"), Owner::current()).await.unwrap();
    assert_eq!(stored(&*bus, "cam").await.unwrap().extra["zeta"], 1);
}

async fn a_claim_whose_answer_was_lost_can_be_made_again(bus: Arc<dyn Bus>) {
    let owner = Owner::current();
    let mut written = NodeRecord { owner: Some(owner.clone()), last_heartbeat: now(), ..record("cam") };
    written.extra.insert("zeta".to_owned(), 1.into());
    put(&*bus, &written).await;
    let mut cam = Registration::claim(bus.clone(), record("cam"), owner).await.unwrap();
    assert_eq!(cam.heartbeat(Status::Running).await.unwrap(), Beat::Kept);
    assert_eq!(stored(&*bus, "cam").await.unwrap().extra["zeta"], 1);
}

async fn a_python_node_is_respected(bus: Arc<dyn Bus>) {
    put(&*bus, &NodeRecord { last_heartbeat: now() - 50.0, ..record("cam") }).await;
    let refusal = Registration::claim(bus.clone(), record("cam"), Owner::current()).await.err().unwrap();
    let RegistryError::Held { retry_after, .. } = refusal else { panic!("{refusal}") };
    assert!((5..=10).contains(&retry_after.as_secs()), "{retry_after:?}");
    put(&*bus, &NodeRecord { last_heartbeat: now() - 61.0, ..record("cam") }).await;
    Registration::claim(bus.clone(), record("cam"), Owner::current()).await.unwrap();
}

async fn a_vanished_record_is_restored(bus: Arc<dyn Bus>) {
    let mut cam = Registration::claim(bus.clone(), record("cam"), Owner::current()).await.unwrap();
    bus.reset().await.unwrap();
    assert_eq!(cam.heartbeat(Status::Running).await.unwrap(), Beat::Restored);
    assert_eq!(cam.heartbeat(Status::Running).await.unwrap(), Beat::Kept);
    assert_eq!(stored(&*bus, "cam").await.unwrap().status, Status::Running);
    bus.reset().await.unwrap();
    cam.release().await.unwrap();
}

async fn a_python_rewrite_is_no_loss(bus: Arc<dyn Bus>) {
    let mut cam = Registration::claim(bus.clone(), record("cam"), Owner::current()).await.unwrap();
    let mut rewritten = stored(&*bus, "cam").await.unwrap();
    rewritten.status = Status::Error;
    rewritten.extra.insert("note".to_owned(), "kept".into());
    put(&*bus, &rewritten).await;
    assert_eq!(cam.heartbeat(Status::Running).await.unwrap(), Beat::Kept);
    let found = stored(&*bus, "cam").await.unwrap();
    assert_eq!((found.status.clone(), found.extra["note"].as_str()), (Status::Running, Some("kept")));
    put(&*bus, &NodeRecord { status: Status::Error, ..found }).await;
    cam.release().await.unwrap();
    assert_eq!(stored(&*bus, "cam").await, None);
}

async fn a_lost_name_is_noticed_and_left(bus: Arc<dyn Bus>) {
    let mut cam = Registration::claim(bus.clone(), record("cam"), Owner::current()).await.unwrap();
    let other = NodeRecord { owner: Some(elsewhere()), last_heartbeat: now(), ..record("cam") };
    put(&*bus, &other).await;
    let error = cam.heartbeat(Status::Running).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Lost { .. }) && error.to_string().contains("elsewhere"),
        "{error}"
    );
    // Once that one is dead, the name is free again.
    put(&*bus, &NodeRecord { last_heartbeat: now() - 16.0, ..other.clone() }).await;
    assert_eq!(cam.heartbeat(Status::Running).await.unwrap(), Beat::Kept);
    put(&*bus, &other).await;
    cam.release().await.unwrap();
    assert_eq!(stored(&*bus, "cam").await, Some(other));
}

async fn a_malformed_record_is_in_nobodys_way(bus: Arc<dyn Bus>) {
    for table in [Table::Nodes, Table::Topics] {
        bus.swap(table, "cam", None, Some("notjson")).await.unwrap().unwrap();
    }
    assert!(nodes(&*bus).await.unwrap()[0].1.is_err());
    assert!(topics(&*bus).await.unwrap()[0].1.is_err());
    let declared = register_topic(&*bus, &topic("cam"), SENSOR_DATA).await.unwrap();
    assert!(matches!(declared, Declared::Malformed(_)));
    assert_eq!(resolve_topic(&*bus, &topic("cam")).await.unwrap(), topic("cam"));
    let mut cam = Registration::claim(bus.clone(), record("cam"), Owner::current()).await.unwrap();
    let text = bus.get(Table::Nodes, "cam").await.unwrap();
    bus.swap(Table::Nodes, "cam", text.as_deref(), Some("{}")).await.unwrap().unwrap();
    assert_eq!(cam.heartbeat(Status::Running).await.unwrap(), Beat::Kept);
}

async fn topics_are_declared(bus: Arc<dyn Bus>) {
    const IMAGE: &str = "msight_core.data.image.ImageData";
    let name = topic("img");
    assert_eq!(register_topic(&*bus, &name, SENSOR_DATA).await.unwrap(), Declared::Created);
    assert_eq!(register_topic(&*bus, &name, IMAGE).await.unwrap(), Declared::Upgraded);
    assert_eq!(register_topic(&*bus, &name, IMAGE).await.unwrap(), Declared::Unchanged);
    let mismatch = register_topic(&*bus, &name, "msight_core.data.video.VideoData").await.unwrap();
    assert_eq!(mismatch, Declared::Mismatch { registered: IMAGE.to_owned() });
    assert_eq!(
        bus.get(Table::Topics, "img").await.unwrap().unwrap(),
        r#"{"name": "img", "description": null, "data_type": "msight_core.data.image.ImageData"}"#
    );
}

async fn a_topic_record_names_the_channel(bus: Arc<dyn Bus>) {
    assert_eq!(resolve_topic(&*bus, &topic("a")).await.unwrap(), topic("a"));
    let text = r#"{"name": "other", "description": null, "data_type": "x"}"#;
    bus.swap(Table::Topics, "a", None, Some(text)).await.unwrap().unwrap();
    assert_eq!(resolve_topic(&*bus, &topic("a")).await.unwrap(), topic("other"));
    bus.swap(Table::Topics, "a", Some(text), Some(&text.replace("other", "o\\n"))).await.unwrap().unwrap();
    assert_eq!(resolve_topic(&*bus, &topic("a")).await.unwrap(), topic("a"));
}
