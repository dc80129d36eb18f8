//! NAL units of H.264 in both forms: after a length, as in an [`AccessUnit`](crate::AccessUnit) and in MP4 (ISO/IEC
//! 14496-15), and after a start code, as decoders and encoders use them (ITU-T H.264, annex B).

use bytes::BytesMut;
use h264_reader::rbsp::{BitRead as _, BitReader, decode_nal};

/// Precedes each NAL unit of an Annex B stream. It is as long as a length, so either can replace the other in place.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Bytes of the length before each NAL unit.
pub const LENGTH: usize = START_CODE.len();

/// `nal_unit_type` of a sequence parameter set (ITU-T H.264, table 7-1).
pub const SPS: u8 = 7;
/// `nal_unit_type` of a picture parameter set.
pub const PPS: u8 = 8;

/// The length of a NAL unit exceeds the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a NAL unit is longer than its access unit")]
pub struct TooLong;

/// `nal_unit_type`, from the header of a NAL unit.
pub fn unit_type(header: u8) -> u8 {
    header & 0x1f
}

/// The NAL units of an access unit, without their lengths. Ends before the first length that exceeds the data.
pub fn units(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk()?;
        let (unit, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        data = rest;
        Some(unit)
    })
}

/// Whether a NAL unit is a slice of the picture or a part of one (`nal_unit_type` 1 to 5).
pub fn is_slice(unit: &[u8]) -> bool {
    matches!(type_of(unit), Some(1..=5))
}

/// Whether a NAL unit is a sequence parameter set.
pub fn is_sps(unit: &[u8]) -> bool {
    type_of(unit) == Some(SPS)
}

/// Whether a NAL unit is a picture parameter set.
pub fn is_pps(unit: &[u8]) -> bool {
    type_of(unit) == Some(PPS)
}

/// `pic_parameter_set_id` of a slice, after its first macroblock and its type (ITU-T H.264, section 7.3.3).
pub fn pps_id_of_slice(slice: &[u8]) -> Option<u32> {
    numbers::<3>(slice, 0).map(|[_, _, id]| id)
}

/// `pic_parameter_set_id` and `seq_parameter_set_id` of a picture parameter set (section 7.3.2.2).
pub fn ids_of_pps(pps: &[u8]) -> Option<(u32, u32)> {
    numbers::<2>(pps, 0).map(|[pps, sps]| (pps, sps))
}

/// `seq_parameter_set_id` of a sequence parameter set, after profile, constraints and level (section 7.3.2.1.1).
pub fn id_of_sps(sps: &[u8]) -> Option<u32> {
    numbers::<1>(sps, 3).map(|[id]| id)
}

/// Whether a slice is decoded without other pictures: its `slice_type` is I or SI (section 7.4.3).
pub fn is_intra_slice(slice: &[u8]) -> bool {
    numbers::<2>(slice, 0).is_some_and(|[_, slice_type]| matches!(slice_type, 2 | 4 | 7 | 9))
}

/// Numbers in Exp-Golomb code (section 9.1) at the start of a NAL unit, after its header and `skip` bytes.
fn numbers<const N: usize>(unit: &[u8], skip: usize) -> Option<[u32; N]> {
    /// More than the longest numbers take.
    const MAX_BYTES: usize = 32;
    if unit.len() <= skip + 1 {
        return None;
    }
    let rbsp = decode_nal(&unit[..unit.len().min(MAX_BYTES)]).ok()?;
    let mut bits = BitReader::new(rbsp.get(skip..)?);
    let mut all = [0; N];
    for number in &mut all {
        *number = bits.read_ue("id").ok()?;
    }
    Some(all)
}

/// Whether an access unit has its first slice, that of the picture's upper left corner: `first_mb_in_slice` is 0, which
/// is written as a single 1 bit (ITU-T H.264, sections 7.3.3 and 9.1). An access unit without slices counts as
/// complete.
pub fn begins_with_first_slice(data: &[u8]) -> bool {
    let first = units(data).find(|unit| is_slice(unit));
    first.is_none_or(|unit| unit.get(1).is_none_or(|byte| byte & 0x80 != 0))
}

/// Removes the NAL units of an access unit for which `keep` returns false, in place.
///
/// # Errors
/// A length exceeds the data. The data is then partly changed: discard it.
pub fn retain(data: &mut BytesMut, mut keep: impl FnMut(&[u8]) -> bool) -> Result<(), TooLong> {
    let (mut from, mut to) = (0, 0);
    while from < data.len() {
        let (length, behind) = data[from..].split_first_chunk().ok_or(TooLong)?;
        let unit = behind.get(..u32::from_be_bytes(*length) as usize).ok_or(TooLong)?;
        let (is_kept, end) = (keep(unit), from + LENGTH + unit.len());
        if is_kept {
            if from > to {
                data.copy_within(from..end, to);
            }
            to += end - from;
        }
        from = end;
    }
    data.truncate(to);
    Ok(())
}

/// Writes start codes over the lengths, in place: the access unit becomes an Annex B stream.
///
/// # Errors
/// A length exceeds the data. The data is then partly converted: discard it.
pub fn lengths_to_start_codes(data: &mut [u8]) -> Result<(), TooLong> {
    let mut rest = data;
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk_mut().ok_or(TooLong)?;
        let unit = u32::from_be_bytes(*length) as usize;
        *length = START_CODE;
        rest = behind.get_mut(unit..).ok_or(TooLong)?;
    }
    Ok(())
}

/// The NAL units of an Annex B stream, without start codes. Bytes before the first start code are skipped.
pub fn annex_b_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let mut rest = split_at_start_code(stream).1;
    std::iter::from_fn(move || {
        loop {
            let (unit, behind) = split_at_start_code(rest?);
            rest = behind;
            let unit = without_trailing_zeros(unit);
            if !unit.is_empty() {
                return Some(unit);
            }
        }
    })
}

/// A NAL unit without the zeros after it. A unit never ends in a zero byte (ITU-T H.264 and H.265, section 7.4.1): zeros
/// belong to the next start code, or are padding (section B.1).
pub fn without_trailing_zeros(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &unit[..end]
}

/// Whether a NAL unit has a start code in it. It is then an Annex B stream.
pub fn has_start_code(bytes: &[u8]) -> bool {
    position_of_start_code(bytes).is_some()
}

/// A NAL unit without the start code before it, if it has one.
pub fn without_start_code(unit: &[u8]) -> &[u8] {
    unit.strip_prefix(&START_CODE).or_else(|| unit.strip_prefix(&START_CODE[1..])).unwrap_or(unit)
}

/// `nal_unit_type`; `None` if the unit is empty.
fn type_of(unit: &[u8]) -> Option<u8> {
    unit.first().copied().map(unit_type)
}

/// The bytes before the first start code and the bytes after it. Without a start code, the whole stream and `None`.
fn split_at_start_code(stream: &[u8]) -> (&[u8], Option<&[u8]>) {
    match position_of_start_code(stream) {
        Some(at) => (&stream[..at], Some(&stream[at + 3..])),
        None => (stream, None),
    }
}

/// Where the first start code of three bytes is. Looks at every third byte, as most are above 1.
fn position_of_start_code(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(code) = bytes.get(at..at + 3) {
        match code[2] {
            1 if code == [0, 0, 1] => return Some(at),
            0 => at += 1,
            _ => at += 3,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn length_prefixed(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect()
    }

    #[test]
    fn a_key_frame_without_its_first_slice_is_detected() {
        // `first_mb_in_slice` is 0, and 1 (the bits 010).
        let (sei, first, second) = (&[0x06, 0x05][..], &[0x65, 0x88, 0x84][..], &[0x65, 0x42, 0x21][..]);
        assert!(begins_with_first_slice(&length_prefixed(&[sei, first, second])));
        assert!(!begins_with_first_slice(&length_prefixed(&[sei, second])));
        assert!(begins_with_first_slice(&length_prefixed(&[sei])) && begins_with_first_slice(&[]));
    }

    #[test]
    fn units_of_other_types_are_removed() {
        let (sei, slice) = (&[0x06, 0x05, 0x80][..], &[0x65, 0x88][..]);
        let mut data = BytesMut::from(&length_prefixed(&[sei, slice, sei, slice, sei])[..]);
        retain(&mut data, is_slice).unwrap();
        assert_eq!(data, length_prefixed(&[slice, slice]));
        assert_eq!(retain(&mut BytesMut::from(&[0, 0, 0, 2, 0x65][..]), is_slice), Err(TooLong));
    }

    #[test]
    fn a_length_beyond_the_end_is_an_error() {
        for mut data in [vec![0, 0, 0, 2, 0x65], vec![0, 0, 0], vec![255; 9]] {
            assert_eq!(units(&data).count(), 0);
            assert_eq!(lengths_to_start_codes(&mut data), Err(TooLong));
        }
    }

    proptest! {
        #[test]
        fn both_forms_hold_the_same_units(
            units in prop::collection::vec(prop::collection::vec(2u8.., 1..20), 0..6),
        ) {
            let of_other_types = |unit: &&Vec<u8>| !matches!(unit[0] & 0x1f, SPS | PPS);
            let units: Vec<&[u8]> = units.iter().filter(of_other_types).map(Vec::as_slice).collect();
            let mut data = length_prefixed(&units);
            prop_assert_eq!(super::units(&data).collect::<Vec<_>>(), units.clone());
            lengths_to_start_codes(&mut data).unwrap();
            prop_assert_eq!(annex_b_units(&data).collect::<Vec<_>>(), units);
        }

        #[test]
        fn start_codes_are_found(bytes in prop::collection::vec(0u8..3, 0..40)) {
            let simple = bytes.windows(3).position(|code| code == [0, 0, 1]);
            prop_assert_eq!(position_of_start_code(&bytes), simple);
        }

        #[test]
        fn arbitrary_bytes_are_accepted(mut bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..80)) {
            let _ = units(&bytes).count();
            let _ = begins_with_first_slice(&bytes);
            let _ = annex_b_units(&bytes).count();
            let _ = lengths_to_start_codes(&mut bytes);
        }
    }
}
