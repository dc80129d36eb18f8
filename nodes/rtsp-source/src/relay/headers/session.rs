//! `Session` (RFC 2326, section 12.37).

use std::time::Duration;

use super::parameters::parameters;

/// Maximum length of an id, bytes. RFC 2326 sets no limit; cameras use 8 to 32 characters.
const MAX_ID: usize = 256;

/// The session that a camera has opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// The id as the camera writes it, also with characters that RFC 2326 does not allow: later requests repeat it.
    pub(crate) id: String,
    /// Time after which the camera ends the session without a request.
    pub(crate) timeout: Option<Duration>,
}

impl Session {
    /// Reads `12345678;timeout=60`. `None` if there is no id that a request can repeat.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        // A header that came twice is joined by a comma and a blank.
        let id = value.split(';').next()?.split(", ").next()?.trim();
        let is_printable = id.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if id.is_empty() || id.len() > MAX_ID || !is_printable {
            return None;
        }
        let seconds = parameters(value).find_map(|(name, value)| {
            let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
            let seconds: u32 = value[..end].parse().ok()?;
            (name == "timeout" && seconds > 0).then_some(seconds)
        });
        Some(Self { id: id.to_owned(), timeout: seconds.map(|seconds| Duration::from_secs(seconds.into())) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        for (value, id, timeout) in [
            ("12345678", "12345678", None),
            ("12345678;timeout=60", "12345678", Some(60)),
            ("  12345678 ; Timeout = 60s ", "12345678", Some(60)),
            ("12345678;timeout=\"60\"", "12345678", Some(60)),
            ("12345678;x=1;;TIMEOUT=90;", "12345678", Some(90)),
            ("12345678, 12345678;timeout=60", "12345678", Some(60)),
            ("a{b}/c,d=\"e f\"", "a{b}/c,d=\"e f\"", None),
            ("1;timeout=0", "1", None),
            ("1;timeout=-5", "1", None),
            ("1;timeout=99999999999", "1", None),
            ("1;timeout", "1", None),
        ] {
            let timeout = timeout.map(Duration::from_secs);
            assert_eq!(Session::parse(value), Some(Session { id: id.to_owned(), timeout }), "{value:?}");
        }
    }

    #[test]
    fn an_id_that_no_request_can_repeat_is_rejected() {
        for value in ["", " ;timeout=60", "a\r\nb", "a\u{7}", "ä", &"x".repeat(257)] {
            assert_eq!(Session::parse(value), None, "{value:?}");
        }
    }
}
