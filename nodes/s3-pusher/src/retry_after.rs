//! The header `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use std::time::{Duration, SystemTime};

/// How long to wait before the next request; `None` if the header is invalid. A date is compared with the answer's `Date`,
/// so that only the server's clock counts, or else with `now`.
pub fn parse(value: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let read =
        |text: &str| SystemTime::try_from(DateTime::from_str(text, DateTimeFormat::HttpDate).ok()?).ok();
    let from = date.and_then(read).unwrap_or(now);
    // A date in the past means no wait.
    read(value).map(|until| until.duration_since(from).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_and_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let seconds = |value, date| parse(value, date, now).map(|asked| asked.as_secs());
        assert_eq!(seconds(" 12 ", None), Some(12));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:07 GMT", None), Some(30));
        assert_eq!(
            seconds("Sun, 06 Nov 1994 08:50:07 GMT", Some("Sun, 06 Nov 1994 08:50:00 GMT")),
            Some(7),
            "by the server's clock"
        );
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT", None), Some(0));
        for wrong in ["", "-1", "soon", "1.5", "Sun, 06 Nov 19944 08:50:07 GMT"] {
            assert_eq!(seconds(wrong, None), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_left(value in any::<String>(), date in proptest::option::of(any::<String>())) {
            let _ = parse(&value, date.as_deref(), SystemTime::now());
        }
    }
}
