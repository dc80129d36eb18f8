//! Parameter sets in a description (RFC 6184, section 8.1; RFC 7798, section 7.1).

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;
use bytes::Bytes;
use msight_media::{ParameterSets, h265, nal};

/// Maximum number of sets: more than a camera with several resolutions has.
const MAX_SETS: usize = 64;

/// Base64 without padding, whose last bits may be set.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// The H.264 parameter sets in lists of base64.
pub(super) fn h264<'a>(lists: impl Iterator<Item = &'a str>) -> Option<Arc<ParameterSets>> {
    sets(lists, [nal::SPS, nal::PPS], nal::unit_type)
}

/// The H.265 parameter sets in lists of base64.
pub(super) fn h265<'a>(lists: impl Iterator<Item = &'a str>) -> Option<Arc<ParameterSets>> {
    sets(lists, [h265::VPS, h265::SPS, h265::PPS], h265::unit_type)
}

/// The sets of these types, in the order of the types. Parts that are invalid are dropped, and so are other NAL units.
fn sets<'a, const N: usize>(
    lists: impl Iterator<Item = &'a str>,
    types: [u8; N],
    type_of: impl Fn(u8) -> u8,
) -> Option<Arc<ParameterSets>> {
    let mut by_type = [const { Vec::<Bytes>::new() }; N];
    // The padding separates too: some cameras encode a start code by itself, and write the set behind it.
    let parts = lists.flat_map(|list| list.split(|c: char| matches!(c, ',' | '=') || c.is_whitespace()));
    for part in parts.filter(|part| !part.is_empty()).take(MAX_SETS) {
        let Ok(decoded) = BASE64.decode(part) else { continue };
        // Some cameras put a start code before each set, and several sets into one part.
        let stream = [&nal::START_CODE[..], &decoded].concat();
        for unit in nal::annex_b_units(&stream) {
            let Some(&header) = unit.first() else { continue };
            let kind = types.iter().position(|kind| header & 0x80 == 0 && type_of(header) == *kind);
            if let Some(sets) = kind.map(|at| &mut by_type[at])
                && unit.len() > 1
                && sets.len() < MAX_SETS
                && !sets.iter().any(|set| **set == *unit)
            {
                sets.push(Bytes::copy_from_slice(unit));
            }
        }
    }
    let all = by_type.concat();
    (!all.is_empty()).then(|| Arc::new(ParameterSets::new(all)))
}
