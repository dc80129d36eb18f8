//! Durable topics on a real Redis.

use std::sync::Arc;

use bytes::Bytes;
use msight_bus::{
    Acknowledgement, Backoff, Bus, Connection, Delivery, Error, GroupMember, MemoryBus, QueueConfig,
    Receivers, Subscription, Topic,
};
use msight_test_support::bus::topic;
use msight_test_support::redis::RedisServer;
use msight_test_support::{DEADLINE, eventually, until};

use super::config;

/// A server that keeps each command before it answers.
const ON_DISK: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
const STREAM: &str = "msight:durable:{t}";
const DEAD_LETTERS: &str = "msight:dead-letters:{t}";

fn member(group: &str, name: &str) -> GroupMember {
    GroupMember { group: group.to_owned(), name: name.to_owned() }
}

async fn join(bus: &dyn Bus, topic: &Topic, member: &GroupMember) -> Subscription {
    let joined = async || bus.join(topic, member, QueueConfig::default()).await.ok();
    eventually("the group is joined", joined).await
}

/// A bus with settings of its own.
async fn bus_with(server: &RedisServer, variables: &[(&str, &str)]) -> Arc<dyn Bus> {
    let port = server.port.to_string();
    let address = [("HOST", "127.0.0.1"), ("PORT", port.as_str())];
    Connection::redis(config(&[&address[..], variables].concat())).await.unwrap().bus
}

async fn publish(bus: &dyn Bus, topic: &Topic, numbers: impl IntoIterator<Item = u32>) {
    for n in numbers {
        let stored = bus.publish(topic, Bytes::from(n.to_string())).await.unwrap();
        assert_eq!(stored, Receivers::Unknown);
    }
}

async fn next(subscription: &mut Subscription) -> Delivery {
    let delivery = tokio::time::timeout(DEADLINE, subscription.recv()).await;
    delivery.expect("a message before the deadline").expect("an open subscription")
}

fn number(delivery: &Delivery) -> u32 {
    std::str::from_utf8(&delivery.payload).unwrap().parse().unwrap()
}

fn acknowledge(delivery: Delivery) {
    delivery.acknowledgement.into_iter().for_each(Acknowledgement::acknowledge);
}

async fn until_length(server: &RedisServer, key: &str, length: &str) {
    until(&format!("{key} has {length}"), async || server.cli(&["XLEN", key]) == length).await;
}

#[tokio::test]
async fn stored_messages_reach_every_group_and_are_deleted_when_all_have_acknowledged_them() {
    let server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("durable:t"));
    publish(&*bus, &topic, 0..10).await;
    let mut one = join(&*bus, &topic, &member("one", "a")).await;
    let mut two = join(&*bus, &topic, &member("two", "b")).await;
    for n in 0..10 {
        let delivery = next(&mut one).await;
        assert_eq!(number(&delivery), n);
        acknowledge(delivery);
    }
    bus.flush().await;
    assert_eq!(server.cli(&["XLEN", STREAM]), "10", "the other group has not acknowledged them");
    for n in 0..10 {
        let delivery = next(&mut two).await;
        assert_eq!(number(&delivery), n);
        acknowledge(delivery);
    }
    bus.flush().await;
    assert_eq!(server.cli(&["XLEN", STREAM]), "0");
    publish(&*bus, &topic, [10]).await;
    assert_eq!((number(&next(&mut one).await), number(&next(&mut two).await)), (10, 10));
}

#[tokio::test]
async fn unacknowledged_messages_are_delivered_again_before_new_ones() {
    let server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("durable:t"));
    publish(&*bus, &topic, 0..6).await;
    let mut reader = join(&*bus, &topic, &member("g", "a")).await;
    let mut held = Vec::new();
    for n in 0..4 {
        let delivery = next(&mut reader).await;
        assert_eq!(number(&delivery), n);
        held.push(delivery);
    }
    acknowledge(held.remove(2));
    bus.flush().await;
    // As after kill -9: nothing is released. The same name takes over at once.
    reader.close();
    std::mem::forget((reader, held));
    let other = server.bus().await;
    publish(&*other, &topic, [6]).await;
    let mut reader = join(&*other, &topic, &member("g", "a")).await;
    for n in [0, 1, 3, 4, 5, 6] {
        let delivery = next(&mut reader).await;
        assert_eq!(number(&delivery), n);
        acknowledge(delivery);
    }
    until_length(&server, STREAM, "0").await;
}

#[tokio::test]
async fn a_second_member_waits_and_takes_over() {
    let server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("durable:t"));
    let mut first = join(&*bus, &topic, &member("g", "a")).await;
    publish(&*bus, &topic, 0..2).await;
    acknowledge(next(&mut first).await);
    let unfinished = next(&mut first).await;
    let error = bus.join(&topic, &member("g", "b"), QueueConfig::default()).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("--group-id"), "{error}");
    drop((first, unfinished));
    let mut second = join(&*bus, &topic, &member("g", "b")).await;
    assert_eq!(number(&next(&mut second).await), 1);
}

#[tokio::test]
async fn a_message_that_is_dropped_unsettled_comes_again_to_a_reader_that_goes_on() {
    let server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("durable:t"));
    let mut reader = join(&*bus, &topic, &member("g", "a")).await;
    publish(&*bus, &topic, 0..2).await;
    drop(next(&mut reader).await);
    acknowledge(next(&mut reader).await);
    // A lost connection makes the reader look at once.
    until("the reader is blocked", async || server.cli(&["CLIENT", "LIST"]).contains("cmd=xreadgroup")).await;
    let list = server.cli(&["CLIENT", "LIST"]);
    let line = list.lines().find(|line| line.contains("cmd=xreadgroup")).unwrap();
    let id = line.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap();
    server.cli(&["CLIENT", "KILL", "ID", id]);
    assert_eq!(number(&next(&mut reader).await), 0);
}

#[tokio::test]
async fn nothing_is_lost_while_redis_is_killed_again_and_again() {
    const MESSAGES: u32 = 300;
    let mut server = RedisServer::start(&ON_DISK);
    let (bus, topic) = (server.bus().await, topic("durable:t"));
    let mut reader = join(&*bus, &topic, &member("g", "a")).await;
    let publishing = async {
        for n in 0..MESSAGES {
            let mut backoff = Backoff::reconnecting();
            while bus.publish(&topic, Bytes::from(n.to_string())).await.is_err() {
                tokio::time::sleep(backoff.delay()).await;
            }
        }
    };
    let reading = async {
        let (mut seen, mut kills) = (0, 0);
        while seen < MESSAGES {
            let delivery = next(&mut reader).await;
            let n = number(&delivery);
            // A message is stored twice if the answer to the publisher was lost, and delivered twice if an
            // acknowledgement was.
            assert!(n <= seen, "{n} after {seen} messages: in order and without a gap");
            seen += u32::from(n == seen);
            acknowledge(delivery);
            if seen > 50 * (kills + 1) {
                kills += 1;
                server.kill();
                server.restart();
            }
        }
        assert_eq!(kills, 5);
    };
    tokio::join!(publishing, reading);
    until_length(&server, STREAM, "0").await;
}

#[tokio::test]
async fn a_full_topic_accepts_messages_again_when_its_reader_acknowledges() {
    let server = RedisServer::start(&[]);
    let topic = topic("durable:t");
    for (variable, limit, bytes) in [("DURABLE_MAX_MESSAGES", "4", 10), ("DURABLE_MAX_MIB", "1", 250_000)] {
        server.cli(&["FLUSHALL"]);
        let bus = bus_with(&server, &[(variable, limit)]).await;
        let store = async || bus.publish(&topic, vec![b'1'; bytes].into()).await;
        for _ in 0..4 {
            store().await.unwrap();
        }
        let error = store().await.unwrap_err();
        assert!(matches!(error, Error::Full { .. }) && error.is_transient(), "{error}");
        assert!(error.to_string().contains("no group has read it"), "{error}");
        let mut reader = join(&*bus, &topic, &member("g", "a")).await;
        let delivery = next(&mut reader).await;
        let error = store().await.unwrap_err();
        assert!(error.to_string().contains("the group \"g\" has not acknowledged"), "{error}");
        acknowledge(delivery);
        bus.flush().await;
        store().await.unwrap();
        assert!(store().await.is_err());
    }
}

#[tokio::test]
async fn old_messages_expire_and_are_counted() {
    let server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("durable:t"));
    for n in 1..=2 {
        server.cli(&["XADD", STREAM, &format!("{n}-0"), "m", "old"]);
    }
    publish(&*bus, &topic, [7]).await;
    let mut reader = join(&*bus, &topic, &member("g", "a")).await;
    assert_eq!(number(&next(&mut reader).await), 7);
    assert_eq!(server.cli(&["HGET", "msight:durable-state:{t}", "expired"]), "2");
}

#[tokio::test]
async fn messages_that_cannot_be_used_are_set_aside() {
    let server = RedisServer::start(&[]);
    let bus = bus_with(&server, &[("DURABLE_MAX_DELIVERIES", "2")]).await;
    let topic = topic("durable:t");
    publish(&*bus, &topic, 0..2).await;
    let mut reader = join(&*bus, &topic, &member("g", "a")).await;
    next(&mut reader).await.acknowledgement.unwrap().reject("not a number");
    bus.flush().await;
    let letters = server.cli(&["XRANGE", DEAD_LETTERS, "-", "+"]);
    assert!(letters.contains("not a number") && letters.contains('g'), "{letters}");
    for _ in 0..2 {
        let held = next(&mut reader).await;
        assert_eq!(number(&held), 1);
        reader.close();
        std::mem::forget((reader, held));
        reader =
            join(&*bus_with(&server, &[("DURABLE_MAX_DELIVERIES", "2")]).await, &topic, &member("g", "a"))
                .await;
    }
    until_length(&server, DEAD_LETTERS, "2").await;
    let letters = server.cli(&["XRANGE", DEAD_LETTERS, "-", "+"]);
    assert!(letters.contains("delivered 2 times"), "{letters}");
    until_length(&server, STREAM, "0").await;
    publish(&*bus, &topic, [2]).await;
    assert_eq!(number(&next(&mut reader).await), 2);
}

#[tokio::test]
async fn a_small_queue_waits_and_drops_nothing() {
    let server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("durable:t"));
    publish(&*bus, &topic, 0..100).await;
    let queue = QueueConfig { max_items: 3, max_bytes: 4, ..QueueConfig::default() };
    bus.publish(&topic, Bytes::from_static(b"too large")).await.unwrap();
    publish(&*bus, &topic, [100]).await;
    let mut reader = bus.join(&topic, &member("g", "a"), queue).await.unwrap();
    for n in 0..=100 {
        let delivery = next(&mut reader).await;
        assert_eq!(number(&delivery), n);
        acknowledge(delivery);
    }
    until_length(&server, DEAD_LETTERS, "1").await;
}

#[tokio::test]
async fn a_deleted_stream_is_created_again() {
    let server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("durable:t"));
    let mut reader = join(&*bus, &topic, &member("g", "a")).await;
    server.cli(&["FLUSHALL"]);
    publish(&*bus, &topic, 0..3).await;
    for n in 0..3 {
        assert_eq!(number(&next(&mut reader).await), n);
    }
}

#[tokio::test]
async fn a_bus_without_durable_topics_refuses_them_with_the_next_step() {
    let (bus, topic) = (MemoryBus::new(), topic("durable:t"));
    for error in [
        bus.publish(&topic, Bytes::new()).await.unwrap_err(),
        bus.subscribe(&topic, QueueConfig::default()).await.unwrap_err(),
        bus.join(&topic, &member("g", "a"), QueueConfig::default()).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Invalid(_)) && error.to_string().contains("--redis-url"), "{error}");
    }
    let server = RedisServer::start(&[]);
    let bus = server.bus().await;
    assert!(bus.subscribe(&topic, QueueConfig::default()).await.is_err());
}

/// A user with only the commands and keys of the documentation.
#[tokio::test]
async fn the_documented_rights_are_sufficient_for_durable_topics() {
    let server = RedisServer::start(&[]);
    let rules = "ACL SETUSER cam reset on >p ~msight:* +hello +eval +time +exists +hget +hexists +hset +hmget +hdel \
                 +hincrby +xadd +xlen +xrange +xrevrange +xdel +xtrim +xack +xinfo +xpending +xclaim +xreadgroup +xgroup";
    assert_eq!(server.cli(&rules.split_whitespace().collect::<Vec<_>>()), "OK");
    let bus = bus_with(&server, &[("USERNAME", "cam"), ("PASSWORD", "p")]).await;
    let topic = topic("durable:t");
    publish(&*bus, &topic, [1]).await;
    let mut reader = join(&*bus, &topic, &member("g", "a")).await;
    next(&mut reader).await.acknowledgement.unwrap().reject("on purpose");
    publish(&*bus, &topic, [2]).await;
    acknowledge(next(&mut reader).await);
    bus.flush().await;
    server.cli(&["ACL", "SETUSER", "cam", "-xadd"]);
    let error = bus.publish(&topic, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains("+xadd"), "{error}");
    server.cli(&["ACL", "SETUSER", "cam", "+xadd", "resetkeys", "~other"]);
    let error = bus.publish(&topic, Bytes::new()).await.unwrap_err();
    assert!(error.to_string().contains("~msight:*"), "{error}");
}
