//! The graph that a project is: its nodes, the topics between them, and the servers around them.
//!
//! A service is a node when its first word is a program that is one; what it reads and writes, its program says itself.
//! Edges are equal names of topics.

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

/// What is known of a project's graph. After errors it is what could be understood.
#[derive(Debug, Default)]
pub struct Graph {
    /// The nodes, in the order of the file.
    pub nodes: Vec<Node>,
    /// What the nodes need around them, in the order of the file.
    pub servers: Vec<Server>,
}

/// A service that is a node.
#[derive(Debug)]
pub struct Node {
    /// The name of its service.
    pub service: Located<String>,
    /// How many instances run.
    pub instances: u32,
    /// Its program.
    pub program: Program,
    /// The arguments of the program.
    pub args: Vec<Located<String>>,
    /// The variables of its service.
    pub environment: BTreeMap<String, String>,
    /// What its command line means.
    pub invocation: Invocation,
    /// [`Service::is_guess`]
    pub is_guess: bool,
}

impl Node {
    /// Where an argument is written, else the service.
    fn place(&self, argument: Option<usize>) -> Place {
        let argument = argument.and_then(|at| self.args.get(at));
        argument.map_or_else(|| self.service.place.clone(), |argument| argument.place.clone())
    }
}

/// What the graph is read with.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Variables that every node has beside those of its service: on the host, those of this process.
    pub variables: BTreeMap<String, String>,
    /// Topics that something outside of the graph publishes or reads.
    pub external: BTreeSet<String>,
}

/// Reads the graph of a project, and says what is wrong with it.
pub async fn read(project: &Project, catalog: &Catalog, around: &Surroundings) -> (Graph, Vec<Finding>) {
    let (mut graph, mut findings) = (Graph::default(), Vec::new());
    // Not what is wrong with a topic whose other end could not be read: that is said already.
    let mut all_read = true;
    for service in project.active() {
        match read_service(service, catalog, around).await {
            Ok(Role::Node(node)) => graph.nodes.push(*node),
            Ok(Role::Server(server)) => graph.servers.push(server),
            Err(finding) => {
                all_read = false;
                if !service.is_guess {
                    findings.push(finding);
                }
            }
        }
    }
    check::names(&graph, &mut findings);
    check::environment(&graph, around, &mut findings);
    check::types(&graph, &mut findings);
    check::python(&graph, &mut findings);
    check::writers(&graph, &mut findings);
    check::cycles(&graph, &mut findings);
    check::keys(&graph, &mut findings);
    spelling::check(project, &graph, &mut findings);
    if all_read {
        check::loose_ends(&graph, around, &mut findings);
    }
    (graph, findings)
}

/// The way out where a service is neither a node nor a server that nodes need.
const LEFT_OUT: &str =
    "a service that is none is left out by a profile that is not chosen: profiles: [other]";

enum Role {
    Node(Box<Node>),
    Server(Server),
}

async fn read_service(service: &Service, catalog: &Catalog, around: &Surroundings) -> Result<Role, Finding> {
    if let Some(server) = Server::of(service) {
        return Ok(Role::Server(server));
    }
    let words: Vec<&Located<String>> = service.command_line().collect();
    let Some((name, args)) = words.split_first().filter(|(name, _)| !name.starts_with('-')) else {
        return Err(Finding::error(
            service.name.place.clone(),
            format!("which program `{}` runs is not said: the file leaves it to the image", *service.name),
        )
        .with_help(format!("a node names it: entrypoint: [\"msight_launch_…\"]; {LEFT_OUT}")));
    };
    let program = catalog.find(name).await.map_err(|reason| no_program(name, &reason))?;
    let args: Vec<Located<String>> = args.iter().map(|word| (*word).clone()).collect();
    let environment: BTreeMap<String, String> =
        service.environment.iter().map(|(name, value)| (name.to_owned(), value.value.clone())).collect();
    let mut all = around.variables.clone();
    all.extend(environment.clone());
    let plain: Vec<String> = args.iter().map(|word| word.value.clone()).collect();
    let invocation = program.understand(&plain, &all).await.map_err(|mistake| {
        let argument = mistake.argument.and_then(|at| args.get(at)).map(|word| word.place.clone());
        let variable = mistake.variable.as_deref().and_then(|name| service.environment.get(name));
        let place = argument.or_else(|| variable.map(|value| value.place.clone()));
        let message = format!("{}: {}", program.description().program, mistake.message);
        let finding = Finding::error(place.unwrap_or_else(|| name.place.clone()), message);
        match mistake.help {
            Some(help) => finding.with_help(help),
            None => finding,
        }
    })?;
    let is_guess = service.is_guess;
    let (service, instances) = (service.name.clone(), service.replicas);
    Ok(Role::Node(Box::new(Node { service, instances, program, args, environment, invocation, is_guess })))
}

fn no_program(name: &Located<String>, reason: &NotFound) -> Finding {
    let finding = Finding::error(name.place.clone(), reason.to_string());
    match reason {
        NotFound::Unknown { near: Some(near), .. } => finding.with_help(format!("did you mean {near}?")),
        NotFound::Unknown { .. } => finding.with_help(format!(
            "install it on the PATH; `msight nodes` lists the programs that there are; {LEFT_OUT}"
        )),
        NotFound::NotANode { .. } => finding.with_help(format!(
            "a node answers --describe, as all that are built with the kit do; {LEFT_OUT}"
        )),
        NotFound::Broken { .. } => finding,
    }
}

impl Graph {
    /// The topics with the nodes at their ends: writers, then readers, each with how it uses the topic.
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

    /// For each node the nodes that a topic leads to, by their places.
    fn edges(&self) -> Vec<Vec<usize>> {
        let fed = |node: &Node| {
            let others = self.nodes.iter().enumerate();
            others.filter(|(_, other)| node.feeds(other)).map(|(at, _)| at).collect()
        };
        self.nodes.iter().map(fed).collect()
    }

    /// For each node the steps from a node without input, the longest way. A topic that leads back into a cycle is no
    /// step.
    pub fn ranks(&self) -> Vec<usize> {
        let edges = self.edges();
        let mut is_fed = vec![false; edges.len()];
        for (from, fed) in edges.iter().enumerate() {
            fed.iter().filter(|to| **to != from).for_each(|to| is_fed[*to] = true);
        }
        // A cycle begins where it is entered, one that nothing enters at its first node.
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

/// An order in which every edge leads forward, and the edges but for those that lead back into a cycle, as a search in
/// depth from these starts finds them.
fn forward(starts: &[usize], edges: &[Vec<usize>]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let (mut seen, mut on_the_way) = (vec![false; edges.len()], vec![false; edges.len()]);
    let (mut order, mut steps) = (Vec::new(), vec![Vec::new(); edges.len()]);
    for &start in starts {
        // The way to where the search is, each node with how many of its edges are done.
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
    /// Whether a topic leads from this node to the other.
    pub fn feeds(&self, other: &Self) -> bool {
        let reads =
            |written: &TopicUse| other.invocation.reads.iter().any(|read| read.topic == written.topic);
        self.invocation.writes.iter().any(reads)
    }
}

/// A topic's ends.
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
        let (graph, _) = read(&project, &Catalog::new(BUILT_IN, None), &Surroundings::default()).await;
        assert_eq!(graph.nodes.len(), nodes.len());
        graph.ranks()
    }

    #[tokio::test]
    async fn a_cycle_is_as_wide_as_its_way_around() {
        assert_eq!(ranks(&[("x", "a"), ("a", "b"), ("b", "c"), ("a", "c")]).await, [0, 1, 2, 1]);
        assert_eq!(ranks(&[("a", "b"), ("b", "c"), ("c", "a")]).await, [0, 1, 2]);
        // Written before where it is entered.
        assert_eq!(ranks(&[("b", "c"), ("c", "b"), ("x", "b"), ("c", "d")]).await, [1, 2, 0, 2]);
    }
}
