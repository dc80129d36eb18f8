//! Redis in cluster mode.

use super::*;

const ENABLED: [&str; 4] = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];

async fn ready(servers: &[RedisServer]) {
    for server in servers {
        until("the cluster is ready", async || server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
            .await;
    }
}

fn nodes_variable(servers: &[RedisServer]) -> String {
    let nodes: Vec<_> = servers.iter().map(|server| format!("'127.0.0.1:{}'", server.port)).collect();
    format!("[{}]", nodes.join(", "))
}

async fn connect(servers: &[RedisServer]) -> Connection {
    let nodes = nodes_variable(servers);
    let config = config(&[("USE_CLUSTER", "yes"), ("CLUSTER_NODES", &nodes)]);
    Connection::redis(config).await.unwrap()
}

async fn check_bus_and_registry(Connection { bus, registry }: &Connection) {
    let topic = topic("t");
    // More subscriptions than nodes, so that they use different nodes.
    let mut subscriptions = Vec::new();
    for _ in 0..6 {
        subscriptions.push(bus.subscribe(&topic, QueueConfig::default()).await.unwrap());
    }
    for n in 0..20u8 {
        // A node counts its own subscribers only.
        let receivers = bus.publish(&topic, vec![n; 1000].into()).await.unwrap();
        assert_eq!(receivers, Receivers::Unknown);
    }
    for subscription in &mut subscriptions {
        for n in 0..20u8 {
            assert_eq!(next(subscription).await[0], n);
        }
    }
    for table in [Table::Nodes, Table::Topics] {
        registry.swap(table, "a", None, Some("1")).await.unwrap().unwrap();
        assert_eq!(registry.swap(table, "a", None, Some("2")).await.unwrap(), Err(Some("1".to_owned())));
        assert_eq!(registry.get(table, "a").await.unwrap().as_deref(), Some("1"));
        assert_eq!(registry.read(table).await.unwrap(), [("a".to_owned(), "1".to_owned())]);
    }
    assert_eq!(registry.reset().await.unwrap(), 2);
    assert!(registry.read(Table::Nodes).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_cluster_may_have_one_node() {
    let servers = [RedisServer::start(&ENABLED)];
    assert_eq!(servers[0].cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    ready(&servers).await;
    let port = servers[0].port.to_string();
    let config = config(&[("USE_CLUSTER", "1"), ("HOST", "127.0.0.1"), ("PORT", &port)]);
    check_bus_and_registry(&Connection::redis(config).await.unwrap()).await;
}

#[tokio::test]
async fn three_nodes_carry_every_topic() {
    let mut servers =
        [RedisServer::start(&ENABLED), RedisServer::start(&ENABLED), RedisServer::start(&ENABLED)];
    let addresses: Vec<_> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.push("--cluster-yes");
    servers[0].cli(&create);
    ready(&servers).await;
    let connection = connect(&servers).await;
    check_bus_and_registry(&connection).await;
    // A first node that is down does not keep subscriptions from connecting.
    let with_absent = format!("['127.0.0.1:1', {}", &nodes_variable(&servers)[1..]);
    let config = config(&[("USE_CLUSTER", "yes"), ("CLUSTER_NODES", &with_absent)]);
    check_bus_and_registry(&Connection::redis(config).await.unwrap()).await;

    let bus = connection.bus;
    // After a node fails, topics continue through the others.
    let topic = topic("t");
    let mut subscriptions = Vec::new();
    for _ in 0..6 {
        subscriptions.push(bus.subscribe(&topic, QueueConfig::default()).await.unwrap());
    }
    servers[1].kill();
    for subscription in &mut subscriptions {
        until("messages flow again", async || {
            let _ = bus.publish(&topic, Bytes::from_static(b"again")).await;
            subscription.stats().received > 0
        })
        .await;
        assert_eq!(next(subscription).await, "again");
    }
}
