//! What the flags come to, once they are checked.

use crate::encoder::Quality;
use crate::recording::Cut;
use crate::rhythm::Patience;
use crate::timeline::Timing;
use bytesize::ByteSize;
use std::time::Duration;

/// How the node works, the same for all sensors.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What `--codec` asks for; H.264 is encoded in any case.
    pub(crate) codec: Codec,
    /// How frames are timed.
    pub(crate) timing: Timing,
    /// Target rate in frames a second.
    pub(crate) fps: f64,
    /// Where segments end.
    pub(crate) cut: Cut,
    /// How well and at what cost to encode.
    pub(crate) quality: Quality,
    /// The longest pause in capture time within a segment.
    pub(crate) max_gap: Patience,
    /// How long a sensor may send nothing before its open segment is ended.
    pub(crate) idle: Patience,
    /// How long after that it is forgotten.
    pub(crate) forget: Duration,
    /// Sensors at a time.
    pub(crate) max_sensors: usize,
    /// Frames of a sensor that may wait for its encoder.
    pub(crate) sensor_queue: usize,
}

/// Parses a number of bits or bytes, greater than zero: 4000000, 4M, 1.5M, 30MiB.
pub(crate) fn quantity(text: &str) -> Result<u64, String> {
    match text.trim().parse::<ByteSize>() {
        Ok(quantity) if quantity.as_u64() > 0 => Ok(quantity.as_u64()),
        _ => Err(format!("'{text}' is no such quantity; write it as 4000000, 4000k or 4M")),
    }
}

/// What `--codec` asks for. This node encodes H.264 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// H.264, by any of its names.
    H264,
    /// HEVC, MSight's default: H.264 is used in its place, so that a command line that asks for it still runs.
    Hevc,
}

/// Parses the names that ffmpeg and people use, in any case.
pub(crate) fn codec(text: &str) -> Result<Codec, String> {
    match text.to_ascii_lowercase().as_str() {
        "h264" | "h.264" | "avc" | "avc1" | "libx264" | "x264" | "openh264" | "libopenh264" => {
            Ok(Codec::H264)
        }
        "h265" | "h.265" | "hevc" | "libx265" | "x265" => Ok(Codec::Hevc),
        _ => Err(format!(
            "'{text}' is not available; choose h264 (also libx264, openh264, avc), or libx265 (also hevc, h265), \
             which is taken as h264"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (text, value) in
            [("4M", 4_000_000), ("1.5M", 1_500_000), ("800k", 800_000), ("1", 1), ("2MiB", 2 << 20)]
        {
            assert_eq!(quantity(text), Ok(value), "{text}");
        }
        for text in ["", "M", "-4M", "0", "nan", "4é"] {
            assert!(quantity(text).is_err(), "{text}");
        }
    }

    #[test]
    fn codecs() {
        assert!(["h264", "libx264", "OpenH264", "avc"].iter().all(|name| codec(name) == Ok(Codec::H264)));
        assert!(["libx265", "hevc", "h265"].iter().all(|name| codec(name) == Ok(Codec::Hevc)));
        let error = codec("vp9").unwrap_err();
        assert!(error.contains("vp9") && error.contains("h264"), "{error}");
    }
}
