//! H.264 in RTP (RFC 6184).

use std::sync::Arc;

use msight_media::ParameterSets;

use crate::depacketizer::Output;
use crate::packet::Packet;

/// The state of a track of H.264.
#[derive(Debug)]
pub(crate) struct H264 {
    sets: Option<Arc<ParameterSets>>,
}

impl H264 {
    pub(crate) fn new(sets: Option<Arc<ParameterSets>>) -> Self {
        Self { sets }
    }

    pub(crate) fn push(&mut self, _packet: &Packet<'_>, _after_gap: bool, _out: &mut Output) {
        let _ = &self.sets;
    }
}
