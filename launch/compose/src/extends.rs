//! `extends`: a service that inherits the settings of another service in the same file.

use super::field::Field;
use super::finding::Findings;
use super::merge::merge;
use super::yaml::{MAX_WEIGHT, Mapping, Node, Value};
use super::{AS_ONE_FILE, Finding};
use crate::suggest::closest;

/// The maximum length of a chain of `extends`.
const MAX_STEPS: usize = 16;

/// Merges the extended services into those that extend them.
pub(super) fn apply(root: &mut Node, findings: &mut Findings) {
    let Value::Mapping(top) = &mut root.value else { return };
    let Some(Value::Mapping(services)) = top.get_mut("services").map(|entry| &mut entry.value.value) else {
        return;
    };
    if !services.values().any(|entry| extended(&entry.value).is_some()) {
        return;
    }
    let written = services.clone();
    let mut weight = 0;
    for (name, entry) in services.iter_mut() {
        if extended(&entry.value).is_some() {
            let mut trail = vec![name.as_str()];
            if let Some(whole) = resolve(name, &written, &mut trail, findings) {
                weight += whole.weight();
                if weight > MAX_WEIGHT {
                    findings.error(
                        "too-large",
                        entry.key.place(""),
                        format!("the services exceed {} MiB with `extends` resolved", MAX_WEIGHT >> 20),
                    );
                    return;
                }
                entry.value = whole;
            }
        }
    }
}

/// The value of `extends`.
fn extended(service: &Node) -> Option<&Node> {
    match &service.value {
        Value::Mapping(entries) => entries.get("extends").map(|entry| &entry.value),
        _ => None,
    }
}

/// The service merged with the services that it extends.
fn resolve<'a>(
    name: &str,
    services: &'a Mapping,
    trail: &mut Vec<&'a str>,
    findings: &mut Findings,
) -> Option<Node> {
    let mut service = services.get(name)?.value.clone();
    let Some(extends) = extended(&service).cloned() else { return Some(service) };
    if let Value::Mapping(entries) = &mut service.value {
        entries.shift_remove("extends");
    }
    let field = Field::new(&extends, format!("services.{name}.extends"));
    let base = match &extends.value {
        Value::Mapping(entries) => {
            if let Some(file) = entries.get("file") {
                findings.push(
                    Finding::error(
                        "extends-other-file",
                        Field::new(&file.value, format!("{}.file", field.path)).place(),
                        "cannot extend a service of another file",
                    )
                    .with_help(AS_ONE_FILE),
                );
                return None;
            }
            field.get("service").and_then(|field| field.text(findings))
        }
        _ => field.text(findings),
    };
    let Some(base) = base else {
        findings.push(
            Finding::error("missing-key", field.place(), "`service` is missing in `extends`")
                .with_help("write `extends: {service: NAME}`"),
        );
        return None;
    };
    let Some((known, _)) = services.get_key_value(base.as_str()) else {
        let finding = Finding::error(
            "unknown-service",
            base.place.clone(),
            format!("`extends` names unknown service `{}`", *base),
        );
        findings.push(match closest(&base, services.keys().map(String::as_str)) {
            Some(near) => finding.with_help(format!("did you mean `{near}`?")),
            None => finding,
        });
        return None;
    };
    if trail.contains(&known.as_str()) || trail.len() >= MAX_STEPS {
        findings.error(
            "extends-cycle",
            base.place,
            format!("services extend each other in a cycle: {}", trail.join(" → ")),
        );
        return None;
    }
    trail.push(known);
    let mut whole = resolve(known, services, trail, findings)?;
    merge(&mut whole, service, &["services", name]);
    Some(whole)
}
