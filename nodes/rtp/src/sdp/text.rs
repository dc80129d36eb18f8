//! Lines and pieces of text in a description.

/// A longer line is skipped, bytes. The longest ones carry parameter sets, which have some hundred bytes each.
const MAX_LINE: usize = 32 << 10;

/// The lines of a description: their type, and what follows the `=`. Other lines are skipped.
///
/// A NUL ends a line, because some cameras send a buffer of fixed length.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (char, &str)> {
    text.split(['\r', '\n', '\0']).filter(|line| line.len() <= MAX_LINE).filter_map(|line| {
        // A byte order mark, also that of UTF-16, after its conversion.
        let line =
            line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{fffd}'));
        let mut characters = line.chars();
        let kind = characters.next()?.to_ascii_lowercase();
        let value = characters.as_str().trim_start().strip_prefix('=')?;
        Some((kind, value.trim()))
    })
}

/// The number at the beginning of a text, as in `90000` and `90000Hz`, and what follows it.
pub(super) fn number(text: &str) -> Option<(u32, &str)> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

/// A text of the camera without control characters, if it has at most `limit` characters.
pub(super) fn printable(text: &str, limit: usize) -> Option<String> {
    let clean: String = text.chars().filter(|c| !c.is_control()).take(limit + 1).collect();
    (clean.chars().count() <= limit).then_some(clean)
}

/// A text of the camera without control characters, cut to `limit` characters.
pub(super) fn cut(text: &str, limit: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(limit).collect()
}
