//! The node's settings, as parsed from its flags.

use crate::segmenter::SegmentRules;
use crate::timeline::Timing;
use bytesize::ByteSize;
use msight_codec::Quality;
use msight_media::intervals::PauseLimit;
use std::time::Duration;

/// The settings of all sensors.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What `--codec` asks for; H.264 is encoded in any case.
    pub(crate) codec: Codec,
    /// Whether segments are copied from the camera's stream.
    pub(crate) copying: Copying,
    /// How frames are timed.
    pub(crate) timing: Timing,
    /// Target rate in frames a second.
    pub(crate) fps: f64,
    /// Where segments end.
    pub(crate) rules: SegmentRules,
    /// Quality and bitrate.
    pub(crate) quality: Quality,
    /// The longest pause in capture time within a segment.
    pub(crate) max_gap: PauseLimit,
    /// The longest time without a frame before a sensor's open segment ends.
    pub(crate) idle: PauseLimit,
    /// Time from then on until the sensor is forgotten.
    pub(crate) forget: Duration,
    /// Most sensors at a time.
    pub(crate) max_sensors: usize,
    /// Most frames of a sensor that wait for its encoder.
    pub(crate) sensor_queue: usize,
}

/// Parses a number of bits or bytes, greater than zero: 4000000, 4M, 1.5M, 30MiB.
pub(crate) fn quantity(text: &str) -> Result<u64, String> {
    match text.trim().parse::<ByteSize>() {
        Ok(quantity) if quantity.as_u64() > 0 => Ok(quantity.as_u64()),
        _ => Err(format!("'{text}' is not a positive number; write it as 4000000, 4000k or 4M")),
    }
}

/// The values of `--copy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Copying {
    /// Copy what the camera encodes if that shows the same frames, in at most --bitrate; encode otherwise
    Auto,
    /// Encode all segments
    Never,
    /// Copy all segments; a frame that cannot be copied is lost, with an error
    Always,
}

/// The values of `--codec`. This node encodes H.264 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// H.264, by any of its names.
    H264,
    /// HEVC, MSight's default. H.264 replaces it, so that MSight's command lines run.
    Hevc,
}

/// Parses a codec by its usual names, in upper or lower case.
pub(crate) fn codec(text: &str) -> Result<Codec, String> {
    match text.to_ascii_lowercase().as_str() {
        "h264" | "h.264" | "avc" | "avc1" | "libx264" | "x264" | "openh264" | "libopenh264" => {
            Ok(Codec::H264)
        }
        "h265" | "h.265" | "hevc" | "libx265" | "x265" => Ok(Codec::Hevc),
        _ => Err(format!(
            "unknown codec '{text}'; use h264 (also libx264, openh264, avc), or libx265 (also hevc, h265), which \
             h264 replaces"
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
