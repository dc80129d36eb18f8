//! Parses a compose file into a tree whose values know their place. Anchors, aliases and merge keys are resolved.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Tag, options};
use indexmap::IndexMap;
use indexmap::map::Entry as Slot;

use super::finding::Findings;
use super::place::{SourceFile, Span};
use super::{Finding, Place};

/// The maximum nesting of mappings and sequences. The Compose specification needs 8.
const MAX_LEVELS: usize = 32;

/// The approximate memory in bytes that the values of a file may take with their aliases resolved.
pub(super) const MAX_WEIGHT: usize = 8 << 20;

/// The approximate memory in bytes that a value takes in addition to its text.
const NODE_WEIGHT: usize = 64;

/// The maximum number of anchors that a mistyped alias is compared with.
const MAX_ANCHORS: usize = 200;

/// The maximum length of a key in bytes.
const MAX_KEY: usize = 256;

/// A value and where it is written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Span,
    pub(super) order: Option<MergeTag>,
}

/// What a tag tells about the merging of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MergeTag {
    /// `!reset`: removes the value of earlier files, and this one.
    Reset,
    /// `!override`: replaces the value of earlier files.
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
    /// Unknown after an error that has been reported: causes no further findings.
    Unknown,
}

impl Node {
    /// The value's type in messages.
    pub(super) fn noun(&self) -> &'static str {
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

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind == Kind::Null)
    }

    /// Whether this value or any below it is unknown.
    pub(super) fn is_incomplete(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.kind == Kind::Unknown,
            Value::Sequence(items) => items.iter().any(Self::is_incomplete),
            Value::Mapping(entries) => entries.values().any(|entry| entry.value.is_incomplete()),
        }
    }

    /// The approximate memory that it takes, in bytes.
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

/// The tree of a file; `None` if the file is empty or cannot be parsed.
pub(super) fn parse(file: &Arc<SourceFile>, findings: &mut Findings) -> Option<Node> {
    let options = options! {
        flow_nesting_limit: MAX_LEVELS,
        block_nesting_limit: MAX_LEVELS,
        emit_unresolved_aliases: true,
    };
    let mut builder = Builder {
        findings,
        open: Vec::new(),
        anchors: HashMap::new(),
        undefined: IndexMap::new(),
        weight: 0,
        root: None,
    };
    for event in Parser::new_from_str_with_options(file.text(), options) {
        let proceed = match event {
            Ok((event, span)) => {
                // The parser always knows byte positions when it reads from a string.
                let bytes = span.byte_range().unwrap_or_default();
                builder.event(event, Span { file: file.clone(), bytes })
            }
            Err(error) => {
                let begin = error.marker().byte_offset().unwrap_or_default().min(file.text().len());
                let place = Span { file: file.clone(), bytes: begin..begin }.place("");
                let help = help(file.line(place.line).unwrap_or_default());
                let message = format!("invalid YAML: {}", error.info());
                builder.findings.push(Finding::error("invalid-yaml", place, message).with_help(help));
                Err(Aborted)
            }
        };
        if proceed.is_err() {
            builder.report_undefined();
            return None;
        }
    }
    builder.report_undefined();
    builder.root
}

/// The help for a line that is not YAML.
fn help(line: &str) -> &'static str {
    let indent = &line[..line.len() - line.trim_start().len()];
    match indent.contains('\t') {
        true => "indent with spaces; YAML does not allow tabs",
        false => {
            "align the keys of a mapping and indent their values; quote values that contain `: ` or ` #` or begin with one of `@%&*!|>{[`"
        }
    }
}

/// An error has been reported that ends the reading of the file.
struct Aborted;

struct Builder<'a> {
    findings: &'a mut Findings,
    /// The mappings and sequences that are open at the current event.
    open: Vec<Open>,
    /// The values with an anchor and their size, by the parser's anchor number.
    anchors: HashMap<usize, (Node, usize)>,
    /// The aliases without an anchor: the place of the first, whether its name may be a part of a secret, and how many
    /// there are.
    undefined: IndexMap<String, (Span, bool, usize)>,
    weight: usize,
    root: Option<Node>,
}

/// A mapping or sequence that has not ended yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<(String, Span)>,
    /// The entries of merge keys (`<<`). Explicit keys override them.
    merged: Mapping,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, at: Span) -> Result<(), Aborted> {
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
                    self.findings.error(
                        "recursive-alias",
                        at.place(""),
                        "the alias refers to a value that contains it",
                    );
                    Err(Aborted)
                }
            },
            Event::UnresolvedAlias(name) => {
                let may_be_secret = self.is_at_a_value();
                let seen = self.undefined.entry(name.to_string()).or_insert((at.clone(), may_be_secret, 0));
                seen.2 += 1;
                let value = Value::Scalar(Scalar { text: String::new(), kind: Kind::Unknown });
                self.complete(Node { value, at, order: None }, 0)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                let message = "a compose file has one YAML document, and a second one begins here";
                self.findings.push(
                    Finding::error("second-document", at.place(""), message)
                        .with_help("move it to another file and pass both with -f"),
                );
                Err(Aborted)
            }
            _ => Ok(()),
        }
    }

    /// Whether the next value is that of a variable or of another key than `<<`, `environment` and the like: it may then
    /// be a password that begins with `*` or `!`.
    fn is_at_a_value(&self) -> bool {
        let key = self.open.last().and_then(|open| open.key.as_ref());
        key.is_some_and(|(key, _)| key != "<<" && key.chars().any(|c| c.is_ascii_uppercase()))
    }

    /// Reports each alias without an anchor once: all services may use it.
    fn report_undefined(&mut self) {
        for (name, (at, may_be_secret, count)) in std::mem::take(&mut self.undefined) {
            let place = at.place("");
            if may_be_secret {
                self.findings.push(
                    Finding::error(
                        "undefined-alias",
                        place,
                        "a value that begins with `*` is an alias, and its anchor is undefined",
                    )
                    .with_help("put the value in quotes, or define the anchor above it"),
                );
                continue;
            }
            let places =
                if count > 1 { format!(", here and in {} more places", count - 1) } else { String::new() };
            let message = format!("undefined alias: no anchor `&{name}` above it{places}");
            let finding = Finding::error("undefined-alias", place, message);
            let anchors = at.file.text().split('&').skip(1).map(|rest| {
                let end = rest.find(|c: char| c.is_whitespace() || ",[]{}".contains(c)).unwrap_or(rest.len());
                &rest[..end]
            });
            self.findings.push(match self.findings.near(&name, anchors.take(MAX_ANCHORS)) {
                Some(near) if near == name => {
                    finding.with_help("move the anchor above the lines that use it")
                }
                Some(near) => finding.with_help(format!("did you mean `*{near}`?")),
                None => finding.with_help(format!("define it above: `x-{name}: &{name}`")),
            });
        }
    }

    fn begin(&mut self, value: Value, at: Span, anchor: usize, tag: Option<&Tag>) {
        let order = self.order(tag, &at);
        self.open.push(Open { node: Node { value, at, order }, anchor, key: None, merged: Mapping::new() });
    }

    /// Adds a complete value to the mapping or sequence around it.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Aborted> {
        if let Value::Scalar(scalar) = &node.value {
            self.weigh(NODE_WEIGHT + scalar.text.len(), &node.at)?;
        } else {
            self.weigh(NODE_WEIGHT, &node.at)?;
        }
        if anchor > 0 {
            // The map of anchors holds a copy, so the size counts twice.
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
                        let message = format!("duplicate key `{}`; first used in line {first}", slot.key());
                        self.findings.push(
                            Finding::error("duplicate-key", at.place(""), message)
                                .with_help("remove one of them; YAML keys are unique in a mapping"),
                        );
                    }
                },
            },
            Value::Scalar(_) => {}
        }
        Ok(())
    }

    fn weigh(&mut self, weight: usize, at: &Span) -> Result<(), Aborted> {
        self.weight += weight;
        if self.weight <= MAX_WEIGHT {
            return Ok(());
        }
        let message = format!("the file exceeds {} MiB with its aliases resolved", MAX_WEIGHT >> 20);
        self.findings.error("too-large", at.place(""), message);
        Err(Aborted)
    }

    fn order(&mut self, tag: Option<&Tag>, at: &Span) -> Option<MergeTag> {
        let tag = tag.filter(|tag| !tag.is_yaml_core_schema() && !tag.original().is_empty())?;
        match tag.original().as_str() {
            "!reset" => Some(MergeTag::Reset),
            "!override" => Some(MergeTag::Override),
            "!" => None,
            other => {
                let is_name = !self.is_at_a_value();
                let message =
                    if is_name { format!("unknown tag `{other}`") } else { "unknown tag".to_owned() };
                self.findings
                    .push(Finding::error("unknown-tag", at.place(""), message).with_help(
                        "use `!reset` or `!override`; put a value that begins with `!` in quotes",
                    ));
                None
            }
        }
    }
}

/// A key's name and place.
fn key(node: Node, findings: &mut Findings) -> Result<(String, Span), Aborted> {
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
