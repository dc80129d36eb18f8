//! Keys of mappings, and the merge key `<<`.

use super::tree::{Entry, Kind, Mapping, Node, Scalar, Value};
use crate::finding::Findings;
use crate::place::Span;
use crate::{Finding, Place};

/// The maximum length of a key in bytes.
const MAX_KEY: usize = 256;

/// An error has been reported that ends the reading of the file.
pub(super) struct Aborted;

/// A key's name and place.
pub(super) fn key(node: Node, findings: &mut Findings) -> Result<(String, Span), Aborted> {
    match node.value {
        Value::Scalar(scalar) if scalar.text.len() <= MAX_KEY => Ok((scalar.text, node.at)),
        Value::Scalar(_) => {
            findings.error(
                "key-too-long",
                node.at.place(""),
                format!("the key is longer than {MAX_KEY} bytes"),
            );
            Err(Aborted)
        }
        _ => {
            findings.error(
                "wrong-type",
                node.at.place(""),
                format!("expected a string as key, found {}", node.noun()),
            );
            Err(Aborted)
        }
    }
}

/// Adds the entries of `<<: *anchor` or `<<: [*first, *second]`; the first mapping that has a key wins.
/// (<https://yaml.org/type/merge.html>)
pub(super) fn merge_key(merged: &mut Mapping, node: &Node, at: &Span, findings: &mut Findings) {
    let brought = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    for node in brought {
        match &node.value {
            Value::Mapping(entries) => {
                for (key, entry) in entries {
                    if !merged.contains_key(key) {
                        merged.insert(key.clone(), entry.clone());
                    }
                }
            }
            // An undefined alias, which has been reported. The mapping stays marked as incomplete.
            Value::Scalar(Scalar { kind: Kind::Unknown, .. }) => {
                merged.insert("<<".to_owned(), Entry { key: at.clone(), value: node.clone() });
            }
            _ => {
                let message =
                    format!("expected a mapping or a list of mappings after `<<`, found {}", node.noun());
                findings.push(
                    Finding::error("wrong-type", place_of_use(node, at), message)
                        .with_help("write `<<: *anchor`, with the anchor at a mapping"),
                );
            }
        }
    }
}

/// Where a value is written, or where it is used if that is another line.
fn place_of_use(node: &Node, key: &Span) -> Place {
    let (value, key) = (node.at.place(""), key.place(""));
    if value.line == key.line { value } else { key }
}
