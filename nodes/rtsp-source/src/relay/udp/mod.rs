//! RTP over UDP with a large receive buffer, reordering, and reports to the camera. retina's own sockets have the
//! system's default buffer, which a key frame of 1080p overflows. retina drops packets that are out of order, and sends
//! no reports, without which some cameras stop.

#[cfg(test)]
mod camera_tests;
mod flow;
mod media;
mod reorder;
mod report;
mod sockets;
mod whole;

#[cfg(fuzzing)]
pub(crate) use self::flow::Flow;
pub(super) use self::flow::{RTCP_CHANNEL, RTP_CHANNEL};
pub(super) use self::media::Media;
pub(super) use self::sockets::{Sender, Sockets};
