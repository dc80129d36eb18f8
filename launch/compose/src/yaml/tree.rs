//! The values of a file.

use granit_parser::{ScalarStyle, Tag};
use indexmap::IndexMap;

use crate::place::Span;

/// The approximate memory in bytes that the values of a file may take with their aliases resolved.
pub(crate) const MAX_WEIGHT: usize = 8 << 20;

/// The approximate memory in bytes that a value takes in addition to its text.
pub(super) const NODE_WEIGHT: usize = 64;

/// A value and where it is written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Span,
    pub(crate) order: Option<MergeTag>,
}

/// What a tag tells about the merging of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MergeTag {
    /// `!reset`: removes the value of earlier files, and this one.
    Reset,
    /// `!override`: replaces the value of earlier files.
    Override,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Mapping),
}

/// The entries of a mapping in the order of the file.
pub(crate) type Mapping = IndexMap<String, Entry>;

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Span,
    pub(crate) value: Node,
}

#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

/// The type of a scalar by the core schema of YAML 1.2, section 10.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    /// Unknown after an error that has been reported: causes no further findings.
    Unknown,
}

impl Kind {
    /// The type of a scalar that is written like this.
    pub(super) fn of(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Self {
        match tag.and_then(Tag::core_suffix) {
            Some("null") => return Self::Null,
            Some("bool") => return Self::Bool,
            Some("int" | "float") => return Self::Number,
            Some(_) => return Self::Text,
            None => {}
        }
        if style != ScalarStyle::Plain {
            return Self::Text;
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Self::Bool,
            _ if is_number(text) => Self::Number,
            _ => Self::Text,
        }
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |text: &str, radix| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    if let Some(octal) = unsigned.strip_prefix("0o") {
        return digits(octal, 8);
    }
    if let Some(hex) = unsigned.strip_prefix("0x") {
        return digits(hex, 16);
    }
    matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
        || unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') && unsigned.parse::<f64>().is_ok()
}

impl Node {
    /// The value's type in messages.
    pub(crate) fn noun(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => match scalar.kind {
                Kind::Null => "nothing",
                Kind::Bool => "true or false",
                Kind::Number => "a number",
                Kind::Text => "a string",
                Kind::Unknown => "an unknown value",
            },
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind == Kind::Null)
    }

    /// Whether this value or any below it is unknown.
    pub(crate) fn is_incomplete(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.kind == Kind::Unknown,
            Value::Sequence(items) => items.iter().any(Self::is_incomplete),
            Value::Mapping(entries) => entries.values().any(|entry| entry.value.is_incomplete()),
        }
    }

    /// The approximate memory that it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        NODE_WEIGHT
            + match &self.value {
                Value::Scalar(scalar) => scalar.text.len(),
                Value::Sequence(items) => items.iter().map(Self::weight).sum(),
                Value::Mapping(entries) => {
                    entries.iter().map(|(key, entry)| NODE_WEIGHT + key.len() + entry.value.weight()).sum()
                }
            }
    }
}
