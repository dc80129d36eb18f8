//! Misspelt names that no program rejects: the node would wait for a host that does not exist, or ignore a variable.

use std::collections::BTreeSet;

use crate::graph::{Graph, Node};
use msight_compose::{Finding, Located, Project};
use msight_contract::suggest::closest;

/// Variables that every node reads, beside those of its flags.
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

/// Variables of this project that no description lists.
const BESIDE_FLAGS: [&str; 5] = [
    "MSIGHT_PUBSUB_BACKEND",
    "MSIGHT_RTSP_USERNAME",
    "MSIGHT_RTSP_PASSWORD",
    "MSIGHT_STORE_ACCESS_KEY",
    "MSIGHT_STORE_SECRET_KEY",
];

/// Warns about hosts that resemble a service name, and variables that resemble one that the node reads.
pub(super) fn check(project: &Project, graph: &Graph, findings: &mut Vec<Finding>) {
    let names = project.services.iter().flat_map(|service| {
        service.aliases.iter().chain(&service.container_name).chain([&service.name]).map(|name| name.as_str())
    });
    let hosts: BTreeSet<&str> = names.chain(["localhost"]).collect();
    // A YAML anchor that several services use is reported once.
    let mut reported = BTreeSet::new();
    let mut warn = |at: &Located<String>, code: &'static str, what: String, meant: &str| {
        if reported.insert((at.place.to_string(), what.clone())) {
            findings.push(
                Finding::warning(code, at.place.clone(), what).with_help(format!("did you mean {meant}?")),
            );
        }
    };
    // Nodes may share their variables, so a variable of any of them is known.
    let anywhere: BTreeSet<&str> = graph.nodes.iter().flat_map(known).chain(BESIDE_FLAGS).collect();
    for node in graph.nodes.iter().filter(|node| !node.is_incomplete) {
        let variables =
            project.service(&node.service).into_iter().flat_map(|service| service.environment.iter());
        let known = known(node);
        for (name, value) in variables {
            if let Some(meant) = mistyped(name, &known) {
                warn(value, "unknown-variable", format!("unknown variable {name}"), meant);
            } else if name.starts_with("MSIGHT_") && !anywhere.contains(name) {
                let what = format!("unknown variable {name}: no node of this graph reads it");
                let meant = with_same_words(name, &anywhere).unwrap_or("another name, or remove it");
                warn(value, "unknown-variable", what, meant);
            }
            let host = if name.ends_with("HOST") { Some(value.as_str()) } else { host(value) };
            if let Some((host, meant)) = host.and_then(|host| Some((host, mistyped(host, &hosts)?))) {
                warn(
                    value,
                    "unknown-host",
                    format!("unknown host {host:?}: no service has this name"),
                    meant,
                );
            }
        }
        for word in &node.args {
            if let Some((host, meant)) = host(word).and_then(|host| Some((host, mistyped(host, &hosts)?))) {
                warn(word, "unknown-host", format!("unknown host {host:?}: no service has this name"), meant);
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

/// The known name that an unknown one probably stands for.
fn mistyped<'a>(name: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    if known.contains(name) {
        return None;
    }
    // Variable names are long, and those of one program may differ by a word.
    let near = closest(name, known.iter().copied())?;
    (name.len() < 8 || strsim::damerau_levenshtein(name, near) <= 2).then_some(near)
}

/// The known name that has all words of an unknown one, as MSIGHT_REDIS_MESSAGE_BROKER_HOST has those of
/// MSIGHT_REDIS_HOST.
fn with_same_words<'a>(name: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    let words = |name: &str| name.split('_').map(str::to_owned).collect::<BTreeSet<String>>();
    let written = words(name);
    let candidates = known.iter().filter(|known| words(known).is_superset(&written));
    candidates.min_by_key(|known| known.len()).copied()
}

/// The host of a URL, if it may be the name of a service.
fn host(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    // A password may contain the characters that end a host.
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
    fn only_close_names_are_suggested() {
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
