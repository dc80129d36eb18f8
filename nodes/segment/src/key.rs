//! The object key of a segment: MSight's layout, within the limits of S3.
//!
//! ```text
//! [<prefix>/]<device>/<sensor>/<YYYY-MM-DD>/<HH>/<int(begin)>_<int(end)>[_<suffix>].mp4
//! ```
//!
//! The layout is that of `msight_core/nodes/sink_aws_video_pusher.py`. Names come from messages and are untrusted, so
//! they are [encoded](msight_spool::encode_sensor): every key stays below its prefix, and two names never share a key.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use msight_spool::{MAX_NAME, encode_folder, encode_sensor, percent_encode};
use std::fmt::Write as _;

/// Longest object key of S3, in bytes of UTF-8 ("Naming Amazon S3 objects").
pub const MAX_KEY: usize = 1024;

/// Longest prefix, in bytes, with which every key stays within [`MAX_KEY`]: device, sensor, date, hour,
/// two times of up to 20 characters, a suffix of [`SUFFIX`] characters, separators and the extension.
pub const MAX_PREFIX: usize =
    MAX_KEY - (1 + MAX_NAME + 1 + MAX_NAME + "/YYYY-MM-DD/HH/".len() + 41 + 1 + SUFFIX + 5);

/// Characters of the suffix that distinguishes two segments of the same key.
pub const SUFFIX: usize = 16;

/// The time that gives the date and hour folders their names.
#[derive(Debug, Clone)]
pub enum Folders {
    /// The capture time of the first frame, in UTC. No hour repeats when summer time ends, and any reader can compute
    /// the key from the capture time.
    Utc,
    /// The message's `creation_timestamp` in this time zone, as in MSight.
    Local(TimeZone),
}

/// The times a key is made of, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// Capture time of the first frame.
    pub begin: f64,
    /// Capture time of the last frame.
    pub end: f64,
    /// Creation time of the message.
    pub creation: f64,
}

impl Times {
    /// Selects usable times from a message, because a wrong clock must not lose a segment. A time that is missing, not
    /// finite or outside the calendar is replaced by the next one of: first frame, the head's capture time, its
    /// creation time, 1970.
    #[must_use]
    pub fn of(capture_timestamps: Option<&[f64]>, capture: f64, creation: f64) -> Self {
        let frames = capture_timestamps.unwrap_or_default();
        let usable = |time: &f64| timestamp(*time).is_some();
        let first = frames.first().copied();
        let begin = [first, Some(capture), Some(creation)].into_iter().flatten().find(usable).unwrap_or(0.0);
        // The last time is not in a folder's name, so it may lie outside the calendar, as in MSight.
        let end = frames.last().copied().filter(|t| t.is_finite() && t.abs() < 1e18).unwrap_or(begin);
        let creation = Some(creation).filter(usable).unwrap_or(begin);
        Self { begin, end, creation }
    }
}

/// The layout of one pusher's keys.
#[derive(Debug, Clone)]
pub struct Layout {
    root: String,
    folders: Folders,
}

/// The prefix leaves no room for the rest of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the prefix has {0} bytes; at most {MAX_PREFIX} leave room for the rest of an S3 key")]
pub struct PrefixTooLong(
    /// Its length in bytes.
    pub usize,
);

impl Layout {
    /// A layout for this prefix and device. As in MSight, slashes at the end of the prefix are dropped, slashes at its
    /// start are kept, and an empty prefix adds nothing.
    ///
    /// # Errors
    /// The prefix is longer than [`MAX_PREFIX`] bytes.
    pub fn new(prefix: &str, device: &str, folders: Folders) -> Result<Self, PrefixTooLong> {
        let prefix = prefix.trim_end_matches('/');
        if prefix.len() > MAX_PREFIX {
            return Err(PrefixTooLong(prefix.len()));
        }
        let separator = if prefix.is_empty() { "" } else { "/" };
        // With a slash in a device name, device `a` with sensor `b/c` and device `a/b` with sensor `c` would share a
        // key.
        Ok(Self { root: format!("{prefix}{separator}{}", encode_folder(device)), folders })
    }

    /// The key without its extension. A missing sensor name becomes `None`, as in MSight.
    #[must_use]
    pub fn stem(&self, sensor: Option<&str>, times: Times) -> String {
        let folder = match &self.folders {
            Folders::Utc => zoned(times.begin, TimeZone::UTC),
            Folders::Local(zone) => zoned(times.creation, zone.clone()),
        };
        format!(
            "{}/{}/{}/{}_{}",
            self.root,
            encode_sensor(sensor),
            folder.strftime("%Y-%m-%d/%H"),
            times.begin.trunc() as i64,
            times.end.trunc() as i64,
        )
    }
}

/// The time as a point in the calendar; `None` if it is not finite or outside the years ±9999.
pub(crate) fn timestamp(seconds: f64) -> Option<Timestamp> {
    // A 64-bit float of seconds since 1970 is exact to about a microsecond. Rounds as Python's `datetime.fromtimestamp`
    // does.
    let micros = (seconds * 1e6).round_ties_even();
    if !micros.is_finite() || micros.abs() > 3e17 {
        return None;
    }
    Timestamp::from_microsecond(micros as i64).ok()
}

fn zoned(seconds: f64, zone: TimeZone) -> Zoned {
    timestamp(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone)
}

/// Text as the value of an HTTP header: printable ASCII, the rest percent-encoded. S3 would return other user metadata
/// in the form of RFC 2047, which few readers decode.
pub(crate) fn header_safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == ' ' || c.is_ascii_graphic() { out.push(c) } else { percent_encode(&mut out, c) }
    }
    // HTTP strips blanks at the start and end of a header's value.
    if out.starts_with(' ') || out.ends_with(' ') { out.replace(' ', "%20") } else { out }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_test_support::hostile_names::hostile_name;
    use proptest::prelude::*;

    const TIMES: Times = Times { begin: 1_699_999_993.9, end: 1_700_000_003.4, creation: 1_700_000_003.5 };

    fn stem(prefix: &str, device: &str, sensor: Option<&str>) -> String {
        Layout::new(prefix, device, Folders::Utc).unwrap().stem(sensor, TIMES)
    }

    #[test]
    fn ordinary_names_stay_unchanged() {
        assert_eq!(
            stem("p", "edge1", Some("a/b c:ü")),
            "p/edge1/a/b c:ü/2023-11-14/22/1699999993_1700000003"
        );
    }

    #[test]
    fn hostile_names_stay_below_the_prefix() {
        assert_eq!(
            stem("p", "d", Some("../../x")),
            "p/d/%2E%2E/%2E%2E/x/2023-11-14/22/1699999993_1700000003"
        );
        assert_eq!(stem("", "a/../b", Some("s")), "a%2F..%2Fb/s/2023-11-14/22/1699999993_1700000003");
    }

    #[test]
    fn long_prefixes_are_refused() {
        assert_eq!(Layout::new(&"p".repeat(500), "d", Folders::Utc).unwrap_err(), PrefixTooLong(500));
    }

    #[test]
    fn unusable_times_are_replaced() {
        let fallback = Times { begin: 7.5, end: 7.5, creation: 8.0 };
        for frames in
            [None, Some(&[][..]), Some(&[f64::NAN][..]), Some(&[f64::INFINITY][..]), Some(&[1e300][..])]
        {
            assert_eq!(Times::of(frames, 7.5, 8.0), fallback, "{frames:?}");
        }
        assert_eq!(Times::of(None, f64::NAN, f64::NAN), Times { begin: 0.0, end: 0.0, creation: 0.0 });
        assert_eq!(
            Times::of(Some(&[1.0, 2.0]), 9.0, f64::NAN),
            Times { begin: 1.0, end: 2.0, creation: 1.0 }
        );
    }

    /// The parts of a key: device, sensor and whole seconds of its first and last frame.
    #[derive(Debug, Clone, PartialEq)]
    struct Named(String, Option<String>, i32, i32);

    impl Named {
        fn stem(&self) -> String {
            let Self(device, sensor, begin, end) = self;
            let times = Times { begin: f64::from(*begin), end: f64::from(*end), creation: 0.0 };
            Layout::new("p", device, Folders::Utc).unwrap().stem(sensor.as_deref(), times)
        }
    }

    fn hostile_segment() -> impl Strategy<Value = Named> {
        let sensor = proptest::option::of(hostile_name());
        (hostile_name(), sensor, any::<i32>(), any::<i32>()).prop_map(|(d, s, b, e)| Named(d, s, b, e))
    }

    /// The first name with some parts of the other, so that the two differ only a little.
    fn mixed(one: Named, other: Named) -> impl Strategy<Value = Named> {
        any::<[bool; 4]>().prop_map(move |[d, s, b, e]| {
            let (one, other) = (one.clone(), other.clone());
            Named(
                if d { one.0 } else { other.0 },
                if s { one.1 } else { other.1 },
                if b { one.2 } else { other.2 },
                if e { one.3 } else { other.3 },
            )
        })
    }

    proptest! {
        #[test]
        fn different_segments_never_share_a_key(
            (one, other) in (hostile_segment(), hostile_segment())
                .prop_flat_map(|(one, other)| (Just(one.clone()), mixed(one, other)))
        ) {
            prop_assume!(one != other);
            prop_assert_ne!(one.stem(), other.stem(), "{:?} and {:?}", one, other);
        }

        #[test]
        fn keys_stay_below_their_prefix(prefix in "[a-z/]{0,20}", device in hostile_name(), sensor in hostile_name(),
                                        frames in prop::collection::vec(any::<f64>(), 0..3), capture in any::<f64>(), creation in any::<f64>()) {
            let layout = Layout::new(&prefix, &device, Folders::Utc).unwrap();
            let key = layout.stem(Some(&sensor), Times::of(Some(&frames), capture, creation));
            prop_assert!(key.len() + 1 + SUFFIX + 5 <= MAX_KEY);
            let prefix = prefix.trim_end_matches('/');
            let below = key.strip_prefix(prefix).unwrap();
            let below = if prefix.is_empty() { below } else { below.strip_prefix('/').unwrap() };
            let parts: Vec<_> = below.split('/').collect();
            prop_assert!(parts.len() >= 5, "{}", key);
            prop_assert!(parts.iter().all(|part| !matches!(*part, "" | "." | "..")), "{}", key);
            prop_assert!(!key.chars().any(char::is_control));
            // Any device name is one part; slashes in the sensor's name stay separators.
            let slashes = sensor.matches('/').count();
            if parts[1..parts.len() - 3].iter().all(|part| !part.contains("%~")) {
                prop_assert_eq!(parts.len(), 1 + 1 + slashes + 3, "{}", key);
            }
        }

        #[test]
        fn header_values_are_printable(text in any::<String>()) {
            let safe = header_safe(&text);
            prop_assert!(safe.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(safe.trim(), &safe);
        }
    }
}
