//! The description of a session (RFC 8866), as cameras write it.

use crate::track::Track;

/// What a camera describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The address for all tracks together (`a=control` of the session), as the camera writes it.
    pub control: Option<String>,
    /// The tracks that can be read, in the camera's order.
    pub tracks: Vec<Track>,
    /// The other tracks: what they are, and why they are left out.
    pub left_out: Vec<LeftOut>,
}

/// A track that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is, such as `video MP4V-ES`.
    pub what: String,
    /// Why it is left out.
    pub why: &'static str,
}
