//! The RTSP source with well-behaved, misbehaving and hostile cameras, and over an unreliable network.

mod decoder;
mod deferred;
mod dropping;
mod faults;
mod hop;
mod hostile;
mod keyframes;
mod lossy;
mod outputs;
mod packets;
mod program;
mod recording;
mod stream;
#[path = "../stub/mod.rs"]
#[allow(dead_code, reason = "the table of deviations uses the rest of it")]
mod stub;
mod tls;
mod udp;
