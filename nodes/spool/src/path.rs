//! Paths below the spool folder.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::cmp::Ordering;

use crate::name::{MAX_NAME, sensor_folder};

/// Extensions of a segment's video: MP4, MPEG transport stream, Matroska and WebM.
pub const EXTENSIONS: [&str; 4] = ["mp4", "ts", "mkv", "webm"];

/// Extension of the sidecar, which makes a video a whole segment.
pub(crate) const SIDECAR: &str = "json";
/// Extension of the marker of a segment that was uploaded and is kept.
pub(crate) const MARKER: &str = "uploaded";
/// What the name of a file ends in while its writer works on it: a video, and a sidecar or marker.
pub(crate) const PART: &str = ".part";
pub(crate) const TEMPORARY: &str = ".tmp";
/// What the name of the next version of an unfinished video ends in, which takes the place of the video once it is whole.
pub(crate) const COPY: &str = ".part.copy";

/// Why a path from a message is not one of a segment in the spool folder.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// The path has another form than `SENSOR/YYYY-MM-DD/NAME.EXTENSION`, or leaves the folder.
    #[error("invalid path {path:?} of a segment: {reason}")]
    Invalid {
        /// The path, cut to a length for logs.
        path: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// There is no such file. Another program has uploaded or deleted it, or uses another folder.
    #[error("there is no {path:?} in the spool folder: it was deleted, or its sender uses another folder")]
    Gone {
        /// The path, which is well-formed.
        path: String,
    },
    /// The folder cannot be read.
    #[error("cannot read {path:?} in the spool folder")]
    Io {
        /// The path, which is well-formed.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The path of a segment's video below the spool folder: `SENSOR/YYYY-MM-DD/STEM.EXTENSION`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SegmentPath {
    text: String,
}

impl SegmentPath {
    /// The path of a segment of this sensor and start; `number` distinguishes several of one millisecond.
    pub(crate) fn new(sensor: Option<&str>, start: f64, number: u32, extension: &str) -> Self {
        let time = calendar(start);
        let suffix = if number > 1 { format!("_{number}") } else { String::new() };
        Self {
            text: format!(
                "{}/{}{suffix}.{extension}",
                sensor_folder(sensor),
                time.strftime("%Y-%m-%d/%H-%M-%S.%3fZ")
            ),
        }
    }

    /// Checks a path that comes from a message or a folder.
    ///
    /// # Errors
    /// The rule that the path breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.split('/');
        let (Some(sensor), Some(date), Some(file), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("it must be SENSOR/YYYY-MM-DD/NAME.EXTENSION");
        };
        check_sensor_folder(sensor)?;
        if !is_date(date) {
            return Err("its second part must be a date, YYYY-MM-DD");
        }
        let (stem, extension) = file.rsplit_once('.').ok_or("its file name must have an extension")?;
        if !EXTENSIONS.contains(&extension) {
            return Err("its extension must be mp4, ts, mkv or webm");
        }
        if !is_stem(stem) || file.len() + PART.len() > MAX_NAME {
            return Err("its file name must be of letters, digits, dots, hyphens and underscores");
        }
        Ok(Self { text: text.to_owned() })
    }

    /// The path of the video.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn extension(&self) -> &str {
        self.text.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The path of the folder that the segment's files are in.
    pub(crate) fn folder(&self) -> &str {
        self.text.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The path of the segment's file with another extension.
    pub(crate) fn with(&self, extension: &str) -> String {
        let stem = self.text.rsplit_once('.').map_or(self.text.as_str(), |(stem, _)| stem);
        format!("{stem}.{extension}")
    }

    /// The path of the video while it is written.
    pub(crate) fn part(&self) -> String {
        format!("{}{PART}", self.text)
    }
}

/// The order of capture, for all sensors together.
impl Ord for SegmentPath {
    fn cmp(&self, other: &Self) -> Ordering {
        // What follows the sensor: date and time.
        let time = |path: &Self| path.text.find('/').unwrap_or(0);
        self.text[time(self)..].cmp(&other.text[time(other)..]).then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for SegmentPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The rules for the name of a sensor's folder.
pub(crate) fn check_sensor_folder(name: &str) -> Result<(), &'static str> {
    if matches!(name, "" | "." | "..") {
        return Err("its first part must be the folder of a sensor");
    }
    if name.len() > MAX_NAME {
        return Err("its first part is longer than 255 bytes");
    }
    if name.contains('\\') || name.contains(char::is_control) {
        return Err("it contains a backslash or a control character");
    }
    Ok(())
}

/// Whether the name is a date as YYYY-MM-DD.
pub(crate) fn is_date(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// Whether the name can be that of a segment's file without its extension.
pub(crate) fn is_stem(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// The time in UTC, rounded to the millisecond as in logs. A time outside of the years 1970 to 9999 becomes 1970, so that names
/// sort by time.
fn calendar(seconds: f64) -> jiff::Zoned {
    let millis = (seconds * 1e3).round();
    let millis = if (0.0..2.5e14).contains(&millis) { millis as i64 } else { 0 };
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC)
}

/// The path for an error: at most 200 characters.
pub(crate) fn for_log(path: &str) -> String {
    path.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_time_that_logs_have() {
        for (start, name) in [
            (1_795_845_885.357_4, "06-04-45.357Z"),
            (1_795_845_885.357_6, "06-04-45.358Z"),
            // As close to these times as a 64-bit float is.
            (1_795_845_885.04, "06-04-45.040Z"),
            (1_795_845_599.999_7, "06-00-00.000Z"),
        ] {
            let path = SegmentPath::new(Some("s"), start, 1, "mp4");
            assert_eq!(path.as_str(), format!("s/2026-11-28/{name}.mp4"), "{start}");
        }
    }
}
