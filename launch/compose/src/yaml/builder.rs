//! Builds the tree of a file from the events of the parser.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, Tag, options};
use indexmap::IndexMap;
use indexmap::map::Entry as Slot;

use super::key::{Aborted, key, merge_key};
use super::tree::{Entry, Kind, MAX_WEIGHT, Mapping, MergeTag, NODE_WEIGHT, Node, Scalar, Value};
use crate::Finding;
use crate::finding::Findings;
use crate::place::{SourceFile, Span};

/// The maximum nesting of mappings and sequences. The Compose specification needs 8.
const MAX_LEVELS: usize = 32;

/// The maximum number of anchors that a mistyped alias is compared with.
const MAX_ANCHORS: usize = 200;

/// The tree of a file; `None` if the file is empty or cannot be parsed.
pub(crate) fn parse(file: &Arc<SourceFile>, findings: &mut Findings) -> Option<Node> {
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
                let kind = Kind::of(&text, style, tag.as_deref());
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
