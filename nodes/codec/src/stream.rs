//! The stream that is being decoded, by its parameter sets.

use std::sync::Arc;

use bytes::Bytes;
use msight_media::{AccessUnit, ParameterSets, Sps};
use msight_picture::Colour;
use tracing::info;

use crate::decode_error::DecodeError;
use crate::support::check;

/// A stream that can be decoded.
pub(crate) struct Stream {
    pub(crate) sets: Arc<ParameterSets>,
    /// The sequence parameter set of its pictures.
    pub(crate) active: Bytes,
    pub(crate) sps: Sps,
    pub(crate) colour: Colour,
}

impl Stream {
    /// The parameter sets of a key frame that begins another stream than `current`, and the sequence parameter set of its
    /// picture, which is empty if it is missing. Sets of the same stream are applied to it.
    pub(crate) fn other_sets<'a>(
        current: &mut Option<Self>,
        unit: &'a AccessUnit,
    ) -> Option<(&'a Arc<ParameterSets>, Bytes)> {
        let sets = unit.parameter_sets.as_ref()?;
        let active = sets.h264_sps_of(&unit.data).cloned().unwrap_or_default();
        match current {
            Some(stream) if stream.active == active => {
                stream.sets = Arc::clone(sets);
                None
            }
            _ => Some((sets, active)),
        }
    }

    /// Reads the sequence parameter set.
    ///
    /// # Errors
    /// It is invalid, or OpenH264 does not support the stream.
    pub(crate) fn read<E>(sets: &Arc<ParameterSets>, active: Bytes) -> Result<Self, DecodeError<E>> {
        let sps = Sps::parse(&active)?;
        check(&sps)?;
        let colour = Colour::from_vui(sps.full_range, sps.colour.map(|colour| colour.matrix));
        Ok(Self { sets: Arc::clone(sets), active, sps, colour })
    }

    /// Whether it is known, rather than assumed, that pictures may be reordered or may not.
    pub(crate) fn states_reordering(&self) -> bool {
        self.sps.is_in_order || self.sps.states_reordering
    }

    /// Logs the stream. `changed`: another one was decoded before.
    pub(crate) fn announce(&self, changed: bool) {
        let Self { sps, colour, .. } = self;
        // Many streams state no frame rate; the log line then has no `fps`.
        let (fps, reorders) = (sps.fps, sps.reorder_depth > 0);
        info!(fps, range = ?colour.range, matrix = ?colour.matrix, reorders, changed, "decoding H.264 {sps}");
    }
}
