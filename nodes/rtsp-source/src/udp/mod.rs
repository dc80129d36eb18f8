//! RTP over UDP, with what it takes to be usable.
//!
//! ```text
//!                     ┌─────────────────────── relay ───────────────────────┐
//! camera ◀── RTSP ──▶ │ control ◀─ SETUP rewritten, challenges answered ─▶  │ ◀── RTSP over TCP, ──▶ retina
//!    └─── RTP/RTCP ─▶ │ sockets ─▶ reorder ─▶ whole ─▶ interleaved frames ─▶│     interleaved
//!    ◀─── RTCP ────── │ report                                              │
//!                     └─────────────────────────────────────────────────────┘
//! ```
//!
//! retina's own UDP sockets have the system's default receive buffer, which a key frame of 1080p overflows; packets
//! out of order are dropped, and no reports are sent, without which some cameras stop. Over TCP it is sound. So it
//! speaks TCP to a relay in this process, which speaks UDP to the camera. The camera's messages are bounded in size on
//! the way.

#[cfg(test)]
mod camera_tests;
mod control;
mod flow;
mod login;
mod media;
mod relay;
mod reorder;
mod report;
mod sockets;
mod whole;

pub(crate) use self::relay::Relay;
