//! Between the camera and retina: what is hostile or missing is dealt with here.
//!
//! ```text
//!                     ┌─────────────────────── link ────────────────────────┐
//! camera ◀── RTSP ──▶ │ control ◀── challenges answered, sizes bounded ──▶  │ ◀── RTSP over TCP, ──▶ retina
//!    ├ frames (TCP) ─▶│ control ────────────────────────────────────────────│     interleaved
//!    └ RTP/RTCP (UDP)▶│ udp: sockets ─▶ reorder ─▶ whole ─▶ frames ─────────│
//!                     └─────────────────────────────────────────────────────┘
//! ```
//!
//! retina holds a message until it is whole, however long it is, and searches it from the start whenever more of it has
//! come: a header without end takes all memory, and so much time that no deadline helps. It answers a challenge during
//! the handshake only, so that a camera that changes its nonce ends the session. And it is of little use over UDP. Over
//! TCP with a camera that behaves it is sound; so it gets one: it speaks RTSP over TCP to a relay in this process, which
//! speaks to the camera. The detour costs a twentieth of a millisecond for a frame of 50 kB.

mod control;
mod link;
mod login;
mod udp;

pub(crate) use self::link::Relay;
#[cfg(fuzzing)]
pub(crate) use self::udp::Flow;
