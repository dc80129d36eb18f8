//! Replaces `${VARIABLE}` in values, by the Compose specification ("Interpolation").

use std::collections::BTreeMap;

use super::Finding;
use super::finding::{Findings, VARIABLE_REQUIRED};
use super::place::Span;
use super::yaml::{Kind, Node, Value};

/// The maximum nesting of defaults: `${A:-${B:-${C}}}` has 3 levels.
const MAX_LEVELS: usize = 16;

/// The maximum size of the interpolated text of a project, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// Variables by name.
pub(super) type Variables = BTreeMap<String, String>;

/// Interpolates every value of a tree.
pub(super) struct Interpolation<'a> {
    pub(super) variables: &'a Variables,
    pub(super) findings: &'a mut Findings,
    /// What is left of [`MAX_TEXT`].
    left: usize,
}

impl<'a> Interpolation<'a> {
    pub(super) fn new(variables: &'a Variables, findings: &'a mut Findings) -> Self {
        Self { variables, findings, left: MAX_TEXT }
    }

    /// Interpolates `node` and all values below it; `path` is its path. Extensions (`x-…`) are left unchanged: they
    /// are only read through anchors, which copy them.
    pub(super) fn apply(&mut self, node: &mut Node, path: &str) {
        match &mut node.value {
            Value::Scalar(scalar) => {
                if !scalar.text.contains('$') {
                    return;
                }
                let (text, problems) = substitute(&scalar.text, &self.lookup(), self.left);
                self.left = self.left.saturating_sub(text.len());
                scalar.text = text;
                // An interpolated value is a string, even if it looks like a number.
                let is_known = problems.iter().all(|problem| matches!(problem.fault, Fault::Unset(_)));
                scalar.kind = if is_known { Kind::Text } else { Kind::Unknown };
                for problem in problems {
                    let finding = problem.into_finding(&node.at, path, self.variables, self.findings);
                    self.findings.push(finding);
                }
            }
            Value::Sequence(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.apply(item, &format!("{path}[{index}]"));
                }
            }
            Value::Mapping(entries) => {
                for (key, entry) in entries.iter_mut().filter(|(key, _)| !key.starts_with("x-")) {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    self.apply(&mut entry.value, &path);
                }
            }
        }
    }

    fn lookup(&self) -> impl Fn(&str) -> Option<&'a str> + use<'a> {
        let variables = self.variables;
        move |name| variables.get(name).map(String::as_str)
    }
}

/// A problem with a variable in a text.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    /// The part of the text with the problem.
    pub(super) fragment: String,
    pub(super) fault: Fault,
}

#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// The variable is not set: it becomes an empty string.
    Unset(String),
    /// A required variable is not set; with the file's own message. `${NAME}` stands for its value.
    Required(String, String),
    /// Invalid syntax.
    Form,
    /// More text than [`MAX_TEXT`], or more levels than [`MAX_LEVELS`].
    TooMuch,
}

impl Problem {
    pub(super) fn into_finding(
        self,
        at: &Span,
        path: &str,
        variables: &Variables,
        findings: &Findings,
    ) -> Finding {
        let place = at.within(&self.fragment).place(path);
        let known = || variables.keys().map(String::as_str);
        match self.fault {
            // What follows a bare `$` may be the rest of a password, so it is not printed.
            Fault::Unset(_) if !self.fragment.starts_with("${") => Finding::warning(
                "variable-not-set",
                place,
                "the variable after `$` is not set and becomes an empty string",
            )
            .with_help("set it in the environment or in .env; write `$$` for a dollar sign"),
            Fault::Unset(name) => {
                let finding = Finding::warning(
                    "variable-not-set",
                    place,
                    format!("variable `{name}` is not set and becomes an empty string"),
                );
                match findings.near(&name, known()) {
                    Some(near) => finding.with_help(format!("did you mean `{near}`?")),
                    None => finding.with_help(format!(
                        "set it in the environment or in .env, or give a default: ${{{name}:-…}}"
                    )),
                }
            }
            Fault::Required(name, said) => {
                let reason = if said.is_empty() { String::new() } else { format!(": {said}") };
                Finding::error(VARIABLE_REQUIRED, place, format!("variable `{name}` is required{reason}"))
                    .with_help("set it in the environment or in .env")
            }
            Fault::Form => Finding::error("invalid-interpolation", place, "invalid variable after `$`")
                .with_help("write `$NAME`, `${NAME}` or `${NAME:-default}`; write `$$` for a dollar sign"),
            Fault::TooMuch => Finding::error(
                "too-large",
                place,
                format!(
                    "the interpolated values exceed {} MiB or {MAX_LEVELS} nested defaults",
                    MAX_TEXT >> 20
                ),
            ),
        }
    }
}

/// Interpolates a text and returns the problems. The result grows to at most `limit` bytes beyond the text's length.
pub(super) fn substitute<'v>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'v str>,
    limit: usize,
) -> (String, Vec<Problem>) {
    let mut substitution = Substitution { lookup, limit, problems: Vec::new() };
    let mut out = String::new();
    substitution.run(text, &mut out, 0);
    (out, substitution.problems)
}

struct Substitution<'a, 'v> {
    lookup: &'a dyn Fn(&str) -> Option<&'v str>,
    limit: usize,
    problems: Vec<Problem>,
}

impl Substitution<'_, '_> {
    fn run(&mut self, text: &str, out: &mut String, level: usize) {
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let (variable, after) = (&rest[at..], &rest[at + 1..]);
            rest = if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                after
            } else if let Some(inner) = after.strip_prefix('{') {
                let Some(end) = closing_brace(inner) else {
                    self.fault(variable, Fault::Form);
                    return;
                };
                self.braced(&variable[..end + 3], &inner[..end], out, level);
                &inner[end + 1..]
            } else {
                let end = name_length(after);
                let (name, after) = after.split_at(end);
                let written = &variable[..end + 1];
                match (self.lookup)(name) {
                    _ if name.is_empty() => self.fault(written, Fault::Form),
                    Some(value) => self.put(written, value, out),
                    None => self.fault(written, Fault::Unset(name.to_owned())),
                }
                after
            };
        }
        out.push_str(rest);
    }

    /// `${inner}`, as `written`.
    fn braced(&mut self, written: &str, inner: &str, out: &mut String, level: usize) {
        let (name, operation) = inner.split_at(name_length(inner));
        if name.is_empty() {
            return self.fault(written, Fault::Form);
        }
        let value = (self.lookup)(name);
        // With a colon, an empty variable counts as not set.
        let (operator, value) = match operation.strip_prefix(':') {
            Some(operator) => (operator, value.filter(|value| !value.is_empty())),
            None => (operation, value),
        };
        let mut characters = operator.chars();
        match (characters.next(), value) {
            (None, _) if !operation.is_empty() => self.fault(written, Fault::Form),
            (None, Some(value)) => self.put(written, value, out),
            (None, None) => self.fault(written, Fault::Unset(name.to_owned())),
            (Some('-' | '?'), Some(value)) => self.put(written, value, out),
            (Some('-'), None) | (Some('+'), Some(_)) => {
                if level + 1 >= MAX_LEVELS {
                    return self.fault(written, Fault::TooMuch);
                }
                self.run(characters.as_str(), out, level + 1);
            }
            (Some('+'), None) => {}
            (Some('?'), None) => {
                let mut said = String::new();
                if level + 1 < MAX_LEVELS {
                    self.run(characters.as_str(), &mut said, level + 1);
                }
                self.fault(written, Fault::Required(name.to_owned(), said));
                // A drawing shows the name in place of the value.
                out.push_str("${");
                out.push_str(name);
                out.push('}');
            }
            (Some(_), _) => self.fault(written, Fault::Form),
        }
    }

    fn put(&mut self, written: &str, value: &str, out: &mut String) {
        match self.limit.checked_sub(value.len()) {
            Some(left) => {
                self.limit = left;
                out.push_str(value);
            }
            None => self.fault(written, Fault::TooMuch),
        }
    }

    fn fault(&mut self, written: &str, fault: Fault) {
        // A text of nothing but dollar signs would have thousands.
        if self.problems.len() < 10 {
            self.problems.push(Problem { fragment: written.to_owned(), fault });
        }
    }
}

/// The length in bytes of the name that the text begins with: `[_a-zA-Z][_a-zA-Z0-9]*`.
fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len())
}

/// The offset of the brace that closes the one before the text.
fn closing_brace(text: &str) -> Option<usize> {
    let mut level = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => level += 1,
            '}' if level == 0 => return Some(at),
            '}' => level -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(text: &str) -> Result<String, Fault> {
        let lookup = |name: &str| match name {
            "SET" => Some("value"),
            "OTHER" => Some("other"),
            "EMPTY" => Some(""),
            "DOLLAR" => Some("$SET"),
            _ => None,
        };
        let (text, mut problems) = substitute(text, &lookup, MAX_TEXT);
        if problems.is_empty() { Ok(text) } else { Err(problems.remove(0).fault) }
    }

    #[test]
    fn every_form() {
        let table = [
            ("plain", "plain"),
            ("$SET", "value"),
            ("${SET}", "value"),
            ("a${SET}b$SET-c", "avaluebvalue-c"),
            ("$$SET", "$SET"),
            ("$${SET}", "${SET}"),
            ("$$$SET", "$value"),
            ("${SET:-d}", "value"),
            ("${SET-d}", "value"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${NOT:-d}", "d"),
            ("${NOT-d}", "d"),
            ("${NOT:-}", ""),
            ("${NOT-}", ""),
            ("${SET:?e}", "value"),
            ("${SET?e}", "value"),
            ("${EMPTY?e}", ""),
            ("${SET:+x}", "x"),
            ("${SET+x}", "x"),
            ("${EMPTY:+x}", ""),
            ("${EMPTY+x}", "x"),
            ("${NOT:+x}", ""),
            ("${NOT+x}", ""),
            ("${NOT:-${OTHER}}", "other"),
            ("${NOT:-${NEITHER:-deep}}!", "deep!"),
            ("${NOT:-a${OTHER}b$SET}", "aotherbvalue"),
            ("${SET:+${OTHER}}", "other"),
            ("${NOT:-{a}", "{a"),
            ("${NOT:-rtsp://u:p@host:554/x?a=1&b=-}", "rtsp://u:p@host:554/x?a=1&b=-"),
            ("${NOT:-a:-b}", "a:-b"),
            ("${NOT:-$$}", "$"),
            ("$DOLLAR", "$SET"),
            ("ä${SET}ö", "ävalueö"),
        ];
        for (text, expected) in table {
            assert_eq!(outcome(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn every_fault() {
        let unset = |name: &str| Fault::Unset(name.into());
        let required = |said: &str| Fault::Required("NOT".into(), said.into());
        let table = [
            ("$NOT", unset("NOT")),
            ("${NOT}", unset("NOT")),
            ("${SET:-x}${NOT}", unset("NOT")),
            ("${NOT:?}", required("")),
            ("${NOT?say $OTHER}", required("say other")),
            ("${EMPTY:?say}", Fault::Required("EMPTY".into(), "say".into())),
            ("$", Fault::Form),
            ("5$", Fault::Form),
            ("$1", Fault::Form),
            ("${}", Fault::Form),
            ("${1A}", Fault::Form),
            ("${A", Fault::Form),
            ("${A:}", Fault::Form),
            ("${A:=b}", Fault::Form),
            ("${A B}", Fault::Form),
            ("${ä}", Fault::Form),
        ];
        for (text, expected) in table {
            assert_eq!(outcome(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn defaults_in_defaults_and_long_values_have_an_end() {
        let deep = format!("{}x{}", "${A:-".repeat(50), "}".repeat(50));
        assert_eq!(outcome(&deep), Err(Fault::TooMuch));
        let long = "x".repeat(1000);
        let (text, problems) = substitute(&"$A".repeat(5000), &|_| Some(&long), 10_000);
        assert_eq!(text.len(), 10_000);
        assert_eq!(problems[0].fault, Fault::TooMuch);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[$SET{}:?+a-c -]{0,60}", value in ".{0,20}") {
            let (out, _) = substitute(&text, &|name| (name == "SET").then_some(value.as_str()), 1000);
            prop_assert!(out.len() <= text.len() + 1000);
        }
    }
}
