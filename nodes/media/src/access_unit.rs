//! One encoded picture: what producers and consumers of encoded video exchange.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

use crate::length_prefixed::to_length_prefixed;
use crate::nal;
use crate::parameter_sets::ParameterSets;

/// Ticks per second of presentation times: the RTP clock rate of video (RFC 6184, RFC 2435). It represents every common
/// frame rate exactly, or within a ten-thousandth of a frame.
pub const TIMESCALE: NonZeroU32 = NonZeroU32::new(90_000).expect("not zero");

/// A time in ticks of `rate` a second, in ticks of [`TIMESCALE`], to the nearest one. A rate of 0 counts as 1.
#[must_use]
pub fn to_timescale(ticks: i64, rate: u32) -> i64 {
    if rate == TIMESCALE.get() {
        return ticks;
    }
    let (from, to) = (i128::from(rate.max(1)), i128::from(TIMESCALE.get()));
    let nearest = (i128::from(ticks) * to + from / 2).div_euclid(from);
    nearest.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// How a picture, a sound or another piece of a stream is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264 (ITU-T H.264, ISO/IEC 14496-10).
    H264,
    /// H.265 (ITU-T H.265, ISO/IEC 23008-2).
    H265,
    /// JPEG; each picture is a whole JFIF file.
    Jpeg,
    /// AAC (ISO/IEC 14496-3); a unit is one frame without a header.
    Aac,
    /// Opus (RFC 6716); a unit is one packet.
    Opus,
    /// G.711 with the A-law: one byte a sample.
    Pcma,
    /// G.711 with the µ-law: one byte a sample.
    Pcmu,
    /// Linear samples of 16 bits, big-endian (RFC 3551, section 4.5.11).
    L16,
    /// Metadata of a camera: XML (ONVIF Streaming Specification, section 5.1.2.1.1), or anything else, as it was sent.
    Metadata,
}

/// What a track is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// What the camera says of its pictures.
    Metadata,
}

impl Kind {
    /// The kind's name in messages and logs, such as `video`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Metadata => "metadata",
        }
    }
}

impl Codec {
    /// What is encoded in it.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::H264 | Self::H265 | Self::Jpeg => Kind::Video,
            Self::Aac | Self::Opus | Self::Pcma | Self::Pcmu | Self::L16 => Kind::Audio,
            Self::Metadata => Kind::Metadata,
        }
    }

    /// The codec's name in messages and logs, such as `h264`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Jpeg => "jpeg",
            Self::Aac => "aac",
            Self::Opus => "opus",
            Self::Pcma => "pcma",
            Self::Pcmu => "pcmu",
            Self::L16 => "l16",
            Self::Metadata => "metadata",
        }
    }
}

/// One encoded picture (ITU-T H.264 section 3.1, access unit).
///
/// The units of a stream are in decoding order.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// How `data` is encoded.
    pub codec: Codec,
    /// The picture in one buffer.
    ///
    /// H.264 and H.265: NAL units without parameter sets, each after its length in four bytes, big-endian (ISO/IEC 14496-15, the
    /// form of MP4 and RTMP). Other codecs: as [`Codec`] says.
    pub data: Bytes,
    /// The parameter sets to decode `data` with; the same `Arc` until they change. `None` for a codec
    /// without parameter sets, and before the stream has sent them.
    pub parameter_sets: Option<Arc<ParameterSets>>,
    /// Presentation time in ticks of [`TIMESCALE`], from one zero for the whole stream.
    pub pts: i64,
    /// Capture time in seconds since 1970.
    pub captured: f64,
    /// Decoding can start here: the picture refers to no other one.
    pub key: bool,
    /// Data of the stream was lost between the previous unit and this one.
    pub after_loss: bool,
    /// Width and height in pixels, if the stream states them outside of `data`.
    pub size: Option<(u32, u32)>,
}

impl AccessUnit {
    /// An H.264 unit from an Annex B byte stream. Its parameter sets move to [`Self::parameter_sets`].
    ///
    /// Presentation and capture time are zero, and nothing was lost before it.
    #[must_use]
    pub fn from_annex_b(stream: &[u8], key: bool) -> Self {
        let (data, parameter_sets) = to_length_prefixed(nal::annex_b_units(stream));
        Self {
            codec: Codec::H264,
            data,
            parameter_sets: parameter_sets.map(Arc::new),
            pts: 0,
            captured: 0.0,
            key,
            after_loss: false,
            size: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_other_clocks_are_rescaled() {
        for (ticks, rate, expected) in [
            (7, 90_000, 7),
            (8_000, 8_000, 90_000),
            (1, 48_000, 2),
            (-1, 44_100, -2),
            (1, 0, 90_000),
            (i64::MAX, 1, i64::MAX),
            (i64::MIN, 1, i64::MIN),
        ] {
            assert_eq!(to_timescale(ticks, rate), expected, "{ticks} of {rate}");
        }
    }
}
