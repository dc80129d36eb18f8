//! `CSeq` (RFC 2326, section 12.17).

/// The number of a `CSeq`. Cameras pad it with zeros, quote it, or send the header twice.
pub(crate) fn sequence(value: &str) -> Option<u32> {
    let value = value.trim_matches(|c: char| c.is_whitespace() || c == '"');
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_read_however_it_is_written() {
        for (value, wanted) in [
            ("12", Some(12)),
            (" 0012 ", Some(12)),
            ("\"12\"", Some(12)),
            ("12, 12", Some(12)),
            ("", None),
            ("x", None),
            ("-1", None),
            ("99999999999", None),
        ] {
            assert_eq!(sequence(value), wanted, "{value:?}");
        }
    }
}
