//! What can be wrong with a file, or with what goes into it.

use std::io;

use crate::access_unit::Codec;
use crate::sps::SpsError;

/// Why a file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sequence parameter set of H.264 is invalid.
    #[error(transparent)]
    ParameterSets(#[from] SpsError),
    /// The stream has not sent the parameter sets that the file needs, or they are invalid.
    #[error("the parameter sets of {} are missing or invalid", .0.name())]
    NoParameterSets(Codec),
    /// The size of the pictures is not known.
    #[error("the size of the {} pictures is not known", .0.name())]
    NoSize(Codec),
    /// MP4 has no form for the codec.
    #[error("an MP4 file has no track for {}", .0.name())]
    Codec(Codec),
    /// The picture is too large for MP4.
    #[error("an MP4 file cannot hold pictures of {0}x{1}")]
    Size(u32, u32),
    /// The samples are invalid: the first one is missing or not a key frame, or they are too many, too large or too long.
    #[error("cannot write an MP4 file: {0}")]
    Mux(String),
    /// The file is not an MP4 file, is damaged, or has nothing that can be kept.
    #[error("{0}")]
    Format(String),
    /// The index of the file is that of a whole file already.
    #[error("the file has its index already")]
    Indexed,
    /// The room at the beginning of the file is smaller than its index; [`rewrite`](super::rewrite) needs no room.
    #[error("the index needs {needed} bytes, and the file has room for {room}")]
    Room {
        /// Bytes that the index needs.
        needed: u64,
        /// Bytes of the room.
        room: u64,
    },
    /// A part of what was written cannot be read.
    #[error("only {read} of the {written} fragments in the file can be read")]
    Unread {
        /// Fragments up to the first one that cannot be read.
        read: u64,
        /// All fragments.
        written: u64,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// A fault of the box library while it writes.
    pub(super) fn mux(error: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Mux(error.into().to_string())
    }

    /// Something in a file is not as it should be.
    pub(super) fn format(error: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Format(error.into().to_string())
    }
}
