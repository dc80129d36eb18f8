//! Checks of a whole graph, one function for each kind of problem.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, VecDeque};

use msight_node::describe::DEVICE_NAME;
use msight_node::flags::Kind;

use crate::graph::{Graph, GraphContext, Node};
use crate::server::ServerKind;
use msight_compose::{Finding, Project};
use msight_contract::suggest::closest;

/// Node names that are used twice: the second node would be refused at its start.
pub(super) fn names(graph: &Graph, findings: &mut Vec<Finding>) {
    let mut holders = BTreeMap::<&str, &Node>::new();
    // A node with a mistake may have no name.
    for node in graph.nodes.iter().filter(|node| !node.invocation.name.is_empty()) {
        let name = node.invocation.name.as_str();
        let place = node.place(node.invocation.name_argument);
        if node.instances > 1 {
            findings.push(
                Finding::error(
                    "duplicate-name",
                    place.clone(),
                    format!("{} instances would share the node name {name:?}", node.instances),
                )
                .with_help(
                    "node names are unique; write one service for each instance, each with its own -n",
                ),
            );
        }
        match holders.get(name) {
            Some(holder) => findings.push(
                Finding::error(
                    "duplicate-name",
                    place,
                    format!("node name {name:?} is already used by service `{}`", *holder.service),
                )
                .with_help("node names are unique; give this node another name"),
            ),
            None => {
                holders.insert(name, node);
            }
        }
    }
}

/// Variables that a program needs to start and does not have.
pub(super) fn environment(graph: &Graph, context: &GraphContext, findings: &mut Vec<Finding>) {
    for node in graph.nodes.iter().filter(|node| !node.is_incomplete) {
        let value = |name| node.environment.get(name).or_else(|| context.variables.get(name));
        let needed = node.program.description().needs.iter();
        for variable in needed.filter(|name| value(name.as_str()).is_none_or(String::is_empty)) {
            let what = if variable == DEVICE_NAME { " (the name of this device)" } else { "" };
            findings.push(
                Finding::error(
                    "missing-variable",
                    node.service.place.clone(),
                    format!("`{}` needs the variable {variable}{what}, which is not set", *node.service),
                )
                .with_help(format!("set it in `environment` or in its `env_file`: {variable}=…")),
            );
        }
    }
}

/// Sources that publish the same sensor on the same topic: a reader could not tell them apart.
pub(super) fn writers(graph: &Graph, findings: &mut Vec<Finding>) {
    for (name, topic) in graph.topics() {
        let mut sensors = BTreeMap::<&str, &Node>::new();
        for (writer, written) in &topic.writers {
            let invocation = &writer.invocation;
            let Some(sensor) = invocation.sensor_name.as_deref().filter(|_| invocation.reads.is_empty())
            else {
                continue;
            };
            match sensors.get(sensor) {
                Some(other) => findings.push(
                    Finding::error(
                        "duplicate-sensor",
                        writer.place(written.argument),
                        format!(
                            "service `{}` also publishes sensor {sensor:?} on topic {name:?}; readers cannot tell the two apart",
                            *other.service
                        ),
                    )
                    .with_help("give each source its own sensor name or its own topic"),
                ),
                None => {
                    sensors.insert(sensor, writer);
                }
            }
        }
    }
}

/// Nodes whose messages come back to them: each message would be multiplied without end.
pub(super) fn cycles(graph: &Graph, findings: &mut Vec<Finding>) {
    let count = graph.nodes.len();
    let edges = graph.edges();
    let mut reported = vec![false; count];
    for start in 0..count {
        if reported[start] {
            continue;
        }
        if let Some(path) = cycle_from(start, &edges) {
            let names: Vec<&str> = path.iter().map(|at| graph.nodes[*at].service.as_str()).collect();
            let node = &graph.nodes[start];
            let last = &graph.nodes[path[path.len() - 1]];
            let closing = node.invocation.reads.iter().find(|read| last.writes(&read.topic));
            let argument = closing.and_then(|read| read.argument);
            findings.push(
                Finding::error(
                    "topic-cycle",
                    node.place(argument),
                    format!(
                        "messages of `{}` come back to it: {} → {}",
                        names[0],
                        names.join(" → "),
                        names[0]
                    ),
                )
                .with_help("publish on another topic than the one that the node reads"),
            );
            path.iter().for_each(|at| reported[*at] = true);
        }
    }
}

/// The shortest path from a node back to itself, without the node at its end.
fn cycle_from(start: usize, edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(at) = next.pop_front() {
        for &to in &edges[at] {
            if to == start {
                let mut path = vec![at];
                while let Some(&before) = came_from.get(path.last()?).filter(|_| path.last() != Some(&start))
                {
                    path.push(before);
                }
                path.reverse();
                return Some(path);
            }
            if let Entry::Vacant(unseen) = came_from.entry(to) {
                unseen.insert(at);
                next.push_back(to);
            }
        }
    }
    None
}

/// Sinks that store the same messages under the same keys.
pub(super) fn keys(graph: &Graph, findings: &mut Vec<Finding>) {
    let sinks: Vec<&Node> =
        graph.nodes.iter().filter(|node| node.program.description().kind == Kind::Sink).collect();
    for (at, node) in sinks.iter().enumerate() {
        let same = sinks[..at].iter().find(|other| {
            other.program.description().program == node.program.description().program
                && without_name(other) == without_name(node)
                && other.environment == node.environment
        });
        if let Some(other) = same {
            findings.push(
                Finding::error(
                    "duplicate-sink",
                    node.service.place.clone(),
                    format!(
                        "`{}` is the same sink: each message would be stored twice under the same key",
                        *other.service
                    ),
                )
                .with_help("remove one of them, or give it another topic, bucket or prefix"),
            );
        }
    }
}

/// The arguments without the node's name.
fn without_name(node: &Node) -> Vec<&str> {
    let words = node.args.iter().enumerate();
    let others = words.filter(|(at, _)| Some(*at) != node.invocation.name_argument);
    others.map(|(_, word)| word.as_str()).collect()
}

/// Topics that are read but never written, or written but never read. `unknown`: topics that services with a mistake may
/// name.
pub(super) fn loose_ends(graph: &Graph, unknown: &BTreeSet<String>, findings: &mut Vec<Finding>) {
    let topics = graph.topics();
    let is_loose = |name: &str| !graph.external.contains(name) && !unknown.contains(name);
    let unread = || topics.iter().filter(|(name, topic)| topic.readers.is_empty() && is_loose(name));
    for (name, topic) in topics.iter().filter(|(name, topic)| topic.writers.is_empty() && is_loose(name)) {
        let near = closest(name, unread().map(|(name, _)| *name));
        let help = near.map_or_else(
            || format!("if a program outside this graph publishes it, pass --external {name}, or write x-msight: {{external: [{name}]}}"),
            |near| format!("did you mean {near:?}?"),
        );
        for (reader, read) in &topic.readers {
            findings.push(
                Finding::error(
                    "unpublished-topic",
                    reader.place(read.argument),
                    format!("no node publishes topic {name:?}"),
                )
                .with_help(help.clone()),
            );
        }
    }
    for (name, topic) in unread() {
        for (writer, written) in &topic.writers {
            findings.push(Finding::note(
                "unread-topic",
                writer.place(written.argument),
                format!("no node in this graph reads topic {name:?}"),
            ));
        }
    }
}

/// Topics outside the graph that no node uses.
pub(super) fn external(
    graph: &Graph,
    project: &Project,
    unknown: &BTreeSet<String>,
    findings: &mut Vec<Finding>,
) {
    let topics = graph.topics();
    let is_used = |name: &&String| topics.contains_key(name.as_str()) || unknown.contains(*name);
    for name in graph.external.iter().filter(|name| !is_used(name)) {
        let written = project.external.iter().find(|topic| topic.value == *name);
        let flag = if written.is_some() { "" } else { "--external: " };
        let finding = Finding::warning(
            "unused-external-topic",
            written.map(|topic| topic.place.clone()),
            format!("{flag}no node uses topic {name:?}"),
        );
        findings.push(match closest(name, topics.keys().copied()) {
            Some(near) => finding.with_help(format!("did you mean {near:?}?")),
            None => finding.with_help("remove it, or let a node publish or read this topic"),
        });
    }
}

/// The limit in bytes at which a stock Redis disconnects a subscriber (`client-output-buffer-limit pubsub`).
const OUTPUT_LIMIT: f64 = 33_554_432.0;

/// Topics on which segments that end in one moment exceed what Redis keeps for a subscriber.
pub(super) fn bursts(graph: &Graph, project: &Project, findings: &mut Vec<Finding>) {
    // A server with a limit of its own is left to its operator.
    let mut servers = graph.servers.iter().filter(|server| server.kind == ServerKind::Redis);
    let has_limit = servers.any(|server| {
        let service = project.service(&server.service);
        service.is_some_and(|service| {
            service.command_line().any(|word| word.contains("client-output-buffer-limit"))
        })
    });
    if has_limit {
        return;
    }
    for (name, topic) in graph.topics() {
        let Some((reader, read)) = topic.readers.first() else { continue };
        let sizes: Vec<f64> = topic.writers.iter().filter_map(|(writer, _)| segment_bytes(writer)).collect();
        let total: f64 = sizes.iter().sum();
        if total <= OUTPUT_LIMIT {
            continue;
        }
        findings.push(
            Finding::warning(
                "burst-exceeds-redis",
                reader.place(read.argument),
                format!(
                    "{} writers of topic {name:?} can publish {:.0} MiB at once; Redis disconnects a subscriber at {:.0} MiB by \
                     default, so the writers have to take turns, which nodes in Python do not",
                    sizes.len(),
                    total / 1_048_576.0,
                    OUTPUT_LIMIT / 1_048_576.0,
                ),
            )
            .with_help(
                "give each writer its own topic and reader, use shorter segments, or start Redis with \
                 --client-output-buffer-limit 'pubsub 256mb 64mb 60'",
            ),
        );
    }
}

/// The bytes of one segment of a node that makes some: its bitrate times the length of a segment.
fn segment_bytes(node: &Node) -> Option<f64> {
    let number = |flag: &str| node.value_of(flag)?.parse::<f64>().ok();
    let bits = bits_per_second(&node.value_of("--bitrate")?)?;
    let seconds = number("--buffer-size")? / number("--fps").filter(|fps| *fps > 0.0)?;
    Some(bits * seconds / 8.0 * f64::from(node.instances))
}

/// A bitrate such as `4M`.
fn bits_per_second(text: &str) -> Option<f64> {
    let (digits, factor) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1e3),
        (at, 'M' | 'm') => (&text[..at], 1e6),
        _ => (text, 1.0),
    };
    digits.parse::<f64>().ok().map(|number| number * factor)
}
