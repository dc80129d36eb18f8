//! Names that are probably mistyped and that no program refuses: a node would wait for a host that there is not, or run as
//! if a variable were not set.

use std::collections::BTreeSet;

use super::{Graph, Node};
use crate::compose::{Finding, Located, Project};
use crate::near::nearest;

/// What all nodes read beside the variables of their flags.
const EVERYWHERE: [&str; 15] = [
    "MSIGHT_EDGE_DEVICE_NAME",
    "MSIGHT_REDIS_MESSAGE_BROKER_HOST",
    "MSIGHT_REDIS_MESSAGE_BROKER_PORT",
    "MSIGHT_REDIS_MESSAGE_BROKER_DB",
    "MSIGHT_REDIS_MESSAGE_BROKER_USERNAME",
    "MSIGHT_REDIS_MESSAGE_BROKER_PASSWORD",
    "MSIGHT_REDIS_MESSAGE_BROKER_UNIX_SOCKET_PATH",
    "MSIGHT_REDIS_MESSAGE_BROKER_USE_TLS",
    "MSIGHT_REDIS_MESSAGE_BROKER_TLS_CA_CERT_FILE",
    "MSIGHT_REDIS_MESSAGE_BROKER_TLS_CERT_FILE",
    "MSIGHT_REDIS_MESSAGE_BROKER_TLS_KEY_FILE",
    "MSIGHT_REDIS_MESSAGE_BROKER_USE_CLUSTER",
    "MSIGHT_REDIS_MESSAGE_BROKER_CLUSTER_NODES",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
];

/// Warns of hosts that are nearly the name of a service, and of variables that are nearly one that the node reads.
pub(super) fn check(project: &Project, graph: &Graph, findings: &mut Vec<Finding>) {
    let names = project.services.iter().flat_map(|service| {
        service.aliases.iter().chain(&service.container_name).chain([&service.name]).map(|name| name.as_str())
    });
    let hosts: BTreeSet<&str> = names.chain(["localhost"]).collect();
    // A block that services share is one mistake.
    let mut said = BTreeSet::new();
    let mut warn = |at: &Located<String>, what: String, meant: &str| {
        if said.insert((at.place.to_string(), what.clone())) {
            findings
                .push(Finding::warning(at.place.clone(), what).with_help(format!("did you mean {meant}?")));
        }
    };
    for node in graph.nodes.iter().filter(|node| !node.is_guess) {
        let variables =
            project.service(&node.service).into_iter().flat_map(|service| service.environment.iter());
        let known = known(node);
        for (name, value) in variables {
            if let Some(meant) = mistyped(name, &known) {
                warn(value, format!("no program here reads the variable {name}"), meant);
            }
            let host = if name.ends_with("HOST") { Some(value.as_str()) } else { host(value) };
            if let Some((host, meant)) = host.and_then(|host| Some((host, mistyped(host, &hosts)?))) {
                warn(value, format!("no service of this file is called {host}"), meant);
            }
        }
        for word in &node.args {
            if let Some((host, meant)) = host(word).and_then(|host| Some((host, mistyped(host, &hosts)?))) {
                warn(word, format!("no service of this file is called {host}"), meant);
            }
        }
    }
}

/// The variables that a node reads.
fn known(node: &Node) -> BTreeSet<&str> {
    let description = node.program.description();
    let flags = description.flags.iter().filter_map(|flag| flag.env.as_deref());
    flags.chain(description.needs.iter().map(String::as_str)).chain(EVERYWHERE).collect()
}

/// What was probably meant by a name that is none of these.
fn mistyped<'a>(name: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    if known.contains(name) {
        return None;
    }
    // Names of variables are long, and those of one program differ by a word.
    let near = nearest(name, known.iter().copied())?;
    (name.len() < 8 || strsim::damerau_levenshtein(name, near) <= 2).then_some(near)
}

/// The host of an address, where it may be a service's name.
fn host(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    // A password may hold what otherwise ends the host.
    let rest = rest.rsplit('@').next()?;
    let host = rest.split(['/', '?', '#', ':']).next()?;
    (!host.is_empty() && !host.contains(['.', ',', '['])).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_that_may_be_services() {
        let table = [
            ("redis://user:p@/ss@rediss:6379/0", Some("rediss")),
            ("--endpoint-url=http://s4:9000", Some("s4")),
            ("rtsp://10.0.0.1/a", None),
            ("http://s3.example.org", None),
            ("redis", None),
            ("http://[::1]:9000", None),
        ];
        for (text, expected) in table {
            assert_eq!(host(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_near_is_meant_and_what_is_far_is_something_else() {
        let known = BTreeSet::from(["redis", "s3", "MSIGHT_METRICS", "MSIGHT_LOGGING_LEVEL"]);
        for (name, expected) in [
            ("rediss", Some("redis")),
            ("s4", Some("s3")),
            ("redis", None),
            ("warehouse", None),
            ("MSIGHT_METRIC", Some("MSIGHT_METRICS")),
            ("MSIGHT_LOGGING_FORMAT", None),
        ] {
            assert_eq!(mistyped(name, &known), expected, "{name}");
        }
    }
}
