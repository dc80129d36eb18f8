//! Merges compose files, by the Compose specification ("Merge and override"): mappings are joined, lists are
//! concatenated, and other values are replaced by those of the later file.

use super::place::Span;
use super::yaml::{Entry, Kind, Mapping, MergeTag, Node, Scalar, Value};

/// How a key of a service is merged.
#[derive(Clone, Copy)]
enum Rule {
    /// Mappings are joined, lists concatenated, other values replaced.
    Join,
    /// Replaced as a whole: parts of two commands make no command.
    Replace,
    /// A mapping, or a list of `NAME=value` or of names: joined by name.
    ByName,
    /// A string or a list of strings: concatenated.
    List,
    /// A string is short for a mapping with this key.
    Under(&'static str),
}

fn rule(path: &[&str]) -> Rule {
    match path {
        ["services", _, "command" | "entrypoint"] | ["services", _, "healthcheck", "test"] => Rule::Replace,
        ["services", _, "environment" | "labels" | "annotations" | "sysctls" | "depends_on" | "networks"] => {
            Rule::ByName
        }
        ["services", _, "build", "args" | "labels"] => Rule::ByName,
        ["services", _, "env_file" | "profiles" | "dns" | "dns_search" | "tmpfs"] => Rule::List,
        ["services", _, "build"] => Rule::Under("context"),
        ["services", _, "extends"] => Rule::Under("service"),
        _ => Rule::Join,
    }
}

/// Merges `over` into `base`, a value at `path`.
pub(super) fn merge(base: &mut Node, mut over: Node, path: &[&str]) {
    let is_replaced = over.order.is_some() || base.order == Some(MergeTag::Reset) || base.is_null();
    if is_replaced {
        *base = over;
        return;
    }
    match rule(path) {
        Rule::Join => {}
        Rule::Replace => {
            *base = over;
            return;
        }
        Rule::ByName => [&mut *base, &mut over].into_iter().for_each(by_name),
        Rule::List => [&mut *base, &mut over].into_iter().for_each(list),
        Rule::Under(key) => [&mut *base, &mut over].into_iter().for_each(|node| under(node, key)),
    }
    match (&mut base.value, over.value) {
        (Value::Mapping(below), Value::Mapping(above)) => {
            for (key, entry) in above {
                match below.get_mut(&key) {
                    Some(slot) => {
                        let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                        merge(&mut slot.value, entry.value, &path);
                    }
                    None => {
                        below.insert(key, entry);
                    }
                }
            }
        }
        (Value::Sequence(below), Value::Sequence(above)) => below.extend(above),
        // A key without a value leaves the earlier value.
        (_, Value::Scalar(scalar)) if scalar.kind == Kind::Null => {}
        (below, above) => {
            *below = above;
            base.at = over.at;
        }
    }
}

/// Removes values tagged `!reset` from the tree.
pub(super) fn prune(node: &mut Node) {
    match &mut node.value {
        Value::Mapping(entries) => {
            entries.retain(|_, entry| entry.value.order != Some(MergeTag::Reset));
            entries.values_mut().for_each(|entry| prune(&mut entry.value));
        }
        Value::Sequence(items) => {
            items.retain(|item| item.order != Some(MergeTag::Reset));
            items.iter_mut().for_each(prune);
        }
        Value::Scalar(_) => {}
    }
}

/// Splits `NAME=value`; a name without `=` has the value null.
pub(super) fn assignment(text: &str, at: &Span) -> (String, Node) {
    let (name, value, kind) = match text.split_once('=') {
        Some((name, value)) => (name, value, Kind::Text),
        None => (text, "", Kind::Null),
    };
    let value = Value::Scalar(Scalar { text: value.to_owned(), kind });
    (name.to_owned(), Node { value, at: at.clone(), order: None })
}

/// Turns a list of strings into a mapping. Other values stay: the reader of the key reports them.
fn by_name(node: &mut Node) {
    let Value::Sequence(items) = &node.value else { return };
    let mut entries = Mapping::new();
    for item in items {
        let Value::Scalar(scalar) = &item.value else { return };
        let (name, value) = assignment(&scalar.text, &item.at);
        entries.insert(name, Entry { key: item.at.clone(), value });
    }
    node.value = Value::Mapping(entries);
}

/// Turns a string into a list of one.
fn list(node: &mut Node) {
    if matches!(node.value, Value::Scalar(_)) {
        node.value = Value::Sequence(vec![node.clone()]);
    }
}

/// Turns a string into a mapping with one key.
fn under(node: &mut Node, key: &str) {
    if matches!(node.value, Value::Scalar(_)) {
        let entry = Entry { key: node.at.clone(), value: node.clone() };
        node.value = Value::Mapping(Mapping::from([(key.to_owned(), entry)]));
    }
}
