//! A relay between the camera and retina. It reads what cameras really send, and has features that retina lacks.
//!
//! ```text
//!                     ┌─────────────────── link ───────────────────┐
//! camera ◀── RTSP ──▶ │ connection ◀─▶ login, headers ─▶ canonical │ ◀── RTSP over loopback ──▶ retina
//!    ├ frames (TCP) ─▶│ connection ────────┐                       │
//!    └ RTP/RTCP (UDP)▶│ udp ───────────────┴─▶ streams ────────────│──▶ access units
//!                     └────────────────────────────────────────────┘
//! ```
//!
//! retina leads the session: DESCRIBE, SETUP, PLAY, keepalives. It takes only messages that follow the standard to the
//! letter, and buffers one of any length. So it speaks to this relay, which reads the camera's messages tolerantly and
//! with limits, authenticates, and gives retina the answers of a well-behaved camera. Packets do not pass through retina,
//! which ends a session at the first one that it cannot use, but go to the readers of their tracks at once.

mod canonical;
mod connection;
mod dial;
mod headers;
mod link;
mod login;
mod message;
mod server;
mod streams;
mod udp;

pub(crate) use self::dial::{check_ca, is_tls_error};
pub(crate) use self::server::Relay;
pub(crate) use self::streams::Outputs;
#[cfg(fuzzing)]
pub(crate) use self::{headers::*, login::Login, udp::Flow};
