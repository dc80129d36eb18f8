//! A command as one text, split into words: quotes and backslashes as the POSIX shell has them (XCU 2.2), and
//! nothing else that a shell does. The crates for this take `#` for a comment, which Compose does not.

/// The words of a text, and what is odd about it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    /// The first character outside quotes that a shell would act on. Nothing does here.
    pub(super) operator: Option<char>,
    /// The quote that is not closed.
    pub(super) open_quote: Option<char>,
}

/// Splits `text` at blanks outside quotes.
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
                // A line that goes on in the next one.
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

/// Reads to the end of a quotation; false if it has none.
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
}
