//! What can be wrong with a graph whose parts are right, each kind of problem in a function of its own.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};

use msight_node::describe::DEVICE_NAME;
use msight_node::flags::Kind;

use super::{Graph, Node, Surroundings};
use crate::catalog::Hazard;
use crate::compose::Finding;
use crate::near::nearest;

/// Names that two nodes would hold: the second one would be refused at its start.
pub(super) fn names(graph: &Graph, findings: &mut Vec<Finding>) {
    let mut holders = BTreeMap::<&str, &Node>::new();
    for node in &graph.nodes {
        let name = node.invocation.name.as_str();
        let place = node.place(node.invocation.name_argument);
        if node.instances > 1 {
            findings.push(
                Finding::error(
                    place.clone(),
                    format!("{} instances would all be called {name:?}", node.instances),
                )
                .with_help("a name has one holder; write a service for each, with a name of its own"),
            );
        }
        match holders.get(name) {
            Some(holder) => findings.push(
                Finding::error(
                    place,
                    format!("the name {name:?} is that of the service `{}` already", *holder.service),
                )
                .with_help("a running node holds its name alone; give this one another"),
            ),
            None => {
                holders.insert(name, node);
            }
        }
    }
}

/// Variables that a program needs to start.
pub(super) fn environment(graph: &Graph, around: &Surroundings, findings: &mut Vec<Finding>) {
    for node in graph.nodes.iter().filter(|node| !node.is_guess) {
        let value = |name| node.environment.get(name).or_else(|| around.variables.get(name));
        let needed = node.program.description().needs.iter();
        for variable in needed.filter(|name| value(name.as_str()).is_none_or(String::is_empty)) {
            let what = if variable == DEVICE_NAME { ", the name of this device" } else { "" };
            findings.push(
                Finding::error(
                    node.service.place.clone(),
                    format!(
                        "`{}` has no variable {variable}{what}, and does not start without",
                        *node.service
                    ),
                )
                .with_help(format!("environment: {{ {variable}: … }}, or in its env_file")),
            );
        }
    }
}

/// Readers of a topic that take another type than is written. What ends a Python node is said by [`python`].
pub(super) fn types(graph: &Graph, findings: &mut Vec<Finding>) {
    for (name, topic) in graph.topics() {
        for (reader, read) in &topic.readers {
            let Some(takes) = &read.data_type else { continue };
            let mut others = BTreeMap::<&str, Vec<String>>::new();
            for (writer, written) in &topic.writers {
                let gives = written.data_type.as_ref().filter(|gives| *gives != takes);
                let Some(gives) = gives else { continue };
                if reader.program.dies_of(written, &writer.program).is_none_or(|hazard| !hazard.certain) {
                    others.entry(gives).or_default().push(format!("`{}`", *writer.service));
                }
            }
            for (gives, writers) in others {
                findings.push(Finding::error(
                    reader.place(read.argument),
                    format!(
                        "{} takes {takes}, but {} {gives} on {name:?}",
                        reader.program.description().program,
                        publish(&writers),
                    ),
                ));
            }
        }
    }
}

/// Messages that end a Python node.
pub(super) fn python(graph: &Graph, findings: &mut Vec<Finding>) {
    for topic in graph.topics().values() {
        for (reader, read) in &topic.readers {
            let mut hazards = BTreeMap::<Hazard, Vec<String>>::new();
            for (writer, written) in &topic.writers {
                if let Some(hazard) = reader.program.dies_of(written, &writer.program) {
                    hazards.entry(hazard).or_default().push(format!("`{}`", *writer.service));
                }
            }
            for (Hazard { certain, reason }, writers) in hazards {
                let place = reader.place(read.argument);
                let message = format!("what {} can end this node: {reason}", publish(&writers));
                findings.push(match certain {
                    true => Finding::error(place, message),
                    false => Finding::warning(place, message),
                });
            }
        }
    }
}

/// That these services publish.
fn publish(services: &[String]) -> String {
    format!("{} {}", services.join(" and "), if services.len() == 1 { "publishes" } else { "publish" })
}

/// Sources that mix the messages of one sensor on one topic: a reader could not tell them apart.
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
                        writer.place(written.argument),
                        format!(
                            "`{}` publishes the sensor {sensor:?} on {name:?} as well, and who reads them cannot tell them apart",
                            *other.service
                        ),
                    )
                    .with_help("give each its own sensor, or its own topic"),
                ),
                None => {
                    sensors.insert(sensor, writer);
                }
            }
        }
    }
}

/// Nodes whose messages come back to them: each would be multiplied for ever.
pub(super) fn cycles(graph: &Graph, findings: &mut Vec<Finding>) {
    let count = graph.nodes.len();
    let edges = graph.edges();
    let mut said = vec![false; count];
    for start in 0..count {
        if said[start] {
            continue;
        }
        if let Some(way) = way_back(start, &edges) {
            let names: Vec<&str> = way.iter().map(|at| graph.nodes[*at].service.as_str()).collect();
            let node = &graph.nodes[start];
            let argument = node.invocation.reads.first().and_then(|read| read.argument);
            findings.push(
                Finding::error(
                    node.place(argument),
                    format!(
                        "what `{}` publishes comes back to it: {} → {}",
                        names[0],
                        names.join(" → "),
                        names[0]
                    ),
                )
                .with_help("let it publish on another topic than the one it reads"),
            );
            way.iter().for_each(|at| said[*at] = true);
        }
    }
}

/// The shortest way from a node to itself, without the return.
fn way_back(start: usize, edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(at) = next.pop_front() {
        for &to in &edges[at] {
            if to == start {
                let mut way = vec![at];
                while let Some(&before) = came_from.get(way.last()?).filter(|_| way.last() != Some(&start)) {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if let Entry::Vacant(unseen) = came_from.entry(to) {
                unseen.insert(at);
                next.push_back(to);
            }
        }
    }
    None
}

/// Nodes that store the same messages under the same keys.
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
                    node.service.place.clone(),
                    format!(
                        "this does what `{}` does: each message is stored twice, under the same key",
                        *other.service
                    ),
                )
                .with_help("remove one of them, or give it another topic, bucket or prefix"),
            );
        }
    }
}

/// The arguments but for the node's own name.
fn without_name(node: &Node) -> Vec<&str> {
    let words = node.args.iter().enumerate();
    let others = words.filter(|(at, _)| Some(*at) != node.invocation.name_argument);
    others.map(|(_, word)| word.as_str()).collect()
}

/// Topics that are read and never written.
pub(super) fn loose_ends(graph: &Graph, around: &Surroundings, findings: &mut Vec<Finding>) {
    let topics = graph.topics();
    let is_loose = |name: &str| !around.external.contains(name);
    let unread = || topics.iter().filter(|(name, topic)| topic.readers.is_empty() && is_loose(name));
    for (name, topic) in topics.iter().filter(|(name, topic)| topic.writers.is_empty() && is_loose(name)) {
        let near = nearest(name, unread().map(|(name, _)| *name));
        let help = near.map_or_else(
            || format!("if something outside of this graph publishes it, say so: --external {name}"),
            |near| format!("did you mean {near:?}?"),
        );
        for (reader, read) in &topic.readers {
            findings.push(
                Finding::error(reader.place(read.argument), format!("nobody publishes the topic {name:?}"))
                    .with_help(help.clone()),
            );
        }
    }
    for (name, topic) in unread() {
        for (writer, written) in &topic.writers {
            findings.push(Finding::note(
                writer.place(written.argument),
                format!("nobody in this graph reads {name:?}"),
            ));
        }
    }
}
