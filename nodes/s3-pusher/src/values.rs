//! Values of flags, validated before the node connects.

use crate::sdk_error::is_region;
use crate::spooling::Keep;
use msight_segment::{LegacyBucketName, MAX_PREFIX, check_aws_bucket_name, check_bucket_name};
use std::time::Duration;

/// A bucket's name or the ARN of an access point.
pub(crate) fn bucket(text: &str) -> Result<String, String> {
    if text.starts_with("s3://") || (text.contains('/') && !text.starts_with("arn:")) {
        return Err(format!(
            "'{text}' is not a bucket's name; give the name alone, and the prefix of the keys as --prefix"
        ));
    }
    // The tutorial's SOME_BUCKET_NAME, which is of the legacy form.
    if text.ends_with("BUCKET_NAME") {
        return Err(format!("'{text}' is a placeholder; replace it by the name of your bucket"));
    }
    if !is_arn(text) {
        check_aws_bucket_name(text).map_err(|invalid| invalid.to_string())?;
    }
    Ok(text.to_owned())
}

fn is_arn(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    text.starts_with("arn:") && text.bytes().all(fits)
}

/// Checks an accepted name again, now that its server is known: AWS has buckets with names of the legacy form.
///
/// # Errors
/// Another server would refuse the name.
pub(crate) fn bucket_of_server(text: &str, is_aws: bool) -> Result<Option<LegacyBucketName>, String> {
    if is_arn(text) {
        return Ok(None);
    }
    let found = if is_aws { check_aws_bucket_name(text) } else { check_bucket_name(text).map(|()| None) };
    found.map_err(|invalid| invalid.to_string())
}

/// A prefix of keys, short enough for the rest of the key.
pub(crate) fn prefix(text: &str) -> Result<String, String> {
    let length = text.trim_end_matches('/').len();
    if length > MAX_PREFIX {
        return Err(format!("too long: {length} bytes, of which an S3 key has room for {MAX_PREFIX}"));
    }
    if text.chars().any(char::is_control) {
        return Err("object keys cannot have control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// How long uploaded segments are kept: a number of seconds, or `forever`.
pub(crate) fn keep(text: &str) -> Result<Keep, String> {
    if text == "forever" {
        return Ok(Keep::Forever);
    }
    let seconds = text.parse::<u64>();
    seconds.map(|seconds| Keep::For(Duration::from_secs(seconds))).map_err(|_| {
        format!("invalid time '{text}'; use a number of seconds, such as 86400 for a day, or forever")
    })
}

/// A region, as a part of host names.
pub(crate) fn region(text: &str) -> Result<String, String> {
    if is_region(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("invalid region '{text}'; an example is eu-west-1"))
    }
}

/// The value of an HTTP header.
pub(crate) fn header(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        Ok(text.to_owned())
    } else {
        Err("must be printable ASCII".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets() {
        for good in ["videos", "a.b-c", "1st.bucket", "arn:aws:s3:eu-west-1:123456789012:accesspoint/videos"]
        {
            assert_eq!(bucket(good).as_deref(), Ok(good));
        }
        for bad in
            ["", "ab", "s3://videos", "videos/north", "my videos", "v\nx", "b\u{fc}cket", &"b".repeat(256)]
        {
            assert!(bucket(bad).is_err(), "{bad:?}");
        }
        assert!(bucket("SOME_BUCKET_NAME").is_err_and(|error| error.contains("your bucket")));
    }

    #[test]
    fn names_of_the_legacy_form_are_for_aws() {
        for legacy in ["Videos", "my_videos"] {
            assert_eq!(bucket(legacy).as_deref(), Ok(legacy));
            assert!(bucket_of_server(legacy, true).is_ok_and(|found| found.is_some()));
            assert!(bucket_of_server(legacy, false).is_err_and(|error| error.contains("lower-case")));
        }
        for good in ["videos", "arn:aws:s3:eu-west-1:123456789012:accesspoint/Videos"] {
            assert_eq!([true, false].map(|is_aws| bucket_of_server(good, is_aws)), [Ok(None), Ok(None)]);
        }
    }

    #[test]
    fn prefixes_regions_and_headers() {
        assert!(prefix("").is_ok() && prefix("a/b c/").is_ok());
        assert!(prefix(&"p".repeat(MAX_PREFIX)).is_ok() && prefix(&"p".repeat(MAX_PREFIX + 1)).is_err());
        assert!(prefix("a\nb").is_err());
        assert!(region("us-gov-west-1").is_ok() && region("").is_err() && region("evil.example/").is_err());
        assert!(header("video/mp4; x=\"y\"").is_ok() && header("").is_err() && header("a\r\nb: c").is_err());
    }
}
