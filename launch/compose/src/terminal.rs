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

/// JSON text, indented or not, with its control characters escaped as JSON has it, `\u202e`. It is the same document.
pub fn escaped_json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut safe, c| {
        match c {
            // Between two values: within a string, JSON has none.
            '\n' => safe.push(c),
            // All of them are below U+10000.
            c if is_steering(c) => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => safe.push(c),
        }
        safe
    })
}

/// The text for a cell of a table: escaped, and cut after 120 characters.
pub fn cell(text: &str) -> String {
    shortened(text, MAX_CELL)
}

/// The text escaped, and cut after `max` characters.
pub fn shortened(text: &str, max: usize) -> String {
    // Each character gives at least one, so the rest of a long text need not be read.
    let mut begin = text.char_indices().skip(max);
    let head = begin.next().map_or(text, |(end, _)| &text[..end]);
    let safe = escaped(head);
    if head.len() == text.len() && safe.chars().count() <= max {
        return safe;
    }
    safe.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(printable("a\tb\x1b[2Jc\u{202e}d"), "a b\u{fffd}[2Jc\u{fffd}d");
        assert_eq!(escaped("a\u{202e}\x1bü\n"), "a\\u{202e}\\u{1b}ü\\n");
        assert_eq!(cell("a\u{2066}b"), "a\\u{2066}b");
        assert_eq!(shortened("a\u{2066}b", 3), "a\\…");
    }

    #[test]
    fn json_is_the_same_document_without_control_characters() {
        let json = "{\n  \"a\u{202e}\": \"\\n\u{7f}\u{9b}ü\"\n}";
        let safe = escaped_json(json);
        assert_eq!(safe, "{\n  \"a\\u202e\": \"\\n\\u007f\\u009bü\"\n}");
        assert_eq!(escaped_json(&safe), safe);
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
