//! Names that S3 allows for buckets.

use std::net::Ipv4Addr;

/// A name that S3 does not allow for a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid bucket name '{name}': {reason}")]
pub struct InvalidBucketName {
    /// The name.
    pub name: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

/// A name that AWS refuses for new buckets, and that an old bucket can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "bucket name '{}' is of the legacy form, which only buckets in us-east-1 created before March 2018 have; today's rule: {}",
    invalid.name,
    invalid.reason
)]
pub struct LegacyBucketName {
    invalid: InvalidBucketName,
}

impl LegacyBucketName {
    /// The code of the finding in `msight check`, and of the line in the pusher's log.
    pub const CODE: &'static str = "legacy-bucket-name";
}

/// Checks the name of a bucket on AWS: buckets keep the names that they were given before the rules of
/// [`check_bucket_name`]. Those are 3 to 255 letters, digits, dots, hyphens and underscores. Returns whether it is such a
/// name.
///
/// # Errors
/// No bucket can have the name; the error states today's rule that it breaks.
pub fn check_aws_bucket_name(name: &str) -> Result<Option<LegacyBucketName>, InvalidBucketName> {
    let Err(invalid) = check_bucket_name(name) else { return Ok(None) };
    let is_legacy = (3..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && name.parse::<Ipv4Addr>().is_err();
    if is_legacy { Ok(Some(LegacyBucketName { invalid })) } else { Err(invalid) }
}

/// Checks a name by the "General purpose bucket naming rules" of Amazon S3, which other servers apply too.
///
/// # Errors
/// The name breaks a rule; the error states the rule.
pub fn check_bucket_name(name: &str) -> Result<(), InvalidBucketName> {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().last()];
    let reason = if !(3..=63).contains(&name.len()) {
        "use 3 to 63 characters"
    } else if !name.bytes().all(|byte| is_alphanumeric(byte) || b".-".contains(&byte)) {
        "use lower-case letters, digits, dots and hyphens"
    } else if !ends.into_iter().flatten().all(is_alphanumeric) {
        "begin and end it with a letter or digit"
    } else if name.contains("..") {
        "use no two dots in a row"
    } else if name.parse::<Ipv4Addr>().is_ok() {
        "it is an IP address"
    } else if name.starts_with("xn--") || name.starts_with("sthree-") {
        "the prefixes xn-- and sthree- are reserved"
    } else if name.ends_with("-s3alias") || name.ends_with("--ol-s3") {
        "the suffixes -s3alias and --ol-s3 are reserved"
    } else {
        return Ok(());
    };
    Err(InvalidBucketName { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_s3() {
        for good in ["abc", "my-videos.north", "1st", &"b".repeat(63), "xn-videos"] {
            assert_eq!(check_bucket_name(good), Ok(()));
        }
        for bad in [
            "",
            "ab",
            "Videos",
            "my_videos",
            "-abc",
            "abc-",
            ".abc",
            "a..b",
            "192.168.5.4",
            "xn--abc",
            "a/b",
            "../up",
            "b\u{fc}cket",
            "abc-s3alias",
            &"b".repeat(64),
        ] {
            let error = check_bucket_name(bad).unwrap_err();
            assert!(error.to_string().contains(error.reason), "{error}");
        }
    }

    #[test]
    fn aws_keeps_older_names() {
        for legacy in ["Videos", "my_videos", "-abc", "a..b", &"B".repeat(255)] {
            let found = check_aws_bucket_name(legacy).unwrap().expect("a legacy name").to_string();
            assert!(found.contains(legacy) && found.contains("us-east-1"), "{found}");
        }
        assert_eq!(check_aws_bucket_name("my-videos"), Ok(None));
        for bad in ["", "Ab", "192.168.5.4", "a/b", "../up", "b\u{fc}cket", "my videos", &"B".repeat(256)] {
            assert!(check_aws_bucket_name(bad).is_err(), "{bad}");
        }
    }
}
