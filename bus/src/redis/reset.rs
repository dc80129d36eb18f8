//! Deletes only MSight's keys, as upstream's `msight_reset_redis` does.

use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, FromRedisValue, RedisError, Value, cmd};

use super::dialer::Link;

const PATTERN: &str = "MSIGHT*";

/// Deletes the keys that match [`PATTERN`] on each node, and returns their number. `seed` is the host of cluster nodes
/// that do not state their own.
pub(super) async fn delete_keys(link: Link, seed: &str) -> Result<u64, RedisError> {
    match link {
        Link::Server(connection) => delete_on(Node { link: Link::Server(connection), address: None }).await,
        Link::Cluster(mut connection) => {
            let mut deleted = 0;
            for address in masters(&mut connection, seed).await? {
                let link = Link::Cluster(connection.clone());
                deleted += delete_on(Node { link, address: Some(address) }).await?;
            }
            Ok(deleted)
        }
    }
}

struct Node {
    link: Link,
    /// The address of the node in a cluster.
    address: Option<(String, u16)>,
}

impl Node {
    async fn query(&mut self, command: Cmd) -> Result<Value, RedisError> {
        match (&mut self.link, &self.address) {
            (Link::Cluster(connection), Some((host, port))) => {
                let node = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                connection.route_command(command, RoutingInfo::SingleNode(node)).await
            }
            (link, _) => link.query(&command).await,
        }
    }
}

async fn delete_on(mut node: Node) -> Result<u64, RedisError> {
    let mut deleted = 0;
    let mut cursor = 0u64;
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(PATTERN).arg("COUNT").arg(1000);
        let page = node.query(scan).await?.extract_error()?;
        let (next, keys) = <(u64, Vec<Vec<u8>>)>::from_redis_value(page)?;
        for key in keys {
            // Delete one key at a time, because the keys of a node may be in different slots.
            let answer = node.query(cmd("DEL").arg(key).take()).await?.extract_error()?;
            deleted += u64::from_redis_value(answer)?;
        }
        if next == 0 {
            return Ok(deleted);
        }
        cursor = next;
    }
}

/// The nodes that hold keys, from `CLUSTER SLOTS`: `[first, last, [host, port, …], replicas…]…`. A nil or empty host is
/// that of the node that answered.
async fn masters(connection: &mut ClusterConnection, seed: &str) -> Result<Vec<(String, u16)>, RedisError> {
    let slots: Vec<Vec<Value>> = cmd("CLUSTER").arg("SLOTS").query_async(connection).await?;
    let mut masters = Vec::new();
    for range in slots {
        let Some(Value::Array(node)) = range.into_iter().nth(2) else { continue };
        let mut node = node.into_iter();
        if let (Some(host), Some(port)) = (node.next(), node.next()) {
            let host = Option::<String>::from_redis_value(host)?.filter(|host| !host.is_empty());
            let master = (host.unwrap_or_else(|| seed.to_owned()), u16::from_redis_value(port)?);
            if !masters.contains(&master) {
                masters.push(master);
            }
        }
    }
    Ok(masters)
}
