//! Several files become one, by the rules of the Compose specification ("Merge and override"): mappings are joined,
//! lists are put one after the other, and all else is replaced by what the later file says.

use super::place::Span;
use super::yaml::{Entry, Kind, Mapping, Node, Order, Scalar, Value};

/// How a key of a service is merged.
#[derive(Clone, Copy)]
enum Rule {
    /// Mappings are joined, lists put one after the other, the rest replaced.
    Join,
    /// Replaced as a whole: half of a command is none.
    Replace,
    /// A mapping, or a list of `NAME=value`, or of names: joined by name.
    ByName,
    /// A text or a list of texts, put one after the other.
    List,
    /// A text is the value of this key of a mapping.
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

/// Puts `over` on `base`, a value at `path`.
pub(super) fn merge(base: &mut Node, mut over: Node, path: &[&str]) {
    let is_replaced = over.order.is_some() || base.order == Some(Order::Reset) || base.is_null();
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
        // A file that has a key without a value says nothing of it.
        (_, Value::Scalar(scalar)) if scalar.kind == Kind::Null => {}
        (below, above) => {
            *below = above;
            base.at = over.at;
        }
    }
}

/// Takes what is tagged `!reset` out of the tree.
pub(super) fn prune(node: &mut Node) {
    match &mut node.value {
        Value::Mapping(entries) => {
            entries.retain(|_, entry| entry.value.order != Some(Order::Reset));
            entries.values_mut().for_each(|entry| prune(&mut entry.value));
        }
        Value::Sequence(items) => {
            items.retain(|item| item.order != Some(Order::Reset));
            items.iter_mut().for_each(prune);
        }
        Value::Scalar(_) => {}
    }
}

/// `NAME=value` as a name and a value; a name alone has none.
pub(super) fn assignment(text: &str, at: &Span) -> (String, Node) {
    let (name, value, kind) = match text.split_once('=') {
        Some((name, value)) => (name, value, Kind::Text),
        None => (text, "", Kind::Null),
    };
    let value = Value::Scalar(Scalar { text: value.to_owned(), kind });
    (name.to_owned(), Node { value, at: at.clone(), order: None })
}

/// A list of texts as a mapping; any other value is left to who reads it.
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

/// A text as a list of one.
fn list(node: &mut Node) {
    if matches!(node.value, Value::Scalar(_)) {
        node.value = Value::Sequence(vec![node.clone()]);
    }
}

/// A text as a mapping with one key.
fn under(node: &mut Node, key: &str) {
    if matches!(node.value, Value::Scalar(_)) {
        let entry = Entry { key: node.at.clone(), value: node.clone() };
        node.value = Value::Mapping(Mapping::from([(key.to_owned(), entry)]));
    }
}
