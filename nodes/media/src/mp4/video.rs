//! Sample entries of pictures (ISO/IEC 14496-15, and 14496-14 for JPEG).

use bytes::Bytes;
use shiguredo_mp4::boxes::{
    Avc1Box, AvccBox, Hvc1Box, HvccBox, HvccNalUintArray, SampleEntry, UnknownBox, VisualSampleEntryFields,
};
use shiguredo_mp4::{Encode, Uint};

use super::boxes::unknown;
use super::descriptor::{JPEG, esds};
use super::error::Error;
use crate::access_unit::Codec;
use crate::h265;
use crate::parameter_sets::ParameterSets;
use crate::sps::{ColourDescription, Sps};

/// The entry of a codec, and the width and height of its pictures. `first` is the data of the first unit.
pub(super) fn entry(
    codec: Codec,
    sets: Option<&ParameterSets>,
    first: &[u8],
    size: Option<(u32, u32)>,
) -> Result<(SampleEntry, (u16, u16)), Error> {
    let missing = || Error::NoParameterSets(codec);
    match codec {
        Codec::H264 => {
            let sets = sets.ok_or_else(missing)?;
            let sps = Sps::parse(sets.h264_sps_of(first).ok_or_else(missing)?)?;
            let size = sides(sps.width, sps.height)?;
            Ok((SampleEntry::Avc1(avc1(sets, &sps, size)), size))
        }
        Codec::H265 => {
            let sets = sets.ok_or_else(missing)?;
            let sps = sets.h265_sps().find_map(|set| h265::Sps::parse(set)).ok_or_else(missing)?;
            let size = sides(sps.width, sps.height)?;
            Ok((SampleEntry::Hvc1(hvc1(sets, &sps, size)), size))
        }
        Codec::Jpeg => {
            let (width, height) = size.ok_or(Error::NoSize(codec))?;
            let size = sides(width, height)?;
            Ok((SampleEntry::Unknown(mp4v(size)?), size))
        }
        Codec::Aac | Codec::Opus | Codec::Pcma | Codec::Pcmu | Codec::L16 | Codec::Metadata => {
            Err(Error::Codec(codec))
        }
    }
}

fn sides(width: u32, height: u32) -> Result<(u16, u16), Error> {
    let side = |side: u32| u16::try_from(side).map_err(|_| Error::Size(width, height));
    Ok((side(width)?, side(height)?))
}

pub(super) fn visual((width, height): (u16, u16)) -> VisualSampleEntryFields {
    VisualSampleEntryFields {
        data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
        width,
        height,
        horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
        vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
        frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
        compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
        depth: VisualSampleEntryFields::DEFAULT_DEPTH,
    }
}

/// H.264. The size is that of the cropped picture.
fn avc1(sets: &ParameterSets, sps: &Sps, size: (u16, u16)) -> Avc1Box {
    let list = |sets: &mut dyn Iterator<Item = &Bytes>| sets.map(|set| set.to_vec()).collect();
    // Baseline, Main and Extended profile have no such fields in the box (ISO/IEC 14496-15, 5.3.3.1).
    let high = !matches!(sps.profile, 66 | 77 | 88);
    Avc1Box {
        visual: visual(size),
        avcc_box: AvccBox {
            avc_profile_indication: sps.profile,
            profile_compatibility: sps.constraints,
            avc_level_indication: sps.level,
            length_size_minus_one: Uint::new(3),
            sps_list: list(&mut sets.h264_sps()),
            pps_list: list(&mut sets.h264_pps()),
            chroma_format: high.then(|| Uint::new(sps.chroma_format)),
            bit_depth_luma_minus8: high.then(|| Uint::new(sps.luma_bits - 8)),
            bit_depth_chroma_minus8: high.then(|| Uint::new(sps.chroma_bits - 8)),
            sps_ext_list: vec![],
        },
        unknown_boxes: colour(sps.colour, sps.full_range).into_iter().collect(),
    }
}

/// H.265, with all its parameter sets in the box (ISO/IEC 14496-15, 8.3.3.1).
fn hvc1(sets: &ParameterSets, sps: &h265::Sps, size: (u16, u16)) -> Hvc1Box {
    let of_type = |set: &Bytes, kind| set.first().is_some_and(|&header| h265::unit_type(header) == kind);
    let arrays = [h265::VPS, h265::SPS, h265::PPS].into_iter().map(|kind| HvccNalUintArray {
        array_completeness: Uint::new(1),
        nal_unit_type: Uint::new(kind),
        nalus: sets.all().iter().filter(|set| of_type(set, kind)).map(|set| set.to_vec()).collect(),
    });
    Hvc1Box {
        visual: visual(size),
        hvcc_box: HvccBox {
            general_profile_space: Uint::new(sps.profile.space),
            general_tier_flag: Uint::new(sps.profile.high_tier.into()),
            general_profile_idc: Uint::new(sps.profile.idc),
            general_profile_compatibility_flags: sps.profile.compatibility,
            general_constraint_indicator_flags: Uint::new(sps.profile.constraints),
            general_level_idc: sps.profile.level,
            // 0: the streams of cameras do not state it.
            min_spatial_segmentation_idc: Uint::new(0),
            parallelism_type: Uint::new(0),
            chroma_format_idc: Uint::new(sps.chroma_format),
            bit_depth_luma_minus8: Uint::new(sps.luma_bits.saturating_sub(8)),
            bit_depth_chroma_minus8: Uint::new(sps.chroma_bits.saturating_sub(8)),
            avg_frame_rate: 0,
            constant_frame_rate: Uint::new(0),
            num_temporal_layers: Uint::new(sps.temporal_layers),
            temporal_id_nested: Uint::new(sps.is_temporally_nested.into()),
            length_size_minus_one: Uint::new(3),
            nalu_arrays: arrays.filter(|array| !array.nalus.is_empty()).collect(),
        },
        unknown_boxes: colour(sps.colour, sps.full_range).into_iter().collect(),
    }
}

/// JPEG, as MPEG-4 visual of another object type.
fn mp4v(size: (u16, u16)) -> Result<UnknownBox, Error> {
    let mut payload = visual(size).encode_to_vec().map_err(Error::mux)?;
    payload.extend(esds(JPEG, None).encode_to_vec().map_err(Error::mux)?);
    Ok(unknown(*b"mp4v", payload))
}

/// The `colr` box (ISO/IEC 14496-12, 12.1.5) with the colours of the parameter set, for players that read only the
/// boxes.
fn colour(colour: Option<ColourDescription>, full_range: Option<bool>) -> Option<UnknownBox> {
    let colour = colour?;
    let full_range = if full_range == Some(true) { 0x80 } else { 0 };
    let code_points = [0, colour.primaries, 0, colour.transfer, 0, colour.matrix, full_range];
    Some(unknown(*b"colr", [&b"nclx"[..], &code_points].concat()))
}
