//! The graph of a project: its nodes, the topics between them, and the servers they need.
//!
//! A service is a node if the first word of its command line is a node program. The program's description tells which
//! topics it reads and writes. Two nodes are connected if they name the same topic.

mod check;
mod draw;
mod server;
mod spelling;

use std::collections::{BTreeMap, BTreeSet};

use msight_node::describe::{Invocation, TopicUse};

use crate::catalog::{Catalog, NotFound, Program};
use crate::compose::{Finding, Located, Place, Project, Service};

pub use draw::{Format, draw};
pub(crate) use server::values_of;
pub use server::{Server, ServerKind};

/// The graph of a project. If there are errors, it holds the services that could be read.
#[derive(Debug, Default)]
pub struct Graph {
    /// The nodes, in the order of the file.
    pub nodes: Vec<Node>,
    /// The servers that the nodes need, in the order of the file.
    pub servers: Vec<Server>,
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
    /// [`Service::is_incomplete`]
    pub is_incomplete: bool,
}

impl Node {
    /// The place of an argument, or of the service if there is none.
    fn place(&self, argument: Option<usize>) -> Place {
        let argument = argument.and_then(|at| self.args.get(at));
        argument.map_or_else(|| self.service.place.clone(), |argument| argument.place.clone())
    }
}

/// What a graph can use beside its own services.
#[derive(Debug, Default)]
pub struct GraphContext {
    /// Variables that every node inherits: when nodes run as processes, those of this process.
    pub variables: BTreeMap<String, String>,
    /// Topics that programs outside the graph publish or read (`--external`).
    pub external: BTreeSet<String>,
}

/// Reads the graph of a project and checks it.
pub async fn read(project: &Project, catalog: &Catalog, context: &GraphContext) -> (Graph, Vec<Finding>) {
    let (mut graph, mut findings) = (Graph::default(), Vec::new());
    // Unconnected topics are not reported if a service is unreadable: it may hold the other end.
    let mut all_read = true;
    for service in project.active() {
        match read_service(service, catalog, context).await {
            Ok(Role::Node(node)) => graph.nodes.push(*node),
            Ok(Role::Server(server)) => graph.servers.push(server),
            Err(finding) => {
                all_read = false;
                if !service.is_incomplete {
                    findings.push(finding);
                }
            }
        }
    }
    check::names(&graph, &mut findings);
    check::environment(&graph, context, &mut findings);
    check::types(&graph, &mut findings);
    check::python(&graph, &mut findings);
    check::writers(&graph, &mut findings);
    check::cycles(&graph, &mut findings);
    check::keys(&graph, &mut findings);
    spelling::check(project, &graph, &mut findings);
    if all_read {
        check::loose_ends(&graph, context, &mut findings);
    }
    (graph, findings)
}

/// The help for a service that is neither a node nor a known server.
const LEFT_OUT: &str =
    "if it is not part of the graph, give it a profile that is not enabled: profiles: [other]";

enum Role {
    Node(Box<Node>),
    Server(Server),
}

async fn read_service(service: &Service, catalog: &Catalog, context: &GraphContext) -> Result<Role, Finding> {
    if let Some(server) = Server::of(service) {
        return Ok(Role::Server(server));
    }
    let words: Vec<&Located<String>> = service.command_line().collect();
    let Some((name, args)) = words.split_first().filter(|(name, _)| !name.starts_with('-')) else {
        return Err(Finding::error(
            "no-program",
            service.name.place.clone(),
            format!("service `{}` names no program: the command is left to the image", *service.name),
        )
        .with_help(format!("for a node, set entrypoint: [\"msight_launch_…\"]; {LEFT_OUT}")));
    };
    let program = catalog.find(name).await.map_err(|reason| not_found(name, &reason))?;
    let args: Vec<Located<String>> = args.iter().map(|word| (*word).clone()).collect();
    let environment: BTreeMap<String, String> =
        service.environment.iter().map(|(name, value)| (name.to_owned(), value.value.clone())).collect();
    let mut all = context.variables.clone();
    all.extend(environment.clone());
    let plain: Vec<String> = args.iter().map(|word| word.value.clone()).collect();
    let invocation = program.understand(&plain, &all).await.map_err(|mistake| {
        let argument = mistake.argument.and_then(|at| args.get(at)).map(|word| word.place.clone());
        let variable = mistake.variable.as_deref().and_then(|name| service.environment.get(name));
        let place = argument.or_else(|| variable.map(|value| value.place.clone()));
        let message = format!("{}: {}", program.description().program, mistake.message);
        let finding =
            Finding::error("invalid-arguments", place.unwrap_or_else(|| name.place.clone()), message);
        match mistake.help {
            Some(help) => finding.with_help(help),
            None => finding,
        }
    })?;
    let is_incomplete = service.is_incomplete;
    let (service, instances) = (service.name.clone(), service.replicas);
    Ok(Role::Node(Box::new(Node {
        service,
        instances,
        program,
        args,
        environment,
        invocation,
        is_incomplete,
    })))
}

fn not_found(name: &Located<String>, reason: &NotFound) -> Finding {
    let code = match reason {
        NotFound::Unknown { .. } => "unknown-program",
        NotFound::NotANode { .. } => "not-a-node",
        NotFound::Broken { .. } => "broken-program",
    };
    let finding = Finding::error(code, name.place.clone(), reason.to_string());
    match reason {
        NotFound::Unknown { near: Some(near), .. } => finding.with_help(format!("did you mean {near}?")),
        NotFound::Unknown { .. } => finding.with_help(format!(
            "install it on the PATH (`msight nodes` lists the available programs); {LEFT_OUT}"
        )),
        NotFound::NotANode { .. } => finding.with_help(format!(
            "a node program answers --describe, as every program built with msight_node does; {LEFT_OUT}"
        )),
        NotFound::Broken { .. } => finding,
    }
}

impl Graph {
    /// The topics with the nodes that write and read them.
    fn topics(&self) -> BTreeMap<&str, Topic<'_>> {
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
    fn edges(&self) -> Vec<Vec<usize>> {
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
        let reads =
            |written: &TopicUse| other.invocation.reads.iter().any(|read| read.topic == written.topic);
        self.invocation.writes.iter().any(reads)
    }
}

/// The nodes at the two ends of a topic.
#[derive(Debug, Default)]
struct Topic<'a> {
    writers: Vec<(&'a Node, &'a TopicUse)>,
    readers: Vec<(&'a Node, &'a TopicUse)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::BUILT_IN;
    use crate::compose::{Options, Source};

    /// The ranks of aggregators that read and write these topics.
    async fn ranks(nodes: &[(&str, &str)]) -> Vec<usize> {
        let mut text = "services:\n".to_owned();
        for (at, (reads, writes)) in nodes.iter().enumerate() {
            text += &format!(
                "  n{at}: {{ image: x, entrypoint: [msight_launch_image_to_video_aggregator], command: '-n n{at} -st {reads} -pt {writes} --fps 1 --buffer-size 1 --overlap-size 0' }}\n"
            );
        }
        let source = Source::Text { name: "compose.yaml".into(), text };
        let project = crate::compose::read(&[source], &Options::default()).project;
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
