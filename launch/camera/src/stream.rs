//! The stream of the camera, as its server and its clients' sessions know it.

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
    /// Differs at every start of the camera.
    pub(super) origin: u64,
    /// The time at which RTP timestamps start.
    pub(super) began: Instant,
}
