//! Finds nodes of other graphs on a shared Redis that publish the same topics.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use msight_bus::registry::{self, NodeRecord, TopicNames};
use msight_compose::terminal::cell;
use msight_proto::unix_now;
use tokio::time::timeout;
use url::Url;

use crate::graph::Graph;

/// The time limit for reading the registry.
const PATIENCE: Duration = Duration::from_secs(3);

/// A warning for each node of another graph that publishes a topic of this graph; empty if the registry cannot be
/// read.
pub(super) async fn writers(address: SocketAddr, password: Option<&str>, graph: &Graph) -> Vec<String> {
    let Some(url) = url(address, password, graph) else { return Vec::new() };
    let asked =
        timeout(PATIENCE, async { registry::nodes(&*msight_bus::connect(Some(&url)).await?.registry).await });
    let Ok(Ok(nodes)) = asked.await else { return Vec::new() };
    let now = unix_now();
    let nodes = nodes.into_iter().filter_map(|(_, node)| node.ok());
    let nodes = nodes.filter(|node| node.staleness(now).is_none());
    nodes.flat_map(|node| clashes(&node, graph)).collect()
}

fn clashes(node: &NodeRecord, graph: &Graph) -> Vec<String> {
    // A node with the same name is refused at its start, with a message.
    if graph.nodes.iter().any(|own| own.invocation.name == node.name) {
        return Vec::new();
    }
    let written = graph.nodes.iter().flat_map(|own| &own.invocation.writes);
    let written: BTreeSet<&str> = written.map(|topic| topic.topic.as_str()).collect();
    let theirs = match &node.publish_topic {
        None => Vec::new(),
        Some(TopicNames::One(topic)) => vec![topic],
        Some(TopicNames::Many(topics)) => topics.iter().collect(),
    };
    let both = theirs.into_iter().filter(|topic| written.contains(topic.as_str()));
    both.map(|topic| {
        format!(
            "the node \"{}\" of another graph publishes {topic:?} there as well, and readers get both: give this graph a Redis of \
             its own (another published port), or other topics",
            cell(&node.name)
        )
    })
    .collect()
}

fn url(address: SocketAddr, password: Option<&str>, graph: &Graph) -> Option<String> {
    let mut url = Url::parse(&format!("redis://{address}/")).ok()?;
    url.set_password(password).ok()?;
    // All nodes of a graph use the same database.
    let number = graph.nodes.iter().find_map(|node| node.environment.get("MSIGHT_REDIS_MESSAGE_BROKER_DB"));
    url.set_path(number.map_or("0", String::as_str));
    Some(url.into())
}
