//! What the writers of containers write.

use crate::parameter_sets::ParameterSets;

/// One unit of a track, with its times.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// The unit, in the form of [`AccessUnit::data`](crate::AccessUnit::data).
    pub data: &'a [u8],
    /// The parameter sets from this unit on. `None`: those of the units before.
    pub parameter_sets: Option<&'a ParameterSets>,
    /// Presentation time in ticks of 90 kHz.
    pub pts: i64,
    /// Decoding time in ticks of 90 kHz, at most `pts`. It does not decrease in a track.
    pub dts: i64,
    /// Whether decoding can start here.
    pub key: bool,
}
