//! Writes a finding as text: the message, and the line of the file with a caret.

use std::borrow::Cow;
use std::fmt;

use unicode_width::UnicodeWidthChar as _;

use super::{Finding, Place, Severity};

/// The maximum number of characters shown of a line.
const WINDOW: usize = 110;

/// Parts of names of variables and keys whose values are masked.
const SECRET_NAMES: [&str; 7] = ["secret", "password", "passwd", "token", "credential", "api_key", "apikey"];

pub(super) fn write(f: &mut fmt::Formatter<'_>, finding: &Finding, colour: bool) -> fmt::Result {
    let paint = Paint(colour);
    if let Some(place) = &finding.place {
        write!(f, "{}: ", paint.bold(place))?;
    }
    let message = without_passwords(&printable(&finding.message)).into_owned();
    write!(f, "{} {}", paint.severity(finding.severity), paint.bold(message))?;
    if let Some(place) = &finding.place {
        if let Some(line) = place.file.line(place.line) {
            write_line(f, line, place, finding.severity, paint)?;
        }
        if !place.path.is_empty() {
            write!(f, "\n  {}", paint.dim(format_args!("at {}", printable(&place.path))))?;
        }
    }
    if let Some(help) = &finding.help {
        write!(f, "\n  {} {}", paint.bold("help:"), printable(help))?;
    }
    Ok(())
}

/// Writes the line with its number, and a caret under the place.
fn write_line(
    f: &mut fmt::Formatter<'_>,
    line: &str,
    place: &Place,
    severity: Severity,
    paint: Paint,
) -> fmt::Result {
    let characters: Vec<char> = masked(line, &place.path).chars().collect();
    let begin = place.column.saturating_sub(1).min(characters.len());
    let end = (begin + place.length).min(characters.len()).max(begin);
    // In a long line, show the place with some context.
    let first = if characters.len() <= WINDOW { 0 } else { begin.saturating_sub(WINDOW / 3) };
    let last = characters.len().min(first + WINDOW);
    let shown = |range: &[char]| printable(&range.iter().collect::<String>()).into_owned();
    let width = |text: &str| text.chars().filter_map(|c| c.width()).sum::<usize>();
    let (before, marked) =
        (shown(&characters[first..begin]), shown(&characters[begin..end.min(last).max(begin)]));
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let (left, right) = (if first > 0 { "…" } else { "" }, if last < characters.len() { "…" } else { "" });
    let text = shown(&characters[first..last]);
    write!(f, "\n  {} {left}{text}{right}", paint.dim(format_args!("{number} |")))?;
    let carets = "^".repeat(width(&marked).max(1));
    let indent = " ".repeat(width(left) + width(&before));
    write!(f, "\n  {} {indent}{}", paint.dim(format_args!("{margin} |")), paint.of(severity, carets))
}

/// The text without terminal control characters; a tab becomes a space.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    // This includes bidirectional controls (Unicode UAX #9), which can make a line look different from what it says.
    let is_steering = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_steering) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if is_steering(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Masks the password of every URL in the text, one `*` for each character.
pub(super) fn without_passwords(text: &str) -> Cow<'_, str> {
    let mut secret = vec![];
    let mut from = 0;
    while let Some(at) = text[from..].find("://") {
        let authority = from + at + 3;
        let rest = &text[authority..];
        let end = rest.find(|c: char| c.is_whitespace() || "/\"'".contains(c)).unwrap_or(rest.len());
        // A password may contain an unescaped `@`.
        if let Some(host) = rest[..end].rfind('@') {
            let begin = rest[..host].find(':').map_or(host, |colon| colon + 1);
            secret.push(authority + begin..authority + host);
        }
        from = authority;
    }
    if secret.is_empty() {
        return Cow::Borrowed(text);
    }
    text.char_indices()
        .map(|(at, c)| if secret.iter().any(|range| range.contains(&at)) { '*' } else { c })
        .collect()
}

/// Masks the passwords in a line: those of URLs, and what follows a name that suggests a secret.
fn masked(line: &str, path: &str) -> String {
    let line = without_passwords(line);
    let lower = line.to_ascii_lowercase();
    let mut secret_from = line.len();
    for name in SECRET_NAMES {
        if let Some(at) = lower.find(name)
            && let Some(sign) = lower[at..].find([':', '='])
        {
            secret_from = secret_from.min(at + sign + 1);
        }
    }
    // In a file of variables every value is masked.
    if path.is_empty()
        && let Some(sign) = line.find('=')
    {
        secret_from = secret_from.min(sign + 1);
    }
    line.char_indices()
        .map(|(at, c)| if at >= secret_from && !c.is_whitespace() && !"\"',]}".contains(c) { '*' } else { c })
        .collect()
}

/// Whether to write SGR colour sequences (ECMA-48).
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn sgr(self, code: &'static str, text: impl fmt::Display) -> impl fmt::Display {
        fmt::from_fn(move |f| match self.0 {
            true => write!(f, "\x1b[{code}m{text}\x1b[0m"),
            false => write!(f, "{text}"),
        })
    }

    fn bold(self, text: impl fmt::Display) -> impl fmt::Display {
        self.sgr("1", text)
    }

    fn dim(self, text: impl fmt::Display) -> impl fmt::Display {
        self.sgr("2", text)
    }

    fn of(self, severity: Severity, text: impl fmt::Display) -> impl fmt::Display {
        let code = match severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
            Severity::Note => "1;36",
        };
        self.sgr(code, text)
    }

    fn severity(self, severity: Severity) -> impl fmt::Display {
        self.of(severity, format_args!("{severity}:").to_string())
    }
}
