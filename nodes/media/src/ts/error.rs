//! What a transport stream cannot hold.

use crate::access_unit::Codec;
use crate::nal::TooLong;

/// Why a stream or a unit cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A transport stream has no form for the codec that players know.
    #[error("an MPEG transport stream cannot carry {}", .0.name())]
    Codec(Codec),
    /// More channels than the codec has in a transport stream.
    #[error("an MPEG transport stream cannot carry {} with {channels} channels", codec.name())]
    Channels {
        /// The codec.
        codec: Codec,
        /// The number of channels.
        channels: u32,
    },
    /// The number of tracks is not 1 to 16.
    #[error("an MPEG transport stream has 1 to 16 tracks, not {0}")]
    Tracks(usize),
    /// The stream has no track of this index.
    #[error("the stream has no track {0}")]
    NoTrack(usize),
    /// The unit of AAC is without an AudioSpecificConfig, or with one that an ADTS header cannot express.
    #[error("the AudioSpecificConfig is missing, or has no form in ADTS")]
    AudioConfig,
    /// A NAL unit is longer than its access unit.
    #[error(transparent)]
    Malformed(#[from] TooLong),
    /// The unit is larger than a packet of its track can be.
    #[error("a unit of {} with {bytes} bytes does not fit into an MPEG transport stream", codec.name())]
    Size {
        /// The codec.
        codec: Codec,
        /// Bytes of the unit.
        bytes: usize,
    },
    /// The packet library rejects a value.
    #[error("cannot write a packet: {0}")]
    Packet(#[from] mpeg2ts::Error),
}
