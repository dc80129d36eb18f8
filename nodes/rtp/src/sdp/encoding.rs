//! How a payload type is encoded: from `a=rtpmap`, or from the static payload types (RFC 3551, section 6).

use super::text;

/// How the payload of a payload type is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoding<'a> {
    /// The encoding's name as the camera writes it.
    pub(super) name: &'a str,
    /// The clock rate; `None` if it is missing or 0.
    pub(super) clock_rate: Option<u32>,
    /// Number of audio channels.
    pub(super) channels: u8,
}

impl<'a> Encoding<'a> {
    /// Reads the value of an `rtpmap`, such as `96 H264/90000`, with its payload type. Only the name is required.
    pub(super) fn parse(value: &'a str) -> Option<(Option<u8>, Self)> {
        let (payload_type, rest) = match text::number(value) {
            Some((number, rest)) => (u8::try_from(number).ok(), rest),
            None => (None, value),
        };
        let mut parts = rest.split('/').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let mut number = || parts.next().and_then(text::number).map(|(number, _)| number).filter(|n| *n > 0);
        let clock_rate = number();
        let channels = number().and_then(|channels| channels.try_into().ok()).unwrap_or(1);
        Some((payload_type, Self { name, clock_rate, channels }))
    }

    /// The encoding of a static payload type of video, or of another track.
    pub(super) fn of_static(payload_type: u8, is_video: bool) -> Option<Self> {
        let (name, rate, channels) = match (payload_type, is_video) {
            (0, false) => ("PCMU", 8_000, 1),
            (2, false) => ("G721", 8_000, 1),
            (3, false) => ("GSM", 8_000, 1),
            (4, false) => ("G723", 8_000, 1),
            (5, false) => ("DVI4", 8_000, 1),
            (6, false) => ("DVI4", 16_000, 1),
            (8, false) => ("PCMA", 8_000, 1),
            (9, false) => ("G722", 8_000, 1),
            (10, false) => ("L16", 44_100, 2),
            (11, false) => ("L16", 44_100, 1),
            (14, false) => ("MPA", 90_000, 1),
            (18, false) => ("G729", 8_000, 1),
            (26, true) => ("JPEG", 90_000, 1),
            (32, true) => ("MPV", 90_000, 1),
            (33, _) => ("MP2T", 90_000, 1),
            (34, true) => ("H263", 90_000, 1),
            _ => return None,
        };
        Some(Self { name, clock_rate: Some(rate), channels })
    }
}
