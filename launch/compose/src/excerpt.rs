//! Writes a finding as text: the message, and the line of the file with a caret.

use std::fmt;

use unicode_width::UnicodeWidthChar as _;

use super::terminal::printable;
use super::{Finding, Place, Severity, redact};

/// The maximum number of characters shown of a line.
const WINDOW: usize = 110;

pub(super) fn write(f: &mut fmt::Formatter<'_>, finding: &Finding, colour: bool) -> fmt::Result {
    let paint = Paint(colour);
    if let Some(place) = &finding.place {
        write!(f, "{}: ", paint.bold(place))?;
    }
    let message = redact::message(&printable(&finding.message)).into_owned();
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
        write!(f, "\n  {} {}", paint.bold("help:"), redact::message(&printable(help)))?;
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
    let characters: Vec<char> = redact::line(line, &place.path).chars().collect();
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
