//! A value of a compose file with its path, read as the type that its key expects.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::finding::Findings;
use super::merge::assignment;
use super::yaml::{Kind, Mapping, Node, Scalar, Value};
use super::{Finding, Located, Place, words};

/// How many words of a text may be looked for without success before the search for their places stops.
const MAX_MISSES: usize = 16;

/// A value and its path.
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

impl<'a> Field<'a> {
    pub(super) fn new(node: &'a Node, path: impl Into<String>) -> Self {
        Self { node, path: path.into() }
    }

    pub(super) fn place(&self) -> Place {
        self.node.at.place(self.path.as_str())
    }

    /// Reports that another type was expected here.
    fn expected(&self, what: &str, findings: &mut Findings) {
        if self.is_known() {
            let message = format!("expected {what}, found {}", self.node.noun());
            let help = match what {
                "a list" => "write it as `[first, second]`, or one item a line, each after `- `",
                "a mapping" => "write it as `key: value` lines, indented below this key",
                "a string" => "write one text after the colon, in quotes if it has special characters",
                _ => "write true or false, without quotes",
            };
            findings.push(Finding::error("wrong-type", self.place(), message).with_help(help));
        }
    }

    fn is_known(&self) -> bool {
        !matches!(&self.node.value, Value::Scalar(Scalar { kind: Kind::Unknown, .. }))
    }

    /// The value of a key; `None` if it is null or if this is not a mapping.
    pub(super) fn get(&self, key: &str) -> Option<Field<'a>> {
        match &self.node.value {
            Value::Mapping(entries) => {
                let value = &entries.get(key)?.value;
                (!value.is_null()).then(|| Field::new(value, self.path_of(key)))
            }
            _ => None,
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn scalar(&self) -> Option<&'a Scalar> {
        match &self.node.value {
            Value::Scalar(scalar) if scalar.kind != Kind::Null => Some(scalar),
            _ => None,
        }
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::Sequence(_))
    }

    pub(super) fn mapping(&self, findings: &mut Findings) -> Option<&'a Mapping> {
        match &self.node.value {
            Value::Mapping(entries) => Some(entries),
            _ => {
                self.expected("a mapping", findings);
                None
            }
        }
    }

    /// The values of a mapping with their keys.
    pub(super) fn entries(&self, findings: &mut Findings) -> Vec<(Located<String>, Field<'a>)> {
        let entries = self.mapping(findings).into_iter().flatten();
        entries
            // The mark of an undefined alias.
            .filter(|(key, _)| *key != "<<")
            .map(|(key, entry)| {
                let path = self.path_of(key);
                (Located::new(key.clone(), entry.key.place(path.as_str())), Field::new(&entry.value, path))
            })
            .collect()
    }

    /// The values of a list.
    pub(super) fn items(&self, findings: &mut Findings) -> Vec<Field<'a>> {
        match &self.node.value {
            Value::Sequence(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| Field::new(item, format!("{}[{index}]", self.path)))
                .collect(),
            _ => {
                self.expected("a list", findings);
                Vec::new()
            }
        }
    }

    /// The values of a list; a single value counts as a list of one.
    pub(super) fn items_or_one(&self, findings: &mut Findings) -> Vec<Field<'a>> {
        match self.is_list() {
            true => self.items(findings),
            false => vec![Field::new(self.node, self.path.as_str())],
        }
    }

    /// A string. As in Docker Compose, numbers and booleans of YAML are not accepted.
    pub(super) fn text(&self, findings: &mut Findings) -> Option<Located<String>> {
        match self.scalar() {
            Some(Scalar { text, kind: Kind::Text }) if text.contains('\0') => {
                findings.error(
                    "nul-character",
                    self.place(),
                    "the string contains a NUL character, which arguments cannot hold",
                );
                None
            }
            Some(Scalar { text, kind: Kind::Text | Kind::Unknown }) => {
                Some(Located::new(text.clone(), self.place()))
            }
            Some(_) => {
                let message = format!("expected a string, found {}", self.node.noun());
                findings.push(
                    Finding::error("wrong-type", self.place(), message).with_help("put the value in quotes"),
                );
                None
            }
            None => {
                self.expected("a string", findings);
                None
            }
        }
    }

    /// A list of strings.
    pub(super) fn texts(&self, findings: &mut Findings) -> Vec<Located<String>> {
        self.items(findings).iter().filter_map(|item| item.text(findings)).collect()
    }

    /// A command: a list of words, or a string that is split as a shell would.
    pub(super) fn words(&self, findings: &mut Findings) -> Vec<Located<String>> {
        if self.is_list() {
            return self.texts(findings);
        }
        let Some(text) = self.text(findings) else { return Vec::new() };
        let split = words::split(&text);
        if let Some(quote) = split.open_quote {
            let finding = Finding::error("unclosed-quote", text.place, format!("unclosed quote {quote}"));
            findings.push(finding.with_help("close the quote, or write the command as a list"));
            return Vec::new();
        }
        if let Some(operator) = split.operator {
            let place = self.node.at.within(&operator.to_string()).place(self.path.as_str());
            findings.push(
                Finding::warning(
                    "shell-operator",
                    place,
                    format!("`{operator}` is not interpreted: commands run without a shell, and Docker Compose ends the command here"),
                )
                .with_help("quote the word, or write the command as a list"),
            );
        }
        // Each word gets its own place if the source text contains it unchanged.
        let mut rest = self.node.at.clone();
        let mut located = Vec::new();
        let mut misses = 0;
        for (index, word) in split.words.into_iter().enumerate() {
            let found = if misses < MAX_MISSES { rest.find(&word) } else { None };
            let place = match found {
                Some(found) => {
                    rest.bytes.start = found.bytes.end;
                    found
                }
                None => {
                    misses += 1;
                    self.node.at.clone()
                }
            };
            located.push(Located::new(word, place.place(format!("{}[{index}]", self.path))));
        }
        located
    }

    /// A boolean, also as a string.
    pub(super) fn boolean(&self, findings: &mut Findings) -> Option<bool> {
        let read = self.scalar().and_then(|scalar| match scalar.text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        });
        if read.is_none() {
            self.expected("true or false", findings);
        }
        read
    }

    /// An integer, also as a string.
    pub(super) fn integer<N>(&self, range: RangeInclusive<N>, findings: &mut Findings) -> Option<N>
    where
        N: FromStr + PartialOrd + std::fmt::Display,
    {
        let read = self.scalar().and_then(|scalar| scalar.text.trim().parse().ok());
        let read = read.filter(|number| range.contains(number));
        if read.is_none() && self.is_known() {
            let message = format!("expected an integer from {} to {}", range.start(), range.end());
            findings.error("wrong-type", self.place(), message);
        }
        read
    }

    /// A duration such as `1m30s`.
    pub(super) fn duration(&self, findings: &mut Findings) -> Option<Located<Duration>> {
        let read = self.scalar().and_then(|scalar| duration(&scalar.text));
        if read.is_none() && self.is_known() {
            findings.push(
                Finding::error(
                    "wrong-type",
                    self.place(),
                    format!("expected a duration, found {}", self.node.noun()),
                )
                .with_help("write it as `10s`, `500ms` or `1m30s`"),
            );
        }
        read.map(|read| Located::new(read, self.place()))
    }

    /// The names and values of a mapping or of a list of `NAME=value`; a name without `=` has the value null.
    pub(super) fn assignments(&self, findings: &mut Findings) -> Vec<(Located<String>, Node)> {
        if !self.is_list() {
            let entries = self.entries(findings).into_iter();
            return entries.map(|(name, field)| (name, field.node.clone())).collect();
        }
        let mut assignments = Vec::new();
        for item in self.items(findings) {
            let Some(text) = item.text(findings) else { continue };
            let (name, value) = assignment(&text, &item.node.at);
            assignments.push((Located::new(name, text.place), value));
        }
        assignments
    }
}

/// Parses a duration of the Compose specification: numbers with the units `us`, `ms`, `s`, `m`, `h`, `d`, larger
/// units first.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end =
            rest[end..].find(|c: char| c == '.' || c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        total += number
            * match &rest[end..unit_end] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    // More than a century is a mistake, and would overflow types that count time.
    (!text.is_empty() && total < 3.2e9).then(|| Duration::from_secs_f64(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        let table = [
            ("10s", seconds(10.0)),
            ("1m30s", seconds(90.0)),
            ("500ms", seconds(0.5)),
            ("1.5h", seconds(5400.0)),
            ("1h5m30s20ms", seconds(3930.02)),
            ("0", seconds(0.0)),
            ("0s", seconds(0.0)),
            ("10", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1 s", None),
            ("1x", None),
            ("1..2s", None),
            ("99999999999999h", None),
        ];
        for (text, expected) in table {
            assert_eq!(duration(text), expected, "{text}");
        }
    }
}
