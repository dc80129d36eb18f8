//! The stream of the camera, which its server and sessions share.

use std::sync::Arc;
use std::time::Instant;

use super::feed::{Feed, ParameterSets};

/// The stream of the server.
pub(super) struct Stream {
    pub(super) feed: Arc<Feed>,
    /// The path of its URL, with a leading slash.
    pub(super) path: String,
    pub(super) parameter_sets: ParameterSets,
    pub(super) fps: f32,
    pub(super) bitrate: u32,
    /// A session id for SDP that differs at every start of the camera.
    pub(super) origin: u64,
    /// The time at which RTP timestamps start.
    pub(super) began: Instant,
}
