//! Splits a command into words, with the quotes and backslashes of the POSIX shell (XCU 2.2) and nothing else of a
//! shell. The crates for this treat `#` as a comment, which Compose does not.

/// The words of a text, and its problems.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    /// The first character outside quotes that a shell would interpret. It is kept in its word.
    pub(super) operator: Option<char>,
    /// A quote that is not closed.
    pub(super) open_quote: Option<char>,
}

/// A word as a shell takes it: in quotes where it needs them.
pub fn quote(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-+:@%=,".contains(letter));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Splits `text` at white space outside quotes.
pub(super) fn split(text: &str) -> Words {
    let mut found = Words::default();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => found.words.extend(word.take()),
            '\'' | '"' => {
                if !quoted(c, &mut characters, word.get_or_insert_default()) {
                    found.open_quote = Some(c);
                }
            }
            '\\' => match characters.next() {
                // A line continuation.
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => word.get_or_insert_default().push('\\'),
            },
            c => {
                if found.operator.is_none() && ";&|<>()".contains(c) {
                    found.operator = Some(c);
                }
                word.get_or_insert_default().push(c);
            }
        }
    }
    found.words.extend(word);
    found
}

/// Reads to the closing quote; false if it is missing.
fn quoted(quote: char, characters: &mut std::str::Chars<'_>, word: &mut String) -> bool {
    while let Some(c) = characters.next() {
        match c {
            c if c == quote => return true,
            '\\' if quote == '"' => match characters.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some('\n') => {}
                Some(c) => word.extend(['\\', c]),
                None => word.push('\\'),
            },
            c => word.push(c),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_a_shell_would() {
        let table: [(&str, &[&str]); 14] = [
            ("", &[]),
            ("  \n ", &[]),
            ("a b  c\n", &["a", "b", "c"]),
            ("-n 'two words' x", &["-n", "two words", "x"]),
            ("-n \"two words\"", &["-n", "two words"]),
            ("a''b", &["ab"]),
            ("'' \"\"", &["", ""]),
            (r"two\ words", &["two words"]),
            (r#""a \" b""#, &["a \" b"]),
            (r#""a \n b""#, &[r"a \n b"]),
            (r"'a \n b'", &[r"a \n b"]),
            ("a \\\n b", &["a", "b"]),
            ("color #fff", &["color", "#fff"]),
            ("it\"'\"s", &["it's"]),
        ];
        for (text, expected) in table {
            let found = split(text);
            assert_eq!(found.words, expected, "{text}");
            assert_eq!((found.operator, found.open_quote), (None, None), "{text}");
        }
    }

    #[test]
    fn what_only_a_shell_understands_is_named() {
        assert_eq!(split("a | b").operator, Some('|'));
        assert_eq!(split("rtsp://h/?a=1&b=2").operator, Some('&'));
        assert_eq!(split("'a | b' \"c;d\"").operator, None);
        assert_eq!(split("a 'b").open_quote, Some('\''));
        assert_eq!(split("a \"b\\\"").open_quote, Some('"'));
    }

    #[test]
    fn a_word_can_be_pasted_into_a_shell() {
        for (word, written) in
            [("a/b_1.mp4", "a/b_1.mp4"), ("my dir/it's.mp4", r"'my dir/it'\''s.mp4'"), ("", "''")]
        {
            assert_eq!(quote(word), written);
            assert_eq!(split(written).words, [word]);
        }
    }
}
