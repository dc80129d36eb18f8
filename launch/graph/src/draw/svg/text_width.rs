//! The width of text in a font that the browser chooses: that of Verdana, one of the widest, so that a label fits into
//! its box in other fonts as well.

use msight_compose::terminal;

/// The font size of names in pixels.
pub(super) const TEXT: f64 = 13.0;

/// The font size of what stands below names.
pub(super) const SMALL: f64 = 11.0;

/// The maximum number of characters that are shown of a text.
const MAX_CHARS: usize = 44;

/// The text as it is drawn: a long one ends in an ellipsis.
pub(super) fn shortened(text: &str) -> String {
    terminal::shortened(text, MAX_CHARS)
}

/// The width of a text as it is drawn, in pixels.
pub(super) fn width(text: &str, font_size: f64) -> f64 {
    shortened(text).chars().map(em).sum::<f64>() * font_size
}

/// The advance width of a character in font sizes.
fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | '\'' | ' ' | '|' | '!' => 0.4,
        'f' | 't' | 'r' | 'I' | 'J' | ':' | ';' | '-' | '/' | '\\' | '(' | ')' | '[' | ']' => 0.47,
        'm' | 'M' | 'w' | 'W' | '@' | '%' => 1.08,
        'a'..='z' | '0'..='9' | '_' | '"' | '*' | '?' => 0.65,
        'A'..='Z' => 0.8,
        // Scripts whose letters are as wide as high, and emoji.
        c if c >= '\u{1100}' && c != '…' => 1.2,
        _ => 0.9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_at_least_as_wide_as_in_verdana() {
        // Advance widths of Verdana in font sizes, from its `hmtx` table.
        let verdana = [
            ("msight_launch_rtsp", 10.34),
            ("frames", 3.56),
            ("ImageData", 5.44),
            ("WWW", 2.97),
            ("10.0.0.11:8554", 8.11),
        ];
        for (text, ems) in verdana {
            let width = width(text, 1.0);
            assert!((ems..ems * 1.25).contains(&width), "{text}: {width}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(shortened("frames"), "frames");
        let cut = shortened(&"ü".repeat(500));
        assert!(cut.ends_with("ü…") && cut.chars().count() == MAX_CHARS, "{cut}");
    }
}
