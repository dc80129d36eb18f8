//! Text from outside on a terminal: control characters and bidirectional controls never reach it, and length is limited.

use std::borrow::Cow;

/// The maximum number of characters of a [`cell`].
const MAX_CELL: usize = 120;

/// Whether a character steers a terminal: a control character, or a bidirectional control (Unicode UAX #9), which can
/// make a line look different from its content.
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with a replacement character for each control character; a tab becomes a space.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_steering) {
        return Cow::Borrowed(text);
    }
    let shown = |c| match c {
        '\t' => ' ',
        c if is_steering(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The text with its control characters escaped, as `\u{202e}`.
pub fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut safe, c| {
        match c {
            '\n' | '\r' | '\t' => safe.extend(c.escape_default()),
            c if is_steering(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
        safe
    })
}

/// The text for a cell of a table: escaped, and cut after 120 characters.
pub fn cell(text: &str) -> String {
    // Each character gives at least one, so the rest of a long text need not be read.
    let mut begin = text.char_indices().skip(MAX_CELL);
    let head = begin.next().map_or(text, |(end, _)| &text[..end]);
    let safe = escaped(head);
    if head.len() == text.len() && safe.chars().count() <= MAX_CELL {
        return safe;
    }
    safe.chars().take(MAX_CELL - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(printable("a\tb\x1b[2Jc\u{202e}d"), "a b\u{fffd}[2Jc\u{fffd}d");
        assert_eq!(escaped("a\u{202e}\x1bü\n"), "a\\u{202e}\\u{1b}ü\\n");
        assert_eq!(cell("a\u{2066}b"), "a\\u{2066}b");
    }

    #[test]
    fn a_cell_has_a_maximum_width() {
        for text in ["x".repeat(64 << 10), "\u{1b}".repeat(100), "ü".repeat(121)] {
            let cell = cell(&text);
            assert_eq!(cell.chars().count(), MAX_CELL);
            assert!(cell.ends_with('…'), "{cell}");
        }
        assert_eq!(cell(&"x".repeat(MAX_CELL)), "x".repeat(MAX_CELL));
    }
}
