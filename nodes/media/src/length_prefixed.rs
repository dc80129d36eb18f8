//! From the NAL units of an encoder to the form of an access unit.

use bytes::Bytes;

use crate::nal;
use crate::parameter_sets::ParameterSets;

/// Converts the NAL units of a picture to the form of [`AccessUnit::data`](crate::AccessUnit::data), and separates its
/// parameter sets, if it has both kinds.
pub fn to_length_prefixed<'a>(
    units: impl Iterator<Item = &'a [u8]> + Clone,
) -> (Bytes, Option<ParameterSets>) {
    let mut data = Vec::with_capacity(units.clone().map(|unit| nal::LENGTH + unit.len()).sum());
    let (mut sps, mut pps) = (Vec::new(), Vec::new());
    for unit in units {
        match unit {
            [] => {}
            _ if nal::is_sps(unit) => sps.push(Bytes::copy_from_slice(unit)),
            _ if nal::is_pps(unit) => pps.push(Bytes::copy_from_slice(unit)),
            _ => {
                data.extend_from_slice(&u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
                data.extend_from_slice(unit);
            }
        }
    }
    let is_complete = !sps.is_empty() && !pps.is_empty();
    let sets = is_complete.then(|| ParameterSets::new([sps, pps].concat()));
    (Bytes::from(data), sets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nal::annex_b_units;

    #[test]
    fn parameter_sets_are_separated_from_an_annex_b_stream() {
        let stream =
            [&[0, 0, 0, 1, 0x67, 0x42][..], &[0, 0, 1, 0x68, 0xce, 0, 0], &[0, 0, 1, 0x65, 0x88]].concat();
        let (data, sets) = to_length_prefixed(annex_b_units(&stream));
        assert_eq!(data[..], [0, 0, 0, 2, 0x65, 0x88]);
        let sets = sets.unwrap();
        assert_eq!(sets.all(), [&[0x67, 0x42][..], &[0x68, 0xce]]);
        assert_eq!(to_length_prefixed(annex_b_units(&[0x67, 0x42])), (Bytes::new(), None));
    }

    proptest! {
        #[test]
        fn what_is_converted_can_be_converted_back(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..80)) {
            let is_set = |unit: &&[u8]| nal::is_sps(unit) || nal::is_pps(unit);
            let units: Vec<&[u8]> = annex_b_units(&bytes).filter(|unit| !is_set(unit)).collect();
            let mut data = to_length_prefixed(annex_b_units(&bytes)).0.to_vec();
            nal::lengths_to_start_codes(&mut data).unwrap();
            prop_assert_eq!(annex_b_units(&data).collect::<Vec<_>>(), units);
        }
    }
}
