//! What cameras send over RTP, read as they send it: a description of the tracks, packets, and the access units in them.
//!
//! ```text
//! DESCRIBE ─▶ Description ─▶ Track ─▶ Depacketizer
//! packets  ─▶ Packet ───────────────▶ Depacketizer ─▶ Output: units, and what was discarded
//! ```
//!
//! Cameras deviate from the standards in many ways. Whatever cannot be used costs at most the unit that it belongs to, and
//! is counted by its [`Fault`]. Pure logic, without I/O and without time; all memory is bounded.

mod aac;
mod assembly;
mod audio_config;
mod depacketizer;
mod fault;
mod fragments;
mod h264;
mod h265;
mod jpeg;
mod key_units;
mod latm;
mod markers;
mod metadata;
mod output;
mod packet;
mod picture;
mod samples;
pub mod sdp;
mod sei;
mod sets;
mod syntax;
#[cfg(test)]
mod testing;
mod track;
mod unit;

pub use audio_config::channels as aac_channels;
pub use depacketizer::Depacketizer;
pub use fault::Fault;
pub use output::Output;
pub use packet::{Malformed, Packet};
pub use track::{Format, Track};
pub use unit::{MAX_UNIT_BYTES, Unit};
