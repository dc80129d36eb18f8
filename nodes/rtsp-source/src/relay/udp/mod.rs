//! RTP over UDP with a large receive buffer, reordering, and reports to the camera, without which some cameras stop. The
//! system's default buffer is too small for a key frame of 1080p.

#[cfg(test)]
mod camera_tests;
mod flow;
mod media;
mod reorder;
mod report;
mod sockets;

#[cfg(fuzzing)]
pub(crate) use self::flow::Flow;
pub(super) use self::media::Media;
pub(super) use self::sockets::{Sender, Sockets};
