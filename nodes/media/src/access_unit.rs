//! One encoded picture: what producers and consumers of encoded video exchange.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

use crate::nal;
use crate::parameter_sets::ParameterSets;

/// Ticks per second of presentation times: the RTP clock rate of video (RFC 6184, RFC 2435). It represents every common
/// frame rate exactly, or within a ten-thousandth of a frame.
pub const TIMESCALE: NonZeroU32 = NonZeroU32::new(90_000).expect("not zero");

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264 (ITU-T H.264, ISO/IEC 14496-10).
    H264,
    /// JPEG; each picture is a whole JFIF file.
    Jpeg,
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
    /// H.264: NAL units without parameter sets, each after its length in four bytes, big-endian (ISO/IEC 14496-15, the
    /// form of MP4 and RTMP). JPEG: a whole file.
    pub data: Bytes,
    /// The parameter sets to decode `data` with; the same `Arc` until they change. `None` for JPEG, and for H.264
    /// before the stream has sent them.
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
        let (data, parameter_sets) = nal::to_length_prefixed(nal::annex_b_units(stream));
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
