//! Relative paths of a file in another folder: they start from that file's own folder.

use std::path::Path;

use super::yaml::{Kind, Mapping, Node, Scalar, Value};

/// Makes the relative paths of all services of a file absolute.
pub(super) fn absolute_paths(tree: &mut Node, folder: &Path) {
    let Value::Mapping(top) = &mut tree.value else { return };
    if let Some(Value::Mapping(services)) = top.get_mut("services").map(|entry| &mut entry.value.value) {
        services.values_mut().for_each(|entry| absolute_paths_of(&mut entry.value, folder));
    }
}

/// Makes the relative paths of a service absolute: those of `env_file`, `volumes` and `build`.
pub(super) fn absolute_paths_of(service: &mut Node, folder: &Path) {
    let Value::Mapping(keys) = &mut service.value else { return };
    let is_relative =
        |path: &str| !path.starts_with(['/', '~']) && !path.contains("://") && !path.starts_with("git@");
    let join = |text: &mut String| {
        if !text.is_empty() && is_relative(text) {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
    };
    // The source of a volume is a path only if it begins with a dot.
    let join_source = |text: &mut String| {
        if text.starts_with('.') {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
    };
    for (key, inner) in [("env_file", "path"), ("build", "context"), ("volumes", "source")] {
        let Some(node) = keys.get_mut(key).map(|entry| &mut entry.value) else { continue };
        let items = match &mut node.value {
            Value::Sequence(items) => items.as_mut_slice(),
            _ => std::slice::from_mut(node),
        };
        for item in items {
            match &mut item.value {
                Value::Scalar(scalar) if key == "volumes" => text(scalar, join_source),
                Value::Scalar(scalar) => text(scalar, join),
                Value::Mapping(entries) if key == "volumes" => inner_text(entries, inner, join_source),
                Value::Mapping(entries) => inner_text(entries, inner, join),
                Value::Sequence(_) => {}
            }
        }
    }
}

fn inner_text(entries: &mut Mapping, key: &str, change: impl Fn(&mut String)) {
    if let Some(Value::Scalar(scalar)) = entries.get_mut(key).map(|entry| &mut entry.value.value) {
        text(scalar, change);
    }
}

fn text(scalar: &mut Scalar, change: impl Fn(&mut String)) {
    if scalar.kind == Kind::Text {
        change(&mut scalar.text);
    }
}
