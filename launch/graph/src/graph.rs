//! A graph: its nodes, the topics between them, and the servers they need.

use std::collections::{BTreeMap, BTreeSet};

use msight_compose::{Located, Place, Project};
use msight_node::describe::{Invocation, TopicUse};

use crate::catalog::Program;
use crate::server::{Server, ServerUse};

/// The graph of a project. If there are errors, it holds the services that could be read.
#[derive(Debug, Default)]
pub struct Graph {
    /// The nodes, in the order of the file.
    pub nodes: Vec<Node>,
    /// The servers that the nodes need, in the order of the file.
    pub servers: Vec<Server>,
    /// The services that are meant as nodes and whose programs cannot be read.
    pub unreadable: Vec<String>,
    /// The topics that programs outside the graph publish or read.
    pub external: BTreeSet<String>,
    /// The servers that the nodes use.
    pub(crate) server_uses: Vec<ServerUse>,
    /// The servers that prepare or feed another one: the indices of both.
    pub(crate) server_links: Vec<(usize, usize)>,
}

/// A service that is a node.
#[derive(Debug)]
pub struct Node {
    /// The name of its service.
    pub service: Located<String>,
    /// The number of instances.
    pub instances: u32,
    /// Its program.
    pub program: Program,
    /// The arguments of the program.
    pub args: Vec<Located<String>>,
    /// The variables of its service.
    pub environment: BTreeMap<String, String>,
    /// The meaning of its command line: names and topics.
    pub invocation: Invocation,
    /// [`Service::is_incomplete`](msight_compose::Service::is_incomplete)
    pub is_incomplete: bool,
}

impl Node {
    /// The place of an argument, or of the service without one.
    pub(crate) fn place(&self, argument: Option<usize>) -> Place {
        let argument = argument.and_then(|at| self.args.get(at));
        argument.map_or_else(|| self.service.place.clone(), |argument| argument.place.clone())
    }

    /// The value of a flag, by its long name: from the command line, the variables of the service, or the default.
    pub(crate) fn value_of(&self, flag: &str) -> Option<String> {
        self.program.description().value_of(flag, &self.words(), &self.environment)
    }

    /// The place where a flag gets its value: the argument, the variable, or the service.
    pub(crate) fn place_of_value(&self, flag: &str, project: &Project) -> Place {
        let description = self.program.description();
        if let Some(at) = description.position_of(flag, &self.words()) {
            return self.place(Some(at));
        }
        let variable = description.flags.iter().find(|known| known.name() == flag);
        let variable = variable.and_then(|known| known.env.as_deref());
        let service = project.service(&self.service);
        let value = variable.and_then(|name| service?.environment.get(name));
        value.map_or_else(|| self.place(None), |value| value.place.clone())
    }

    /// Its arguments.
    pub(crate) fn words(&self) -> Vec<String> {
        self.args.iter().map(|word| word.value.clone()).collect()
    }
}

/// What a graph can use beside its own services.
#[derive(Debug, Default)]
pub struct GraphContext {
    /// Variables that every node inherits: when nodes run as processes, those of this process.
    pub variables: BTreeMap<String, String>,
    /// Topics that programs outside the graph publish or read (`--external`).
    pub external: BTreeSet<String>,
    /// Whether all nodes and servers run on this machine, as with `msight up`, so that they share its ports.
    pub is_on_host: bool,
}

impl Graph {
    /// The topics with the nodes that write and read them.
    pub(crate) fn topics(&self) -> BTreeMap<&str, Topic<'_>> {
        let mut topics = BTreeMap::<&str, Topic<'_>>::new();
        for node in &self.nodes {
            for written in &node.invocation.writes {
                topics.entry(&written.topic).or_default().writers.push((node, written));
            }
            for read in &node.invocation.reads {
                topics.entry(&read.topic).or_default().readers.push((node, read));
            }
        }
        topics
    }

    /// For each node the indices of the nodes that read its topics.
    pub(crate) fn edges(&self) -> Vec<Vec<usize>> {
        let fed = |node: &Node| {
            let others = self.nodes.iter().enumerate();
            others.filter(|(_, other)| node.feeds(other)).map(|(at, _)| at).collect()
        };
        self.nodes.iter().map(fed).collect()
    }

    /// For each node the length of the longest path from a node without input. Edges that close a cycle do not count.
    pub fn ranks(&self) -> Vec<usize> {
        let edges = self.edges();
        let mut is_fed = vec![false; edges.len()];
        for (from, fed) in edges.iter().enumerate() {
            fed.iter().filter(|to| **to != from).for_each(|to| is_fed[*to] = true);
        }
        // Start a cycle at the node where it is entered, or at its first node if nothing enters it.
        let mut starts: Vec<usize> = (0..edges.len()).collect();
        starts.sort_by_key(|at| is_fed[*at]);
        let (order, steps) = forward(&starts, &edges);
        let mut ranks = vec![0; edges.len()];
        for from in order {
            for &to in &steps[from] {
                ranks[to] = ranks[to].max(ranks[from] + 1);
            }
        }
        ranks
    }
}

/// A topological order of the nodes, and the edges without those that close a cycle, by depth-first search from
/// `starts`.
fn forward(starts: &[usize], edges: &[Vec<usize>]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let (mut seen, mut on_the_way) = (vec![false; edges.len()], vec![false; edges.len()]);
    let (mut order, mut steps) = (Vec::new(), vec![Vec::new(); edges.len()]);
    for &start in starts {
        // The path to the current node. Each node has the number of its edges that are done.
        let mut way = if seen[start] { Vec::new() } else { vec![(start, 0)] };
        while let Some((at, done)) = way.last_mut() {
            let at = *at;
            (seen[at], on_the_way[at]) = (true, true);
            let Some(&to) = edges[at].get(*done) else {
                on_the_way[at] = false;
                order.push(at);
                way.pop();
                continue;
            };
            *done += 1;
            if !on_the_way[to] {
                steps[at].push(to);
            }
            if !seen[to] {
                way.push((to, 0));
            }
        }
    }
    order.reverse();
    (order, steps)
}

impl Node {
    /// Whether the other node reads a topic that this node writes.
    pub fn feeds(&self, other: &Self) -> bool {
        other.invocation.reads.iter().any(|read| self.writes(&read.topic))
    }

    /// Whether this node writes the topic.
    pub(crate) fn writes(&self, topic: &str) -> bool {
        self.invocation.writes.iter().any(|written| written.topic == topic)
    }
}

/// The nodes at the two ends of a topic.
#[derive(Debug, Default)]
pub(crate) struct Topic<'a> {
    pub(crate) writers: Vec<(&'a Node, &'a TopicUse)>,
    pub(crate) readers: Vec<(&'a Node, &'a TopicUse)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::read::read;
    use crate::tutorial::BUILT_IN;
    use msight_compose::{Options, Source};

    /// The ranks of aggregators that read and write these topics.
    async fn ranks(nodes: &[(&str, &str)]) -> Vec<usize> {
        let mut text = "services:\n".to_owned();
        for (at, (reads, writes)) in nodes.iter().enumerate() {
            text += &format!(
                "  n{at}: {{ image: x, entrypoint: [msight_launch_image_to_video_aggregator], command: '-n n{at} -st {reads} -pt {writes} --fps 1 --buffer-size 1 --overlap-size 0' }}\n"
            );
        }
        let source = Source::Text { name: "compose.yaml".into(), text };
        let project = msight_compose::read(&[source], &Options::default()).project;
        let (graph, _) = read(&project, &Catalog::new(BUILT_IN, None), &GraphContext::default()).await;
        assert_eq!(graph.nodes.len(), nodes.len());
        graph.ranks()
    }

    #[tokio::test]
    async fn a_cycle_is_as_wide_as_its_longest_path() {
        assert_eq!(ranks(&[("x", "a"), ("a", "b"), ("b", "c"), ("a", "c")]).await, [0, 1, 2, 1]);
        assert_eq!(ranks(&[("a", "b"), ("b", "c"), ("c", "a")]).await, [0, 1, 2]);
        // A cycle that is listed before the node that enters it.
        assert_eq!(ranks(&[("b", "c"), ("c", "b"), ("x", "b"), ("c", "d")]).await, [1, 2, 0, 2]);
    }
}
