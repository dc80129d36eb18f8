//! The variables of a service: `env_file`, overridden by `environment`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use super::field::Field;
use super::files;
use super::finding::Findings;
use super::interpolate::Variables;
use super::volumes::Folders;
use super::yaml::{Kind, Value};
use super::{Environment, Finding, Located, dotenv, keys};

/// The approximate memory in bytes that the variables of all services may take together.
const MAX_TEXT: usize = 32 << 20;

type Assignments = Arc<Vec<(String, Located<String>)>>;

/// Reads the variables of services. Each `env_file` is read once.
pub(super) struct Environments<'a> {
    /// The variables of the project, which give variables without a value theirs.
    variables: &'a Variables,
    folders: Folders<'a>,
    files: HashMap<(PathBuf, bool), Assignments>,
    /// What is left of [`MAX_TEXT`].
    left: usize,
}

impl<'a> Environments<'a> {
    pub(super) fn new(variables: &'a Variables, folders: Folders<'a>) -> Self {
        Self { variables, folders, files: HashMap::new(), left: MAX_TEXT }
    }

    /// The variables of one service.
    pub(super) fn read(&mut self, service: &Field<'_>, findings: &mut Findings) -> Environment {
        let mut variables = IndexMap::new();
        if let Some(field) = service.get("env_file") {
            for file in field.items_or_one(findings) {
                let Some(file) = self.file(&file, findings) else { continue };
                let size: usize = file.iter().map(|(name, value)| 64 + name.len() + value.len()).sum();
                if size > self.left {
                    findings.error(
                        "too-large",
                        field.place(),
                        format!("the variables of all services exceed {} MiB", MAX_TEXT >> 20),
                    );
                    break;
                }
                self.left -= size;
                variables.extend(file.iter().cloned().map(|(name, value)| (name, Some(value))));
            }
        }
        if let Some(field) = service.get("environment") {
            self.assignments(&field, &mut variables, findings);
        }
        Environment(variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    fn assignments(
        &self,
        field: &Field<'_>,
        variables: &mut IndexMap<String, Option<Located<String>>>,
        findings: &mut Findings,
    ) {
        for (name, node) in field.assignments(findings) {
            let place = node.at.place(name.place.path.as_str());
            if name.is_empty() || name.contains(['=', '\0']) || name.contains(char::is_whitespace) {
                findings.error(
                    "invalid-variable-name",
                    name.place.clone(),
                    "invalid variable name; write `NAME: value` or `NAME=value`",
                );
                continue;
            }
            let Value::Scalar(scalar) = node.value else {
                let message = format!("expected a value, found {}", node.noun());
                let finding = Finding::error("wrong-type", place, message);
                findings
                    .push(finding.with_help("a variable has one text or number; write a list in one text"));
                continue;
            };
            let value = match scalar.kind {
                Kind::Null => match self.variables.get(&*name) {
                    Some(value) => value.clone(),
                    None => {
                        // As in Compose, this also unsets a value from `env_file`.
                        variables.insert(name.value.clone(), None);
                        findings.push(Finding::note(
                            "variable-not-set",
                            name.place.clone(),
                            format!(
                                "variable `{}` has no value here and is not set in the environment",
                                *name
                            ),
                        ));
                        continue;
                    }
                },
                Kind::Bool => scalar.text.to_ascii_lowercase(),
                Kind::Number => {
                    let canonical = canonical(&scalar.text);
                    if canonical != scalar.text {
                        findings.push(
                            Finding::warning(
                                "number-rewritten",
                                place.clone(),
                                "YAML parses this as a number, and the variable gets it rewritten",
                            )
                            .with_help("put the value in quotes to keep it unchanged"),
                        );
                    }
                    canonical
                }
                Kind::Text | Kind::Unknown => scalar.text,
            };
            if value.contains('\0') {
                findings.error(
                    "nul-character",
                    place,
                    "the value contains a NUL character, which variables cannot hold",
                );
                continue;
            }
            variables.insert(name.value, Some(Located::new(value, place)));
        }
    }

    /// One entry of `env_file`.
    fn file(&mut self, field: &Field<'_>, findings: &mut Findings) -> Option<Assignments> {
        let (path, required, raw) = match field.node.value {
            Value::Mapping(_) => {
                keys::check(field, keys::ENV_FILE, findings);
                let Some(path) = field.get("path") else {
                    findings.error("missing-key", field.place(), "`path` is missing");
                    return None;
                };
                let required =
                    field.get("required").and_then(|field| field.boolean(findings)).unwrap_or(true);
                let format = field.get("format").and_then(|field| field.text(findings));
                if let Some(format) = format.as_ref().filter(|format| format.as_str() != "raw") {
                    findings.error(
                        "invalid-value",
                        format.place.clone(),
                        format!("unknown format `{}`; expected `raw`", **format),
                    );
                }
                (path.text(findings)?, required, format.is_some())
            }
            _ => (field.text(findings)?, true, false),
        };
        let resolved = self.folders.resolve(&path);
        if let Some(read) = self.files.get(&(resolved.clone(), raw)) {
            return Some(read.clone());
        }
        if !required && !resolved.exists() {
            return None;
        }
        match files::read_variables(&resolved, &path) {
            Ok(file) => {
                let read =
                    if raw { raw_lines(&file) } else { dotenv::parse(&file, self.variables, findings) };
                let read = Arc::new(read);
                self.files.insert((resolved, raw), read.clone());
                Some(read)
            }
            Err(reason) => {
                findings.push(
                    Finding::error("unreadable-file", path.place.clone(), reason)
                        .with_help(format!("its path resolves to {}", resolved.display())),
                );
                None
            }
        }
    }
}

/// The variables of a file in the format `raw`: everything after `=` is the value.
fn raw_lines(file: &Arc<super::SourceFile>) -> Vec<(String, Located<String>)> {
    let lines = file.text().lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
    lines
        .filter_map(|(index, line)| {
            let (name, value) = line.split_once('=')?;
            let place = super::Place {
                file: file.clone(),
                line: index + 1,
                column: 1,
                length: line.chars().count(),
                path: String::new(),
            };
            Some((name.trim().to_owned(), Located::new(value.to_owned(), place)))
        })
        .collect()
}

/// A number as Compose writes it into a variable, after YAML has parsed it.
fn canonical(text: &str) -> String {
    let unsigned = text.trim_start_matches(['+', '-']);
    let sign = if text.starts_with('-') { "-" } else { "" };
    let radix =
        |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(|number| format!("{sign}{number}"));
    let whole = match unsigned.as_bytes() {
        [b'0', b'x', ..] => radix(&unsigned[2..], 16),
        [b'0', b'o', ..] => radix(&unsigned[2..], 8),
        // Octal as in YAML 1.1, which the parsers of Compose follow here.
        [b'0', _, ..] if unsigned.bytes().all(|c| c.is_ascii_digit()) => radix(unsigned, 8),
        _ => radix(unsigned, 10),
    };
    whole
        .or_else(|| text.parse::<f64>().ok().map(|number| number.to_string()))
        .unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_compose_writes_them() {
        let table = [
            ("1", "1"),
            ("-5", "-5"),
            ("+5", "5"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("0644", "420"),
            ("1.50", "1.5"),
            ("0.1", "0.1"),
            ("1e3", "1000"),
            ("089", "89"),
            (".inf", ".inf"),
        ];
        for (text, expected) in table {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }
}
