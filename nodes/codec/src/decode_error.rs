//! Why a decoder stops.

use msight_media::SpsError;

use crate::support::Unsupported;

/// Decoding stops after this many key frames in a row that OpenH264 rejects.
pub(crate) const MAX_REJECTED_KEY_FRAMES: u32 = 3;

/// Why a decoder stops.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError<E> {
    /// OpenH264 cannot get its memory.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// The stream's sequence parameter set is invalid.
    #[error("cannot decode the camera's stream: {0}")]
    Sps(#[from] SpsError),
    /// OpenH264 does not support the stream.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// OpenH264 rejected several key frames in a row.
    #[error(
        "the decoder rejected {MAX_REJECTED_KEY_FRAMES} key frames in a row of the camera's H.264 stream{stream}: \
         {error}; set the stream to H.264 baseline, main or high profile, 8 bit 4:2:0, progressive"
    )]
    Refused {
        /// Size, profile and level in brackets.
        stream: String,
        /// OpenH264's error for the last key frame.
        error: openh264::Error,
    },
    /// The sink accepts no more pictures.
    #[error("the receiver of the pictures has stopped")]
    Sink(E),
}

/// OpenH264 cannot get its memory.
#[derive(Debug, thiserror::Error)]
#[error(
    "out of memory: cannot decode the camera's H.264 stream{stream} (OpenH264 returned {code}); give the node more memory, \
     or set the camera to smaller pictures"
)]
pub struct OutOfMemory {
    /// Size, profile and level in brackets, if they are known.
    pub(crate) stream: String,
    pub(crate) code: i64,
}
