//! What packets are put together to.

use std::sync::Arc;

use bytes::Bytes;
use msight_media::ParameterSets;

/// Maximum length of a unit, bytes. The largest key frames of a 4K camera at high quality have two megabytes.
pub const MAX_UNIT_BYTES: usize = 32 << 20;

/// One access unit: a picture, a frame of sound, or a document of metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The RTP timestamp.
    pub timestamp: u32,
    /// The unit in the form of [`AccessUnit::data`](msight_media::AccessUnit::data).
    pub data: Bytes,
    /// Decoding can start here. Always true of sound, metadata and JPEG.
    pub key: bool,
    /// Data between the previous unit and this one is missing, or was discarded.
    pub after_loss: bool,
    /// The parameter sets to decode `data` with; the same `Arc` until they change.
    pub parameter_sets: Option<Arc<ParameterSets>>,
    /// Width and height of a picture in pixels, where the packets or the description state them.
    pub size: Option<(u32, u32)>,
}
