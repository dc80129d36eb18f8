//! The RTSP source with well-behaved, misbehaving and hostile cameras, and over an unreliable network.

mod decoder;
mod dropping;
mod faults;
mod hop;
mod hostile;
mod program;
mod stream;
mod stub;
mod udp;
