//! The parameter sets of a stream, as bytes.

use bytes::Bytes;

/// The parameter sets of an H.264 stream, each a NAL unit with its header and without start code or length (ITU-T H.264,
/// sections 7.3.2.1 and 7.3.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    /// The sequence parameter set: profile, level, size, colour. [`Sps`](crate::Sps) reads it.
    pub sps: Bytes,
    /// The picture parameter set.
    pub pps: Bytes,
}
