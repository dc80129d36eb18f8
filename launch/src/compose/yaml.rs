//! A compose file as a tree whose every value knows its place. Anchors, aliases and merge keys are resolved.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Tag, options};
use indexmap::IndexMap;
use indexmap::map::Entry as Slot;

use super::finding::Findings;
use super::place::{SourceFile, Span};
use super::{Finding, Place};

/// The deepest nesting of mappings and sequences. The Compose specification needs 8.
const MOST_LEVELS: usize = 32;

/// The most memory that the values of a file may take with their aliases resolved, in bytes, roughly.
pub(super) const MOST_WEIGHT: usize = 8 << 20;

/// What a value takes beside its text, in bytes, roughly.
const NODE_WEIGHT: usize = 64;

/// The longest key, in bytes.
const MOST_KEY: usize = 256;

/// A value and where it is written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Span,
    pub(super) order: Option<Order>,
}

/// What a tag says of the merging of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// `!reset`: what earlier files say is dropped, and this value as well.
    Reset,
    /// `!override`: this value is put in place of what earlier files say.
    Override,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Mapping),
}

/// The entries of a mapping in the order of the file.
pub(super) type Mapping = IndexMap<String, Entry>;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Span,
    pub(super) value: Node,
}

#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) kind: Kind,
}

/// The type of a scalar by the core schema of YAML 1.2, section 10.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    /// What it would be is not known, which is said already: nothing more is to be said of it.
    Unknown,
}

impl Node {
    /// What a message calls it.
    pub(super) fn noun(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => match scalar.kind {
                Kind::Null => "nothing",
                Kind::Bool => "true or false",
                Kind::Number => "a number",
                Kind::Text => "a text",
                Kind::Unknown => "what is not known",
            },
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind == Kind::Null)
    }

    /// Whether something is not known of the value, or of any below it.
    pub(super) fn is_guess(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.kind == Kind::Unknown,
            Value::Sequence(items) => items.iter().any(Self::is_guess),
            Value::Mapping(entries) => entries.values().any(|entry| entry.value.is_guess()),
        }
    }

    /// What it takes in memory, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
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

/// The tree of a file; nothing if it is empty, or if an error was found that leaves nothing to read.
pub(super) fn parse(file: &Arc<SourceFile>, findings: &mut Findings) -> Option<Node> {
    let options = options! {
        flow_nesting_limit: MOST_LEVELS,
        block_nesting_limit: MOST_LEVELS,
        emit_unresolved_aliases: true,
    };
    let mut builder = Builder { findings, open: Vec::new(), anchors: HashMap::new(), weight: 0, root: None };
    for event in Parser::new_from_str_with_options(file.text(), options) {
        let proceed = match event {
            Ok((event, span)) => {
                // Positions in bytes are there whenever a string is parsed.
                let bytes = span.byte_range().unwrap_or_default();
                builder.event(event, Span { file: file.clone(), bytes })
            }
            Err(error) => {
                let begin = error.marker().byte_offset().unwrap_or_default().min(file.text().len());
                let place = Span { file: file.clone(), bytes: begin..begin }.place("");
                let help = help(file.line(place.line).unwrap_or_default());
                let message = format!("this is not YAML: {}", error.info());
                builder.findings.push(Finding::error(place, message).with_help(help));
                Err(Abandoned)
            }
        };
        if proceed.is_err() {
            return None;
        }
    }
    builder.root
}

/// The way out of a line that is no YAML.
fn help(line: &str) -> &'static str {
    let indent = &line[..line.len() - line.trim_start().len()];
    match indent.contains('\t') {
        true => "indent with spaces: YAML takes no tabs",
        false => {
            "keys of one mapping begin in one column, and what belongs to one further right; a value with `: ` or ` #`, or that begins with one of `@%&*!|>{[`, needs quotes"
        }
    }
}

/// An error has been said that leaves nothing of the file to read.
struct Abandoned;

struct Builder<'a> {
    findings: &'a mut Findings,
    /// The mappings and sequences around what is read now.
    open: Vec<Open>,
    /// The values with an anchor, by the parser's number, and their weight.
    anchors: HashMap<usize, (Node, usize)>,
    weight: usize,
    root: Option<Node>,
}

/// A mapping or a sequence of which the end is not read yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<(String, Span)>,
    /// What merge keys bring, which explicit keys win over.
    merged: Mapping,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, at: Span) -> Result<(), Abandoned> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = kind(&text, style, tag.as_deref());
                let order = self.order(tag.as_deref(), &at);
                let value = Value::Scalar(Scalar { text: text.into_owned(), kind });
                self.complete(Node { value, at, order }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(Value::Sequence(Vec::new()), at, anchor, tag.as_deref());
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.begin(Value::Mapping(Mapping::new()), at, anchor, tag.as_deref());
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(mut open) => {
                    if let Value::Mapping(entries) = &mut open.node.value {
                        for (key, entry) in open.merged {
                            entries.entry(key).or_insert(entry);
                        }
                    }
                    open.node.at.bytes.end = at.bytes.end.max(open.node.at.bytes.start);
                    self.complete(open.node, open.anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some((node, weight)) => {
                    let (node, weight) = (node.clone(), *weight);
                    self.weigh(weight, &at)?;
                    self.complete(node, 0)
                }
                None => {
                    self.findings.error(at.place(""), "the alias stands within what it is the alias of");
                    Err(Abandoned)
                }
            },
            Event::UnresolvedAlias(name) => {
                let message = format!("no anchor `&{name}` stands before this alias");
                self.findings.error(at.place(""), message);
                let value = Value::Scalar(Scalar { text: String::new(), kind: Kind::Unknown });
                self.complete(Node { value, at, order: None }, 0)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                let message = "a second document begins here, and one file is one document";
                self.findings.push(
                    Finding::error(at.place(""), message)
                        .with_help("put it into a file of its own, and name both with -f"),
                );
                Err(Abandoned)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, value: Value, at: Span, anchor: usize, tag: Option<&Tag>) {
        let order = self.order(tag, &at);
        self.open.push(Open { node: Node { value, at, order }, anchor, key: None, merged: Mapping::new() });
    }

    /// Puts a value where it belongs: it is complete.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Abandoned> {
        if let Value::Scalar(scalar) = &node.value {
            self.weigh(NODE_WEIGHT + scalar.text.len(), &node.at)?;
        } else {
            self.weigh(NODE_WEIGHT, &node.at)?;
        }
        if anchor > 0 {
            // A copy is kept.
            let weight = node.weight();
            self.weigh(weight, &node.at)?;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::Sequence(items) => items.push(node),
            Value::Mapping(entries) => match open.key.take() {
                None => open.key = Some(key(node, self.findings)?),
                Some((name, at)) if name == "<<" => merge_key(&mut open.merged, &node, &at, self.findings),
                Some((name, at)) => match entries.entry(name) {
                    Slot::Vacant(slot) => {
                        slot.insert(Entry { key: at, value: node });
                    }
                    Slot::Occupied(slot) => {
                        let first = slot.get().key.place("").line;
                        let message =
                            format!("`{}` is said a second time; the first is in line {first}", slot.key());
                        self.findings.error(at.place(""), message);
                    }
                },
            },
            Value::Scalar(_) => {}
        }
        Ok(())
    }

    fn weigh(&mut self, weight: usize, at: &Span) -> Result<(), Abandoned> {
        self.weight += weight;
        if self.weight <= MOST_WEIGHT {
            return Ok(());
        }
        let message = format!("with its aliases resolved the file is larger than {} MiB", MOST_WEIGHT >> 20);
        self.findings.error(at.place(""), message);
        Err(Abandoned)
    }

    fn order(&mut self, tag: Option<&Tag>, at: &Span) -> Option<Order> {
        let tag = tag.filter(|tag| !tag.is_yaml_core_schema() && !tag.original().is_empty())?;
        match tag.original().as_str() {
            "!reset" => Some(Order::Reset),
            "!override" => Some(Order::Override),
            "!" => None,
            other => {
                let message = format!("no tag `{other}` is known");
                self.findings
                    .push(Finding::error(at.place(""), message).with_help("`!reset` and `!override` are"));
                None
            }
        }
    }
}

/// A key's name and place.
fn key(node: Node, findings: &mut Findings) -> Result<(String, Span), Abandoned> {
    match node.value {
        Value::Scalar(scalar) if scalar.text.len() <= MOST_KEY => Ok((scalar.text, node.at)),
        Value::Scalar(_) => {
            findings.error(node.at.place(""), format!("the key is longer than {MOST_KEY} bytes"));
            Err(Abandoned)
        }
        _ => {
            findings.error(node.at.place(""), format!("a key is a text, and this is {}", node.noun()));
            Err(Abandoned)
        }
    }
}

/// What `<<: *anchor` or `<<: [*first, *second]` brings; the first that has a key wins.
/// (<https://yaml.org/type/merge.html>)
fn merge_key(merged: &mut Mapping, node: &Node, at: &Span, findings: &mut Findings) {
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
            // No such anchor.
            Value::Scalar(Scalar { kind: Kind::Unknown, .. }) => {}
            _ => {
                let message = format!("`<<` takes a mapping or a list of them, and this is {}", node.noun());
                findings.error(place_of_use(node, at), message);
            }
        }
    }
}

/// Where a value is written, or where it is used if that is in another line.
fn place_of_use(node: &Node, key: &Span) -> Place {
    let (value, key) = (node.at.place(""), key.place(""));
    if value.line == key.line { value } else { key }
}

fn kind(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Kind {
    match tag.and_then(Tag::core_suffix) {
        Some("null") => return Kind::Null,
        Some("bool") => return Kind::Bool,
        Some("int" | "float") => return Kind::Number,
        Some(_) => return Kind::Text,
        None => {}
    }
    if style != ScalarStyle::Plain {
        return Kind::Text;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Kind::Bool,
        _ if is_number(text) => Kind::Number,
        _ => Kind::Text,
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
