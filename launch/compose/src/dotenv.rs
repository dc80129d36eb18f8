//! Reads files of variables: `.env`, `--env-file` and `env_file`, by the Compose specification ("Use the .env file":
//! quotes, comments, `export`, interpolation).

use std::sync::Arc;

use super::finding::Findings;
use super::interpolate::{Variables, substitute};
use super::place::{SourceFile, Span};
use super::{Finding, Located};

/// The maximum size of the interpolated variables of one file, in bytes.
const MAX_TEXT: usize = 4 << 20;

/// The variables of `file` in its order; a name that is set twice is returned twice. References, and names without a
/// value, are looked up in `around`, then in the lines above.
pub(super) fn parse(
    file: &Arc<SourceFile>,
    around: &Variables,
    findings: &mut Findings,
) -> Vec<(String, Located<String>)> {
    let mut reader = Reader { file, rest: file.text().trim_start_matches('\u{feff}'), findings };
    let mut above = Variables::new();
    let mut left = MAX_TEXT;
    let mut variables = Vec::new();
    while let Some(line) = reader.next() {
        let lookup = |name: &str| around.get(name).or_else(|| above.get(name)).map(String::as_str);
        let value = match line.value {
            Raw::None => match lookup(&line.name) {
                Some(value) => value.to_owned(),
                None => continue,
            },
            Raw::Literal(value) => value,
            Raw::Template(value) => {
                let (value, problems) = substitute(&value, &lookup, left);
                for problem in problems {
                    let finding = problem.into_finding(&line.at, "", around, reader.findings);
                    reader.findings.push(finding);
                }
                value
            }
        };
        left = left.saturating_sub(value.len());
        above.insert(line.name.clone(), value.clone());
        variables.push((line.name, Located::new(value, line.at.place(""))));
    }
    variables
}

struct Line {
    name: String,
    value: Raw,
    at: Span,
}

enum Raw {
    /// A name without a value.
    None,
    /// A value without interpolation.
    Literal(String),
    /// A value to interpolate.
    Template(String),
}

struct Reader<'a> {
    file: &'a Arc<SourceFile>,
    rest: &'a str,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    /// The next variable. Invalid lines are reported and skipped.
    fn next(&mut self) -> Option<Line> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() {
                return None;
            }
            let begin = self.offset();
            let (line, after) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            if line.starts_with('#') {
                self.rest = after;
                continue;
            }
            let line = line.trim_end();
            let at = Span { file: self.file.clone(), bytes: begin..begin + line.len() };
            let assignment = line.strip_prefix("export ").map_or(line, str::trim_start);
            // A colon also separates name and value, as in YAML.
            let (name, value) = match assignment.find(['=', ':']) {
                Some(sign) => (&assignment[..sign], Some(&assignment[sign + 1..])),
                None => (assignment.split_once('#').map_or(assignment, |(name, _)| name), None),
            };
            let name = name.trim().to_owned();
            if name.is_empty()
                || name.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'$".contains(c))
            {
                self.rest = after;
                self.findings.push(
                    Finding::error("invalid-variable", at.place(""), "invalid line in a file of variables")
                        .with_help("write `NAME=value`, or begin a comment with `#`"),
                );
                continue;
            }
            let Some(value) = value.map(str::trim_start) else {
                self.rest = after;
                return Some(Line { name, value: Raw::None, at });
            };
            if let Some(quote) = value.chars().next().filter(|c| "\"'".contains(*c)) {
                // Quoted values may span several lines.
                let from = value.as_ptr() as usize - self.rest.as_ptr() as usize + 1;
                let value = self.quoted(quote, from, &at);
                return Some(Line { name, value, at });
            }
            self.rest = after;
            // A comment begins after a space or tab.
            let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
            let value = if value.starts_with('#') { "" } else { value[..end].trim_end() };
            return Some(Line { name, value: Raw::Template(value.to_owned()), at });
        }
    }

    /// Reads a quoted value that begins at byte `from`; the rest of its last line is ignored.
    fn quoted(&mut self, quote: char, from: usize, at: &Span) -> Raw {
        let mut value = String::new();
        let text = &self.rest[from..];
        let mut characters = text.char_indices();
        while let Some((offset, c)) = characters.next() {
            match c {
                c if c == quote => {
                    let after = &text[offset + 1..];
                    self.rest = after.split_once('\n').map_or("", |(_, next)| next);
                    return if quote == '"' { Raw::Template(value) } else { Raw::Literal(value) };
                }
                '\\' if quote == '"' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    // An escaped dollar sign, in the form that interpolation reads.
                    Some((_, '$')) => value.push_str("$$"),
                    Some((_, c @ ('"' | '\\' | '\''))) => value.push(c),
                    Some((_, c)) => value.extend(['\\', c]),
                    None => value.push('\\'),
                },
                c => value.push(c),
            }
        }
        self.rest = self.rest.split_once('\n').map_or("", |(_, next)| next);
        let finding = Finding::error("unclosed-quote", at.place(""), format!("unclosed quote {quote}"));
        self.findings.push(finding.with_help("close the quote at the end of the value"));
        Raw::Literal(String::new())
    }

    /// The byte offset of the rest in the file.
    fn offset(&self) -> usize {
        self.file.text().len() - self.rest.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(String, String)>, Vec<Finding>) {
        let around = Variables::from([("HOST".into(), "box".into()), ("SEEN".into(), "from around".into())]);
        let mut findings = Findings::default();
        let file = SourceFile::new(".env", text);
        let variables = parse(&file, &around, &mut findings);
        (variables.into_iter().map(|(name, value)| (name, value.value)).collect(), findings.into_sorted())
    }

    #[test]
    fn every_form() {
        let table = [
            ("A=1", "1"),
            ("A=", ""),
            ("A = spaced ", "spaced"),
            ("export A=1", "1"),
            ("\u{feff}A=1\r\n", "1"),
            ("# said\n\nA=1 # why", "1"),
            ("A=a#b", "a#b"),
            ("A=#", ""),
            ("A='single # $HOST \\n'", "single # $HOST \\n"),
            ("A=\"double # $HOST \\n\\\"\"", "double # box \n\""),
            ("A=\"two\nlines\" # why\n", "two\nlines"),
            ("A=$HOST/${NOT:-d}", "box/d"),
            ("A=\"\\$HOST\"", "$HOST"),
            ("A=a=b", "a=b"),
            ("A: yaml", "yaml"),
            ("A=rtsp://u:p@host/x?a=1", "rtsp://u:p@host/x?a=1"),
        ];
        for (text, expected) in table {
            let (variables, findings) = read(text);
            assert!(findings.is_empty(), "{text}: {findings:?}");
            assert_eq!(variables, [("A".to_owned(), expected.to_owned())], "{text}");
        }
    }

    #[test]
    fn names_alone_and_what_is_above() {
        let (variables, _) = read("SEEN\nUNSEEN\nB=${SEEN}!\nC=$B");
        let expected = [("SEEN", "from around"), ("B", "from around!"), ("C", "from around!")];
        assert_eq!(variables, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn invalid_lines_are_reported_and_their_values_masked() {
        let (variables, findings) = read("A=1\nnot a variable=s3cret\nB='open\nC=3");
        assert_eq!(variables.len(), 3, "{variables:?}");
        let places: Vec<_> =
            findings.iter().map(|f| (f.code, f.place.as_ref().unwrap().to_string())).collect();
        let expected = [("invalid-variable", ".env:2:1"), ("unclosed-quote", ".env:3:1")];
        assert_eq!(places, expected.map(|(code, place)| (code, place.to_owned())));
        assert!(!findings[0].to_string().contains("s3cret"), "{findings:?}");
    }
}
