//! What a decoder must know before the first unit of a stream.

use bytes::Bytes;

use crate::{Codec, Sps, h265, nal};

/// What the sequence parameter set of a picture states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoParameters {
    /// Width and height of the pictures in pixels.
    pub size: (u32, u32),
    /// How many pictures may precede a picture in decoding order and follow it in output order, as in
    /// [`Sps::reorder_depth`].
    pub reorder_depth: u8,
    /// Frames a second.
    pub fps: Option<f64>,
}

/// What a decoder must know before the first unit of a stream, and again when it changes.
///
/// - H.264: the sequence and then the picture parameter sets (ITU-T H.264, sections 7.3.2.1 and 7.3.2.2), each a NAL unit
///   with its header and without start code or length. A stream may have several of each kind, which its pictures select
///   by their id.
/// - H.265: likewise the video, sequence and picture parameter sets (ITU-T H.265, section 7.3.2).
/// - AAC: one element, the AudioSpecificConfig (ISO/IEC 14496-3, section 1.6.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets(Vec<Bytes>);

impl ParameterSets {
    /// The sets, in the order described above.
    #[must_use]
    pub fn new(sets: Vec<Bytes>) -> Self {
        Self(sets)
    }

    /// All sets, in the order described above.
    #[must_use]
    pub fn all(&self) -> &[Bytes] {
        &self.0
    }

    /// H.264: the sequence parameter sets. [`Sps`](crate::Sps) reads one.
    pub fn h264_sps(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(|set| nal::is_sps(set))
    }

    /// H.264: the picture parameter sets.
    pub fn h264_pps(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(|set| nal::is_pps(set))
    }

    /// H.265: the sequence parameter sets. [`h265::Sps`] reads one.
    pub fn h265_sps(&self) -> impl Iterator<Item = &Bytes> {
        let is_sps = |set: &&Bytes| set.first().is_some_and(|&header| h265::unit_type(header) == h265::SPS);
        self.0.iter().filter(is_sps)
    }

    /// What the sequence parameter set of the picture in an access unit of this codec states; `None` if these sets have no
    /// valid one.
    #[must_use]
    pub fn video(&self, codec: Codec, access_unit: &[u8]) -> Option<VideoParameters> {
        match codec {
            Codec::H264 => {
                let sps = Sps::parse(self.h264_sps_of(access_unit)?).ok()?;
                let Sps { width, height, reorder_depth, fps, .. } = sps;
                Some(VideoParameters { size: (width, height), reorder_depth, fps })
            }
            Codec::H265 => {
                let sps = self.h265_sps().find_map(|sps| h265::Sps::parse(sps))?;
                let h265::Sps { width, height, reorder_depth, fps, .. } = sps;
                Some(VideoParameters { size: (width, height), reorder_depth, fps })
            }
            _ => None,
        }
    }

    /// H.264: the sequence parameter set of the picture in an access unit: that of the picture parameter set which its
    /// first slice selects. The first one, if the access unit selects none of these.
    #[must_use]
    pub fn h264_sps_of(&self, access_unit: &[u8]) -> Option<&Bytes> {
        let slice = nal::units(access_unit).find(|unit| nal::is_slice(unit));
        slice.and_then(|slice| self.h264_sps_of_slice(slice)).or_else(|| self.h264_sps().next())
    }

    /// H.264: the sequence parameter set of the picture parameter set which a slice selects.
    #[must_use]
    pub fn h264_sps_of_slice(&self, slice: &[u8]) -> Option<&Bytes> {
        let pps_id = nal::pps_id_of_slice(slice)?;
        let ids = self.h264_pps().filter_map(|pps| nal::ids_of_pps(pps));
        let (_, sps_id) = ids.filter(|(id, _)| *id == pps_id).last()?;
        self.h264_sps().find(|sps| nal::id_of_sps(sps) == Some(sps_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slice_selects_the_sequence_parameter_set() {
        // Sequence parameter sets 0 and 1; picture parameter sets 0 and 1 that refer to them.
        let [sps0, sps1] = [&[0x67, 66, 0, 30, 0b1000_0000][..], &[0x67, 66, 0, 30, 0b0100_0000]];
        let [pps0, pps1] = [&[0x68, 0b1100_0000][..], &[0x68, 0b0100_1000]];
        let sets = ParameterSets::new([sps0, sps1, pps0, pps1].map(Bytes::copy_from_slice).to_vec());
        // `first_mb_in_slice` 0, `slice_type` 7, then the id 0 or 1.
        let unit = |slice: &[u8]| [&(slice.len() as u32).to_be_bytes(), slice].concat();
        let of_first = unit(&[0x65, 0b1000_1000, 0b1000_0000]);
        let of_second = unit(&[0x65, 0b1000_1000, 0b0100_0000]);
        assert_eq!(sets.h264_sps_of(&of_first).unwrap()[..], *sps0);
        assert_eq!(sets.h264_sps_of(&of_second).unwrap()[..], *sps1);
        assert_eq!(sets.h264_sps_of(&[]).unwrap()[..], *sps0);
        assert_eq!(ParameterSets::default().h264_sps_of(&of_first), None);
    }
}
