//! What cameras send over RTP, read as they send it: a description of the tracks, packets, and the access units in them.
//!
//! ```text
//! DESCRIBE ─▶ Description ─▶ Track ─▶ Depacketizer
//! packets  ─▶ Packet ───────────────▶ Depacketizer ─▶ Output: units, and what was discarded
//! ```
//!
//! Cameras deviate from the standards in many ways. Whatever cannot be used costs at most the unit that it belongs to, and
//! is counted by its [`Fault`]. Pure logic, without I/O and without time; all memory is bounded.

mod depacketizer;
mod fault;
mod h264;
mod jpeg;
mod packet;
pub mod sdp;
mod track;
mod unit;

pub use depacketizer::{Depacketizer, Output};
pub use fault::Fault;
pub use packet::{Malformed, Packet};
pub use track::{Format, Track};
pub use unit::{MAX_UNIT_BYTES, Unit};
