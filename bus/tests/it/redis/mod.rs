//! Outages, refusals and settings of a real Redis server.

mod cluster;
mod pace;
mod registry;
mod tls;

use bytes::Bytes;
use msight_bus::{Bus, Connection, Error, QueueConfig, Receivers, RedisConfig, Subscription, Table, Topic};
use msight_test_support::bus::{connect, next, topic};
use msight_test_support::redis::RedisServer;
use msight_test_support::{eventually, free_port, until};

const PREFIX: &str = "MSIGHT_REDIS_MESSAGE_BROKER_";

fn config(variables: &[(&str, &str)]) -> RedisConfig {
    RedisConfig::from_variables(|name| {
        let name = name.strip_prefix(PREFIX)?;
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
    .unwrap()
}

/// Publishes until a message arrives, as a node that retries does.
async fn until_it_flows(bus: &dyn Bus, topic: &Topic, subscription: &mut Subscription) {
    until("messages flow again", async || {
        bus.publish(topic, Bytes::from_static(b"again"))
            .await
            .is_ok_and(|receivers| receivers != Receivers::Known(0))
    })
    .await;
    assert_eq!(next(subscription).await, "again");
}

#[tokio::test]
async fn an_absent_redis_is_reported_at_once_and_may_start_later() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let error = Connection::redis(RedisConfig::from_url(&url).unwrap()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains(&format!("{url}/0: cannot connect")), "{error}");

    let mut server = RedisServer::start(&[]);
    let bus = server.bus().await;
    server.kill();
    let error = bus.subscribe(&topic("t"), QueueConfig::default()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    server.restart();
    let mut subscription = bus.subscribe(&topic("t"), QueueConfig::default()).await.unwrap();
    until_it_flows(&*bus, &topic("t"), &mut subscription).await;
}

#[tokio::test]
async fn the_bus_reconnects_to_a_restarted_redis() {
    let mut server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("t"));
    let mut subscription = bus.subscribe(&topic, QueueConfig::default()).await.unwrap();
    bus.publish(&topic, Bytes::from_static(b"before")).await.unwrap();
    assert_eq!(next(&mut subscription).await, "before");
    server.kill();

    until("the subscriber notices", async || subscription.stats().disconnects == 1).await;
    for _ in 0..3 {
        let error = bus.publish(&topic, Bytes::from_static(b"lost")).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
    server.restart();
    until_it_flows(&*bus, &topic, &mut subscription).await;
    assert_eq!((subscription.stats().disconnects, subscription.stats().reconnects), (1, 1));
}

#[tokio::test]
async fn a_killed_subscription_reconnects() {
    let server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("t"));
    let mut subscription = bus.subscribe(&topic, QueueConfig::default()).await.unwrap();
    for round in 1..=3 {
        assert_eq!(server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]), "1");
        until_it_flows(&*bus, &topic, &mut subscription).await;
        assert_eq!(subscription.stats().reconnects, round);
    }
}

#[tokio::test]
async fn the_bus_reconnects_after_a_frozen_redis() {
    let server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("t"));
    let mut subscription = bus.subscribe(&topic, QueueConfig::default()).await.unwrap();
    server.signal("-STOP");
    let error = bus.publish(&topic, Bytes::from_static(b"x")).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("no answer within 2.0 s"), "{error}");
    until("the subscriber notices", async || subscription.stats().disconnects == 1).await;
    server.signal("-CONT");
    until("subscribed again", async || subscription.stats().reconnects == 1).await;
    until_it_flows(&*bus, &topic, &mut subscription).await;
}

#[tokio::test]
async fn a_consumer_that_stalls_is_not_disconnected() {
    let server = RedisServer::start(&[]);
    let (bus, topic) = (server.bus().await, topic("t"));
    let queue = QueueConfig { max_items: 8, ..QueueConfig::default() };
    let mut subscription = bus.subscribe(&topic, queue).await.unwrap();
    // Far more than the 32 MB at which Redis disconnects a subscriber.
    for n in 0..100u8 {
        bus.publish(&topic, vec![n; 1 << 20].into()).await.unwrap();
    }
    until("all arrive", async || subscription.stats().received == 100).await;
    assert_eq!(subscription.stats().disconnects, 0);
    assert_eq!((subscription.stats().queued, subscription.stats().dropped), (8, 92));
    assert_eq!(next(&mut subscription).await[0], 92);
}

#[tokio::test]
async fn idle_connections_that_redis_closes_are_reopened_at_once() {
    let server = RedisServer::start(&["--timeout", "1"]);
    let (Connection { bus, registry }, topic) = (server.connection().await, topic("t"));
    let mut subscription = bus.subscribe(&topic, QueueConfig::default()).await.unwrap();
    for round in 0..2 {
        // The only remaining connection is that of this command.
        let are_closed = async || server.cli(&["CLIENT", "LIST", "TYPE", "normal"]).lines().count() == 1;
        until("Redis has closed the idle connections", are_closed).await;
        registry.swap(Table::Nodes, &format!("n{round}"), None, Some("r")).await.unwrap().unwrap();
        assert_eq!(bus.publish(&topic, Bytes::from_static(b"x")).await.unwrap(), Receivers::Known(1));
        assert_eq!(next(&mut subscription).await, "x");
    }
    assert_eq!(subscription.stats().disconnects, 0);
}

#[test]
fn a_subscription_closed_by_the_output_buffer_limit_reconnects() {
    let server = RedisServer::start(&[]);
    server.cli(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1"]);
    let url = server.url();
    let (subscribed, is_subscribed) = std::sync::mpsc::channel();
    let (cut, is_cut) = std::sync::mpsc::channel();
    // A process that is too busy to read: the runtime's only thread blocks.
    let subscriber = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (bus, topic) = (connect(&url).await.bus, topic("t"));
            let mut subscription = bus.subscribe(&topic, QueueConfig::default()).await.unwrap();
            subscribed.send(()).unwrap();
            is_cut.recv().unwrap();
            until("back again", async || subscription.stats().reconnects == 1).await;
            while subscription.try_recv().is_some() {}
            until_it_flows(&*bus, &topic, &mut subscription).await;
            assert_eq!(subscription.stats().disconnects, 1);
        });
    });
    is_subscribed.recv().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bus = server.bus().await;
        until("Redis cuts it off", async || {
            bus.publish(&topic("t"), vec![0; 1 << 20].into()).await.unwrap() == Receivers::Known(0)
        })
        .await;
    });
    cut.send(()).unwrap();
    subscriber.join().unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_refused_without_showing_it() {
    let server = RedisServer::start(&["--requirepass", "richtig"]);
    let port = server.port.to_string();
    for password in [&[("PASSWORD", "geheim")][..], &[]] {
        let config = config(&[&[("HOST", "127.0.0.1"), ("PORT", &port)], password].concat());
        let error = Connection::redis(config).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("_PASSWORD") && !message.contains("geheim"), "{message}");
    }
    let Connection { bus, registry } = connect(&format!("redis://:richtig@127.0.0.1:{port}/3")).await;
    let place = format!("redis://127.0.0.1:{port}/3");
    assert_eq!((bus.describe(), registry.describe()), (place.clone(), place));
    bus.subscribe(&topic("t"), QueueConfig::default()).await.unwrap();
}

#[tokio::test]
async fn a_missing_right_is_reported() {
    let server = RedisServer::start(&[]);
    let refusal = async |rules: &str, act: Act| {
        let mut command = vec!["ACL", "SETUSER", "u", "reset", "on", ">geheim"];
        command.extend(rules.split(' '));
        assert_eq!(server.cli(&command), "OK");
        let Connection { bus, registry } =
            connect(&format!("redis://u:geheim@127.0.0.1:{}", server.port)).await;
        let topic = topic("img");
        let error = match act {
            Act::Publish => bus.publish(&topic, Bytes::new()).await.map(drop).unwrap_err(),
            Act::Subscribe => bus.subscribe(&topic, QueueConfig::default()).await.map(drop).unwrap_err(),
            Act::Read => registry.read(Table::Nodes).await.map(drop).unwrap_err(),
            Act::Swap => registry.swap(Table::Nodes, "n", None, Some("r")).await.map(drop).unwrap_err(),
        };
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(!error.to_string().contains("geheim"), "{error}");
        error.to_string()
    };
    for (rules, act, right) in [
        ("+@all ~MSIGHT:* &other", Act::Publish, "&img"),
        ("+@all ~MSIGHT:* &other", Act::Subscribe, "&img"),
        ("+@all -publish allkeys &*", Act::Publish, "+publish"),
        ("+@all -subscribe allkeys &*", Act::Subscribe, "+subscribe"),
        ("+@all ~other &*", Act::Read, "~MSIGHT:*"),
        ("+@all ~other &*", Act::Swap, "~MSIGHT:*"),
        ("+@all -eval ~MSIGHT:* &*", Act::Swap, "+eval"),
        ("+@all -hset ~MSIGHT:* &*", Act::Swap, "+hset"),
        ("+@all -hgetall ~MSIGHT:* &*", Act::Read, "+hgetall"),
    ] {
        let message = refusal(rules, act).await;
        assert!(message.contains(right), "{rules}: {message}");
    }
}

#[derive(Clone, Copy)]
enum Act {
    Publish,
    Subscribe,
    Read,
    Swap,
}

#[tokio::test]
async fn a_unix_socket_takes_precedence_over_the_address() {
    let server = RedisServer::start(&["--unixsocket", "{folder}/socket"]);
    let path = server.socket();
    let config = config(&[("UNIX_SOCKET_PATH", path.to_str().unwrap()), ("HOST", "nowhere.invalid")]);
    let Connection { bus, .. } = Connection::redis(config).await.unwrap();
    assert_eq!(bus.describe(), format!("unix://{}", path.display()));
    let mut subscription = bus.subscribe(&topic("t"), QueueConfig::default()).await.unwrap();
    until_it_flows(&*bus, &topic("t"), &mut subscription).await;
}

/// A user with only the commands and keys of the documentation.
#[tokio::test]
async fn the_documented_rights_are_sufficient() {
    let server = RedisServer::start(&[]);
    let rules = "ACL SETUSER cam reset on >p ~MSIGHT:* &img +hello +publish +subscribe +hget +hset +hdel +hgetall +eval";
    assert_eq!(server.cli(&rules.split(' ').collect::<Vec<_>>()), "OK");
    let Connection { bus, registry } = connect(&format!("redis://cam:p@127.0.0.1:{}", server.port)).await;
    let mut subscription = bus.subscribe(&topic("img"), QueueConfig::default()).await.unwrap();
    until_it_flows(&*bus, &topic("img"), &mut subscription).await;
    registry.swap(Table::Nodes, "n", None, Some("r")).await.unwrap().unwrap();
    assert_eq!(registry.read(Table::Nodes).await.unwrap().len(), 1);
}

#[tokio::test]
async fn out_of_memory_in_redis_is_transient() {
    let server = RedisServer::start(&[]);
    let registry = server.connection().await.registry;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = registry.swap(Table::Nodes, "n", None, Some("r")).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    registry.swap(Table::Nodes, "n", None, Some("r")).await.unwrap().unwrap();
    // Not transient: another program uses the key for other data.
    server.cli(&["SET", "MSIGHT:TOPICS", "x"]);
    let error = registry.read(Table::Topics).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

#[tokio::test]
async fn connections_to_a_demoted_master_are_reopened() {
    let server = RedisServer::start(&[]);
    let (Connection { bus, registry }, topic) = (server.connection().await, topic("t"));
    registry.swap(Table::Nodes, "n", None, Some("r")).await.unwrap().unwrap();
    bus.publish(&topic, Bytes::new()).await.unwrap();
    let connections = || {
        let ids = |line: &str| {
            let of =
                |command: &str| line.contains(command).then(|| line.split(' ').next().unwrap().to_owned());
            of(" cmd=eval ").or(of(" cmd=publish "))
        };
        server.cli(&["CLIENT", "LIST"]).lines().filter_map(ids).collect::<Vec<_>>()
    };
    let before = connections();
    assert_eq!(before.len(), 2, "{before:?}");

    let port = free_port().to_string();
    assert_eq!(server.cli(&["REPLICAOF", "127.0.0.1", &port]), "OK");
    let error = registry.swap(Table::Nodes, "n", Some("r"), Some("s")).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("read only replica"), "{error}");
    assert_eq!(server.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    eventually("the registry can be written again", async || {
        registry.swap(Table::Nodes, "n", Some("r"), Some("s")).await.ok()
    })
    .await
    .unwrap();
    bus.publish(&topic, Bytes::new()).await.unwrap();
    let after = connections();
    assert_eq!(after.len(), 2, "{after:?}");
    assert!(before.iter().all(|old| !after.contains(old)), "{before:?} {after:?}");
}

#[tokio::test]
async fn reset_keeps_keys_of_other_programs() {
    let server = RedisServer::start(&["--enable-debug-command", "yes"]);
    let registry = server.connection().await.registry;
    for key in ["MSIGHT", "MSIGHT:NODES", "MSIGHT other"] {
        server.cli(&["SET", key, "x"]);
    }
    for key in ["msight", "XMSIGHT"] {
        server.cli(&["SET", key, "x"]);
    }
    server.cli(&["DEBUG", "POPULATE", "5000", "other"]);
    assert_eq!(registry.reset().await.unwrap(), 3);
    assert_eq!(server.cli(&["DBSIZE"]), "5002");
}
