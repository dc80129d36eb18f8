//! Messages of a type that their reader cannot use.

use std::collections::BTreeMap;

use msight_compose::Finding;
use msight_node::describe::TopicUse;

use crate::catalog::CrashRisk;
use crate::graph::{Graph, Node};

/// Readers that accept another type than is written. Messages that crash a Python node are reported by [`python`].
pub(super) fn mismatches(graph: &Graph, findings: &mut Vec<Finding>) {
    for (name, topic) in graph.topics() {
        for (reader, read) in &topic.readers {
            let takes: Vec<&str> = read.types().collect();
            if takes.is_empty() {
                continue;
            }
            let mut others = BTreeMap::<&str, Vec<&Node>>::new();
            for (writer, written) in &topic.writers {
                let gives = written.data_type.as_deref().filter(|gives| !takes.contains(gives));
                let Some(gives) = gives else { continue };
                if reader.program.crash_risk(written, &writer.program).is_none_or(|risk| !risk.certain) {
                    others.entry(gives).or_default().push(writer);
                }
            }
            for (gives, writers) in others {
                let (service, program) = (&reader.service, &reader.program.description().program);
                let message = format!(
                    "`{}` ({program}) accepts {}, but {} {gives} on topic {name:?}",
                    **service,
                    takes.join(" or "),
                    publish(&writers),
                );
                let help = other_output(&writers, |written| {
                    written.data_type.as_deref().is_some_and(|gives| takes.contains(&gives))
                });
                let help = help.unwrap_or_else(|| {
                    let short: Vec<&str> = takes.iter().map(|name| short(name)).collect();
                    let short = short.join(" or ");
                    format!("subscribe to a topic with {short} messages; `msight graph` shows the type of each topic")
                });
                findings.push(
                    Finding::error("type-mismatch", reader.place(read.argument), message).with_help(help),
                );
            }
        }
    }
}

/// Messages that crash a Python node.
pub(super) fn python(graph: &Graph, findings: &mut Vec<Finding>) {
    for topic in graph.topics().values() {
        for (reader, read) in &topic.readers {
            let mut risks = BTreeMap::<CrashRisk, Vec<&Node>>::new();
            for (writer, written) in &topic.writers {
                if let Some(risk) = reader.program.crash_risk(written, &writer.program) {
                    risks.entry(risk).or_default().push(writer);
                }
            }
            for (CrashRisk { certain, reason }, writers) in risks {
                let (place, publish) = (reader.place(read.argument), publish(&writers));
                let message = format!(
                    "messages that {publish} can crash `{}`, a Python node: {reason}",
                    *reader.service
                );
                let finding = match certain {
                    true => Finding::error("python-crash", place, message),
                    false => Finding::warning("python-crash", place, message),
                };
                let is_readable = |written: &TopicUse| {
                    writers.iter().all(|writer| reader.program.crash_risk(written, &writer.program).is_none())
                };
                findings.push(match other_output(&writers, is_readable) {
                    Some(help) => finding.with_help(help),
                    None => finding,
                });
            }
        }
    }
}

/// The advice to subscribe to another output of a writer, if the reader can use its messages.
fn other_output(writers: &[&Node], is_usable: impl Fn(&TopicUse) -> bool) -> Option<String> {
    writers.iter().find_map(|writer| {
        let usable = writer.invocation.writes.iter().find(|written| is_usable(written))?;
        let a_type = usable.data_type.as_deref().map(short).unwrap_or_default();
        Some(format!(
            "subscribe to topic {:?}, on which `{}` publishes {a_type}",
            usable.topic, *writer.service
        ))
    })
}

/// The name of a type without its module.
fn short(data_type: &str) -> &str {
    data_type.rsplit('.').next().unwrap_or(data_type)
}

/// The subject and verb of a sentence: `a` and `b` publish.
fn publish(writers: &[&Node]) -> String {
    let services: Vec<String> = writers.iter().map(|writer| format!("`{}`", *writer.service)).collect();
    format!("{} {}", services.join(" and "), if services.len() == 1 { "publishes" } else { "publish" })
}
