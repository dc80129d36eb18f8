//! `extends`: a service that inherits the settings of another service, of the same file or of another one.

use super::field::Field;
use super::merge::merge;
use super::other_files::{OtherFiles, Place};
use super::relative_paths::absolute_paths_of;
use super::yaml::{Entry, Kind, MAX_WEIGHT, Mapping, Node, Scalar, Value};
use super::{Finding, Located};
use msight_contract::suggest::closest;

/// The maximum length of a chain of `extends`.
const MAX_STEPS: usize = 16;

/// Merges the extended services into those that extend them.
pub(super) fn apply(root: &mut Node, place: Place<'_>, files: &mut OtherFiles<'_>) {
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
        if extended(&entry.value).is_none() {
            continue;
        }
        match resolve(name, &written, &mut vec![name.clone()], place, files) {
            Some(whole) => {
                weight += whole.weight();
                if weight > MAX_WEIGHT {
                    files.findings.error(
                        "too-large",
                        entry.key.place(""),
                        format!("the services exceed {} MiB with `extends` resolved", MAX_WEIGHT >> 20),
                    );
                    return;
                }
                entry.value = whole;
            }
            // What it would have inherited is unknown.
            None => {
                if let Value::Mapping(keys) = &mut entry.value.value {
                    let value = Value::Scalar(Scalar { text: String::new(), kind: Kind::Unknown });
                    let value = Node { value, at: entry.key.clone(), order: None };
                    keys.insert("<<".to_owned(), Entry { key: entry.key.clone(), value });
                }
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
fn resolve(
    name: &str,
    services: &Mapping,
    trail: &mut Vec<String>,
    place: Place<'_>,
    files: &mut OtherFiles<'_>,
) -> Option<Node> {
    let mut service = services.get(name)?.value.clone();
    let Some(extends) = extended(&service).cloned() else { return Some(service) };
    if let Value::Mapping(entries) = &mut service.value {
        entries.shift_remove("extends");
    }
    let field = Field::new(&extends, format!("services.{name}.extends"));
    let (base, file) = match &extends.value {
        Value::Mapping(_) => {
            let mut text = |key: &str| field.get(key).and_then(|field| field.text(files.findings));
            (text("service"), text("file"))
        }
        _ => (field.text(files.findings), None),
    };
    let Some(base) = base else {
        files.findings.push(
            Finding::error("missing-key", field.place(), "`service` is missing in `extends`")
                .with_help("write `extends: {service: NAME}`"),
        );
        return None;
    };
    let mut whole = match &file {
        Some(file) => {
            let folder = files.folder_of(file, place.folder);
            let tree = files.enter(file, Some(&base), place)?;
            let services = match &tree.value {
                Value::Mapping(top) => top.get("services").map(|entry| &entry.value.value),
                _ => None,
            };
            let empty = Mapping::new();
            let services = match services {
                Some(Value::Mapping(services)) => services,
                _ => &empty,
            };
            let inside = Place { folder: &folder, ..place };
            let found = known(&base, services, files)
                .and_then(|known| resolve(known, services, &mut vec![known.to_owned()], inside, files));
            files.leave();
            let mut found = found?;
            absolute_paths_of(&mut found, &folder);
            found
        }
        None => {
            let known = known(&base, services, files)?;
            if trail.iter().any(|one| one == known) || trail.len() >= MAX_STEPS {
                let message = format!("services extend each other in a cycle: {}", trail.join(" → "));
                files.findings.push(
                    Finding::error("extends-cycle", base.place, message)
                        .with_help("remove one of these `extends`"),
                );
                return None;
            }
            trail.push(known.to_owned());
            resolve(known, services, trail, place, files)?
        }
    };
    merge(&mut whole, service, &["services", name]);
    Some(whole)
}

/// The name of an extended service, if the file has it.
fn known<'a>(base: &Located<String>, services: &'a Mapping, files: &mut OtherFiles<'_>) -> Option<&'a str> {
    if let Some((known, _)) = services.get_key_value(base.as_str()) {
        return Some(known);
    }
    let message = format!("`extends` names unknown service `{}`", **base);
    let finding = Finding::error("unknown-service", base.place.clone(), message);
    let near = closest(base, services.keys().map(String::as_str));
    files.findings.push(match near {
        Some(near) => finding.with_help(format!("did you mean `{near}`?")),
        None => finding
            .with_help("name a service of the same file, or its file: `extends: {file: …, service: …}`"),
    });
    None
}
