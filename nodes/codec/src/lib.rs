//! H.264 by OpenH264, both ways: access units of [`msight_media`] to pictures of [`msight_picture`], and back.
//!
//! ```text
//! AccessUnit ─▶ Decoder ─▶ Planes ─▶ Encoder ─▶ Encoded
//! ```
//!
//! A [`Decoder`] drops units that cannot be decoded, replaces OpenH264's decoder when the stream changes, and returns
//! pictures in presentation order with their capture times, in OpenH264's own memory. A [`DeferredDecoder`] decodes only what
//! is asked for, for messages that stay in one process. An [`Encoder`] makes one access unit per picture. Each works on the
//! caller's thread.

mod decode_error;
mod decoder;
mod deferred;
mod demand;
mod encoder;
mod group;
mod intake;
mod losses;
mod on_demand;
mod reordering;
mod sink;
mod stream;
mod support;

pub use decode_error::{DecodeError, OutOfMemory};
pub use decoder::Decoder;
pub use deferred::{DeferredDecoder, DeferredPicture, DeferredSink};
pub use encoder::{EncodeError, Encoded, Encoder, MAX_QP, OpenH264Error, Quality, check_size};
pub use sink::PictureSink;
pub use support::{Unsupported, check};
