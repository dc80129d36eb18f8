//! H.264 by OpenH264, both ways: access units of [`msight_media`] to pictures of [`msight_picture`], and back.
//!
//! ```text
//! AccessUnit ─▶ Decoder ─▶ Planes ─▶ Encoder ─▶ Encoded
//! ```
//!
//! A [`Decoder`] drops units that cannot be decoded, replaces OpenH264's decoder when the stream changes, and returns
//! pictures in presentation order with their capture times, in OpenH264's own memory. An [`Encoder`] makes one access
//! unit per picture. Each works on the caller's thread.

mod decoder;
mod encoder;
mod losses;
mod support;

pub use decoder::{DecodeError, Decoder, OutOfMemory, PictureSink};
pub use encoder::{EncodeError, Encoded, Encoder, MAX_QP, OpenH264Error, Quality, check_size};
pub use support::{Unsupported, check};
