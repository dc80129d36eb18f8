//! A relay between the camera and retina. It handles hostile input and features that retina lacks.
//!
//! ```text
//!                     ┌─────────────────────── link ────────────────────────┐
//! camera ◀── RTSP ──▶ │ control ◀── challenges answered, sizes bounded ──▶  │ ◀── RTSP over TCP, ──▶ retina
//!    ├ frames (TCP) ─▶│ control ────────────────────────────────────────────│     interleaved
//!    └ RTP/RTCP (UDP)▶│ udp: sockets ─▶ reorder ─▶ whole ─▶ frames ─────────│
//!                     └─────────────────────────────────────────────────────┘
//! ```
//!
//! retina buffers a message of any length until it is complete, and searches it from the start after each read. So a
//! header without an end takes all memory, and so much CPU time that no deadline helps. retina answers challenges only
//! during the handshake, so a camera that changes its nonce ends the session. Over UDP it lacks a large buffer,
//! reordering and receiver reports. With a well-behaved camera over TCP it is sound, so it gets that: it speaks RTSP
//! over TCP to a relay in this process, which speaks to the camera. The relay adds a twentieth of a millisecond to a
//! frame of 50 kB.

mod control;
#[allow(dead_code, unused_imports, reason = "the link begins to use them with the next commits")]
mod headers;
mod link;
mod login;
mod udp;

pub(crate) use self::link::Relay;
#[cfg(fuzzing)]
pub(crate) use self::{headers::*, login::Login, udp::Flow};
