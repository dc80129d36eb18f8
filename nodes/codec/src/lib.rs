//! H.264 by OpenH264, both ways: access units of [`msight_media`] to pictures of [`msight_picture`], and back.
//!
//! ```text
//! AccessUnit ─▶ Decoder ─▶ Planes ─▶ Encoder ─▶ Encoded
//! ```
//!
//! A [`Decoder`] drops what cannot be decoded, replaces OpenH264's decoder where the stream changes, and gives pictures
//! in presentation order with their capture times, in OpenH264's own memory. An [`Encoder`] makes an access unit of every
//! picture. Each works on the thread that calls it.

mod decoder;
mod encoder;
mod losses;
mod support;

pub use decoder::{DecodeError, Decoder, PictureSink};
pub use encoder::{EncodeError, Encoded, Encoder, MAX_QP, OpenH264Error, Quality, check_size};
pub use support::{Unsupported, check};
