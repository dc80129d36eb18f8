//! What a mistyped name was probably meant to be.

/// The nearest of `names`, if no more than a third of the letters differ. Dashes and underscores count as the same.
pub fn closest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing costs the product of the lengths, and no name is this long.
    if written.len() > 64 {
        return None;
    }
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let written = plain(written);
    let distances = names.into_iter().map(|name| (strsim::damerau_levenshtein(&written, &plain(name)), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (written.chars().count() / 3).max(1)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_similar_name_is_suggested() {
        let names = ["redis", "s3", "buffer-size", "publish-topic"];
        for (written, expected) in [
            ("rediss", Some("redis")),
            ("S4", Some("s3")),
            ("bufer_size", Some("buffer-size")),
            ("publish-topc", Some("publish-topic")),
            ("warehouse", None),
            ("", None),
        ] {
            assert_eq!(closest(written, names), expected, "{written}");
        }
        let long = "x".repeat(65);
        assert_eq!(closest(&long, [long.as_str()]), None);
    }
}
