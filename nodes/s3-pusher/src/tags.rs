//! `--tags`: object tags in S3's form.

use std::fmt::Write as _;

/// Parses `key=value,key=value` into the query string of the header `x-amz-tagging`. The limits are those of "Categorizing
/// your storage using tags": 10 tags, keys up to 128 characters, values up to 256.
///
/// # Errors
/// The tags are invalid; the text tells the user how.
pub fn parse(text: &str) -> Result<String, String> {
    let mut keys = Vec::new();
    let mut query = String::new();
    for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
        let (key, value) = tag.split_once('=').ok_or_else(|| format!("'{tag}' is not key=value"))?;
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(format!("invalid tag '{tag}': a key has 1 to 128 characters, a value up to 256"));
        }
        if key.starts_with("aws:") {
            return Err(format!("invalid tag '{tag}': keys that start with aws: are reserved"));
        }
        if keys.contains(&key) {
            return Err(format!("duplicate key '{key}'"));
        }
        keys.push(key);
        if !query.is_empty() {
            query.push('&');
        }
        encode(&mut query, key);
        query.push('=');
        encode(&mut query, value);
    }
    if keys.len() > 10 {
        return Err(format!("too many tags: {}, of which an object has at most 10", keys.len()));
    }
    Ok(query)
}

fn encode(query: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            query.push(byte.into());
        } else {
            let _ = write!(query, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_a_query_string() {
        assert_eq!(parse("site=a b, kind=v/ü&=1"), Ok("site=a%20b&kind=v%2F%C3%BC%26%3D1".to_owned()));
        assert_eq!(parse(""), Ok(String::new()));
        assert_eq!(parse("empty="), Ok("empty=".to_owned()));
    }

    #[test]
    fn invalid_tags_are_rejected() {
        let many: Vec<_> = (0..11).map(|n| format!("k{n}=v")).collect();
        for wrong in ["a", "=v", "a=1,a=2", "aws:x=1", &format!("{}=v", "k".repeat(129)), &many.join(",")] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
