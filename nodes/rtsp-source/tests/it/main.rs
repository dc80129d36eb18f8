//! The RTSP source against cameras: well-behaved, misbehaving, hostile, and behind a bad network.

mod decoder;
mod dropping;
mod faults;
mod hop;
mod hostile;
mod program;
mod stream;
mod stub;
mod udp;
