//! The content of a drawing, whatever its format: boxes, the topics and buckets between them, and Redis around them.

use std::collections::BTreeSet;

use msight_compose::terminal::cell;
use msight_node::describe::TopicUse;

use crate::graph::{Graph, Node, Topic};
use crate::server::{Server, ServerKind, UsedServer};

/// A drawing.
pub(super) struct Picture {
    /// The nodes by their ranks, the ends of topics outside the graph, and the servers.
    pub(super) boxes: Vec<DrawnBox>,
    pub(super) channels: Vec<Channel>,
    pub(super) links: Vec<Link>,
    /// The Redis that all nodes use. If they use several, these are boxes.
    pub(super) bus: Option<Bus>,
}

pub(super) struct DrawnBox {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) role: Role,
}

impl DrawnBox {
    /// The text without the prefix of MSight's programs, where there is little room.
    pub(super) fn short_text(&self) -> &str {
        match self.role {
            Role::Node(_) => self.text.strip_prefix("msight_launch_").unwrap_or(&self.text),
            _ => &self.text,
        }
    }

    fn is_server(&self) -> bool {
        matches!(self.role, Role::Server(_))
    }
}

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A node, with its rank in the graph.
    Node(usize),
    /// A service that is meant as a node and cannot be read.
    Unreadable,
    /// Writers or readers outside the graph.
    Outside,
    /// The publisher that a topic lacks.
    Missing,
    /// A server.
    Server(ServerKind),
}

/// A topic or a bucket, with the boxes at both ends.
pub(super) struct Channel {
    pub(super) name: String,
    /// The message type without its module path, or `bucket`.
    pub(super) text: String,
    pub(super) kind: ChannelKind,
    pub(super) writers: BTreeSet<usize>,
    pub(super) readers: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelKind {
    Topic,
    Bucket,
}

/// A connection without a name, such as the one from a camera to its source.
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Whether data flows only from `from` to `to`.
    pub(super) is_directed: bool,
}

/// The Redis that carries all topics.
pub(super) struct Bus {
    pub(super) title: String,
    pub(super) text: String,
}

impl Picture {
    /// The boxes that Redis is drawn around, with their indices: all except servers.
    pub(super) fn inside(&self) -> impl Iterator<Item = (usize, &DrawnBox)> {
        self.boxes.iter().enumerate().filter(|(_, one)| !one.is_server())
    }

    /// The servers, with their indices.
    pub(super) fn servers(&self) -> impl Iterator<Item = (usize, &DrawnBox)> {
        self.boxes.iter().enumerate().filter(|(_, one)| one.is_server())
    }

    pub(super) fn of(graph: &Graph) -> Self {
        let mut picture = Self { boxes: Vec::new(), channels: Vec::new(), links: Vec::new(), bus: None };
        let nodes = picture.add_nodes(graph);
        for (name, topic) in graph.topics() {
            picture.add_topic(graph, &nodes, name, &topic);
        }
        for service in &graph.unreadable {
            picture.add(service, "cannot be read", Role::Unreadable);
        }
        picture.add_servers(graph, &nodes);
        picture
    }

    fn add(&mut self, title: &str, text: &str, role: Role) -> usize {
        self.boxes.push(DrawnBox { title: cell(title), text: cell(text), role });
        self.boxes.len() - 1
    }

    /// Adds the nodes by their ranks, and returns the box of each node.
    fn add_nodes(&mut self, graph: &Graph) -> Vec<usize> {
        let ranks = graph.ranks();
        let mut order: Vec<usize> = (0..graph.nodes.len()).collect();
        order.sort_by_key(|at| ranks[*at]);
        let mut boxes = vec![0; graph.nodes.len()];
        for at in order {
            let node = &graph.nodes[at];
            let title = match node.instances {
                1 => node.service.value.clone(),
                count => format!("{} ×{count}", node.service.value),
            };
            boxes[at] = self.add(&title, &node.program.description().program, Role::Node(ranks[at]));
        }
        boxes
    }

    fn add_topic(&mut self, graph: &Graph, nodes: &[usize], name: &str, topic: &Topic<'_>) {
        let used = topic.writers.iter().chain(&topic.readers).find_map(|(_, used)| used.data_type.as_deref());
        let text = used.map_or("any", |name| name.rsplit('.').next().unwrap_or(name));
        let index = |node: &Node| graph.nodes.iter().position(|one| std::ptr::eq(one, node));
        let boxes = |ends: &[(&Node, &TopicUse)]| -> BTreeSet<usize> {
            ends.iter().filter_map(|(node, _)| index(node)).map(|at| nodes[at]).collect()
        };
        let (mut writers, mut readers) = (boxes(&topic.writers), boxes(&topic.readers));
        let is_external = graph.external.contains(name);
        if writers.is_empty() {
            let (title, role) =
                if is_external { ("outside", Role::Outside) } else { ("no publisher", Role::Missing) };
            writers.insert(self.add(title, "", role));
        }
        if readers.is_empty() {
            let title = if is_external { "outside" } else { "no reader" };
            readers.insert(self.add(title, "", Role::Outside));
        }
        let (name, text) = (cell(name), cell(text));
        self.channels.push(Channel { name, text, kind: ChannelKind::Topic, writers, readers });
    }

    fn add_servers(&mut self, graph: &Graph, nodes: &[usize]) {
        let bus = bus_of(graph);
        let boxes: Vec<Option<usize>> = (0..graph.servers.len())
            .map(|at| {
                let server = &graph.servers[at];
                let is_bus = bus.as_ref() == Some(&UsedServer::Service(at));
                (!is_bus).then(|| self.add(&server.service, &described(server), Role::Server(server.kind)))
            })
            .collect();
        let mut outside: Vec<(&UsedServer, usize)> = Vec::new();
        for used in graph.server_uses.iter().filter(|used| bus.as_ref() != Some(&used.server)) {
            let (server, kind) = match &used.server {
                UsedServer::Service(at) => (boxes[*at], graph.servers[*at].kind),
                UsedServer::Outside { kind, address } => {
                    let known = outside.iter().find(|(known, _)| *known == &used.server).map(|(_, at)| *at);
                    let server = known.unwrap_or_else(|| {
                        let at = self.add(address, &outside_text(*kind), Role::Server(*kind));
                        outside.push((&used.server, at));
                        at
                    });
                    (Some(server), *kind)
                }
            };
            let (Some(server), node) = (server, nodes[used.node]) else { continue };
            match (&used.bucket, kind) {
                (Some(bucket), _) => self.store(node, bucket, server),
                (None, kind) => {
                    let is_directed = kind != ServerKind::Redis;
                    self.links.push(Link { from: server, to: node, is_directed });
                }
            }
        }
        for (client, server) in &graph.server_links {
            if let (Some(from), Some(to)) = (boxes[*client], boxes[*server]) {
                self.links.push(Link { from, to, is_directed: true });
            }
        }
        self.bus = bus.map(|bus| match bus {
            UsedServer::Service(at) => {
                let server = &graph.servers[at];
                Bus { title: cell(&server.service), text: described(server) }
            }
            UsedServer::Outside { kind, address } => Bus { title: cell(&address), text: outside_text(kind) },
        });
    }

    /// Adds a node that stores in a bucket.
    fn store(&mut self, node: usize, bucket: &str, server: usize) {
        let name = cell(if bucket.is_empty() { "unnamed" } else { bucket });
        let known = self.channels.iter_mut().find(|channel| {
            channel.kind == ChannelKind::Bucket && channel.name == name && channel.readers.contains(&server)
        });
        match known {
            Some(channel) => {
                channel.writers.insert(node);
            }
            None => self.channels.push(Channel {
                name,
                text: "bucket".to_owned(),
                kind: ChannelKind::Bucket,
                writers: BTreeSet::from([node]),
                readers: BTreeSet::from([server]),
            }),
        }
    }
}

/// The Redis of all nodes, if they use the same one.
fn bus_of(graph: &Graph) -> Option<UsedServer> {
    let is_redis = |server: &&UsedServer| match server {
        UsedServer::Service(at) => graph.servers[*at].kind == ServerKind::Redis,
        UsedServer::Outside { kind, .. } => *kind == ServerKind::Redis,
    };
    let mut used = graph.server_uses.iter().map(|used| &used.server).filter(is_redis);
    let first = used.next()?;
    used.all(|other| other == first).then(|| first.clone())
}

fn described(server: &Server) -> String {
    match server.kind {
        ServerKind::Redis => format!("Redis, port {}", server.port),
        ServerKind::S3 => format!("S3 server, port {}", server.port),
        ServerKind::Rtsp => format!("RTSP server, port {}", server.port),
        ServerKind::Player => "sends a stream to an RTSP server".to_owned(),
        ServerKind::S3Client => "prepares an S3 server".to_owned(),
    }
}

fn outside_text(kind: ServerKind) -> String {
    let protocol = match kind {
        ServerKind::Redis => "Redis",
        ServerKind::S3 | ServerKind::S3Client => "S3",
        ServerKind::Rtsp | ServerKind::Player => "RTSP",
    };
    format!("{protocol}, outside the graph")
}
