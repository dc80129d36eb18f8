//! Values of flags, found wrong before anything is connected to.

use crate::failure::is_region;
use crate::key::MAX_PREFIX;

/// A bucket's name or the ARN of an access point. The rules are those that all servers share ("General purpose
/// bucket naming rules", and the older ones with capitals, underscores and up to 255 characters).
pub(crate) fn bucket(text: &str) -> Result<String, String> {
    if text.starts_with("s3://") || (text.contains('/') && !text.starts_with("arn:")) {
        return Err(format!("'{text}': a bucket's name alone; what its keys begin with is for --prefix"));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_arn = text.starts_with("arn:") && text.bytes().all(|byte| fits(byte) || b":/".contains(&byte));
    if is_arn || ((3..=255).contains(&text.len()) && text.bytes().all(fits)) {
        return Ok(text.to_owned());
    }
    Err(format!("'{text}': a bucket's name is 3 to 63 lower-case letters, digits, dots and hyphens"))
}

/// What keys begin with, short enough for the rest of the key.
pub(crate) fn prefix(text: &str) -> Result<String, String> {
    let length = text.trim_end_matches('/').len();
    if length > MAX_PREFIX {
        return Err(format!("{length} bytes; at most {MAX_PREFIX} leave room for the rest of an S3 key"));
    }
    if text.chars().any(char::is_control) {
        return Err("control characters cannot stand in keys".to_owned());
    }
    Ok(text.to_owned())
}

/// A region, as it stands in host names.
pub(crate) fn region(text: &str) -> Result<String, String> {
    if is_region(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("'{text}': a region is such as eu-west-1"))
    }
}

/// What goes into a header as it is.
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
        for good in ["videos", "a.b-c", "Old_Bucket", "arn:aws:s3:eu-west-1:123456789012:accesspoint/videos"]
        {
            assert_eq!(bucket(good).as_deref(), Ok(good));
        }
        for bad in
            ["", "ab", "s3://videos", "videos/north", "my videos", "v\nx", "b\u{fc}cket", &"b".repeat(256)]
        {
            assert!(bucket(bad).is_err(), "{bad:?}");
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
