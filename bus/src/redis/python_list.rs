//! Parses a Python list of strings, the form of one environment variable.

/// The elements of `['a', "b"]`; `None` for any other text. Backslash escapes are not supported: host names have none.
pub(super) fn strings(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut elements = Vec::new();
    while let Some(quote) = rest.chars().next() {
        if quote != '\'' && quote != '"' {
            return None;
        }
        let (element, after) = rest[1..].split_once(quote)?;
        elements.push(element.to_owned());
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(elements)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_of_strings_and_nothing_else() {
        assert_eq!(strings("[]").unwrap(), [""; 0]);
        assert_eq!(strings(" [ 'a' , \"b'\" , ] ").unwrap(), ["a", "b'"]);
        for text in ["", "a", "['a' 'b']", "[,]", "['a',,]", "[a]", "['a]", "('a',)", "['a'"] {
            assert_eq!(strings(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]'\", aé]{0,20}") {
            let _ = strings(&text);
        }

        #[test]
        fn quoted_strings_are_returned(elements in proptest::collection::vec("[^'\\\\]{0,8}", 0..5)) {
            let text = format!("[{}]", elements.iter().map(|e| format!("'{e}'")).collect::<Vec<_>>().join(", "));
            prop_assert_eq!(strings(&text), Some(elements));
        }
    }
}
