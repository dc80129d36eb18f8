//! The names that the nodes of a graph register on Redis, where each name is unique.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::Url;

use super::names::Names;
use super::node_job;
use crate::graph::{Graph, Node};

/// The name of a node on a Redis.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RegisteredNode {
    /// The server and its database, `127.0.0.1:6379/0`.
    pub redis: String,
    /// The name of the node.
    pub name: String,
}

/// The names of the nodes that use a Redis whose address is known.
pub(super) fn nodes(graph: &Graph, names: &Names) -> BTreeSet<RegisteredNode> {
    let nodes = graph.nodes.iter().filter(|node| node.instances > 0);
    let registered = nodes.filter_map(|node| {
        Some(RegisteredNode { redis: redis(node, names)?, name: node.invocation.name.clone() })
    });
    registered.collect()
}

/// The Redis of a node, without its credentials.
fn redis(node: &Node, names: &Names) -> Option<String> {
    let url = match node.value_of("--redis-url") {
        Some(url) => names.in_argument(&url),
        None => node_job::redis_url(&names.in_environment(&node.environment))?,
    };
    let url = Url::parse(&url).ok()?;
    let host = url.host_str()?;
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let database = Some(url.path().trim_matches('/')).filter(|number| !number.is_empty()).unwrap_or("0");
    Some(format!("{host}:{}/{database}", url.port().unwrap_or(6379)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::graph::GraphContext;
    use crate::tutorial::BUILT_IN;
    use msight_compose::{Options, Source, read};

    #[tokio::test]
    async fn a_redis_is_the_same_in_every_spelling() {
        let node = "image: x, entrypoint: [msight_launch_rtsp], command: '-pt t -sn s -u rtsp://c/ -n";
        let host = "MSIGHT_REDIS_MESSAGE_BROKER_HOST";
        let text = format!(
            "services:
  redis: {{ image: redis, ports: ['7001:6379'] }}
  a: {{ {node} a', environment: {{ {host}: redis }} }}
  b: {{ {node} b', environment: {{ {host}: localhost, MSIGHT_REDIS_MESSAGE_BROKER_PORT: 7001 }} }}
  c: {{ {node} c --redis-url redis://u:geheim@127.0.0.1:7001' }}
  d: {{ {node} d --redis-url redis://redis/3' }}"
        );
        let source = Source::Text { name: "compose.yaml".into(), text };
        let project = read(&[source], &Options::default()).project;
        let catalog = Catalog::new(BUILT_IN, None);
        let (graph, _) = crate::read::read(&project, &catalog, &GraphContext::default()).await;
        let found = nodes(&graph, &Names::of(&project));
        let found: Vec<_> = found.iter().map(|one| (one.redis.as_str(), one.name.as_str())).collect();
        let (own, other) = ("127.0.0.1:7001/0", "127.0.0.1:7001/3");
        assert_eq!(found, [(own, "a"), (own, "b"), (own, "c"), (other, "d")]);
    }
}
