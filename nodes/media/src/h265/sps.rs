//! The sequence parameter set (ITU-T H.265, section 7.3.2.2).

use std::fmt;

use h264_reader::rbsp::{BitRead as _, BitReader};

use super::{Bits, Read, SPS, payload, unit_type};
use crate::order::MAX_HELD_BACK;
use crate::sps::ColourDescription;

/// Maximum length that is read, bytes.
const MAX_BYTES: usize = 4096;
/// Largest width and height that are believed, pixels: those of level 6.2 are below.
const MAX_SIDE: u32 = 16_888;
/// Maximum number of sets of reference pictures (section 7.4.3.2.1).
const MAX_REFERENCE_SETS: u32 = 64;
/// Maximum number of earlier or later pictures that a picture refers to: those in the decoder.
const MAX_REFERENCES: u32 = MAX_HELD_BACK as u32;

/// A sequence parameter set: the fields that decoders and files need.
#[derive(Clone, Debug, PartialEq)]
pub struct Sps {
    /// `sps_seq_parameter_set_id`.
    pub id: u32,
    /// Width of the cropped picture, pixels.
    pub width: u32,
    /// Height of the cropped picture, pixels.
    pub height: u32,
    /// Profile, tier and level.
    pub profile: Profile,
    /// Number of temporal layers, 1 to 7.
    pub temporal_layers: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub is_temporally_nested: bool,
    /// `chroma_format_idc`: 0 is monochrome, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma_format: u8,
    /// Bits of a luma sample.
    pub luma_bits: u8,
    /// Bits of a chroma sample.
    pub chroma_bits: u8,
    /// `sps_max_num_reorder_pics`: how many pictures may precede a picture in decoding order and follow it in output order.
    pub reorder_depth: u8,
    /// `video_full_range_flag`, if the stream states it.
    pub full_range: Option<bool>,
    /// The colours of the sample values, if the stream states them.
    pub colour: Option<ColourDescription>,
    /// Frames per second, if the stream states them. Many cameras send at another rate.
    pub fps: Option<f64>,
}

/// Profile, tier and level of all layers (section 7.3.3), as in the configuration record of a file (ISO/IEC 14496-15, section
/// 8.3.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `general_profile_space`.
    pub space: u8,
    /// `general_tier_flag`: the high tier.
    pub high_tier: bool,
    /// `general_profile_idc`.
    pub idc: u8,
    /// `general_profile_compatibility_flag`s, the first one as the highest bit.
    pub compatibility: u32,
    /// The 48 bits of constraint flags that follow.
    pub constraints: u64,
    /// `general_level_idc`: thirty times the level.
    pub level: u8,
}

impl Sps {
    /// Reads a sequence parameter set: the NAL unit with its header, without start code or length. `None` if the bytes are
    /// not a sequence parameter set, or a value is out of range, or its cropping leaves no picture.
    #[must_use]
    pub fn parse(nal: &[u8]) -> Option<Self> {
        if nal.first().is_none_or(|&header| unit_type(header) != SPS) || nal.len() > MAX_BYTES {
            return None;
        }
        let rbsp = payload(nal)?;
        let sps = read(&mut BitReader::new(&rbsp[..])).ok()?;
        let is_possible = (1..=MAX_SIDE).contains(&sps.width)
            && (1..=MAX_SIDE).contains(&sps.height)
            && sps.chroma_format <= 3
            && sps.luma_bits.max(sps.chroma_bits) <= 16;
        is_possible.then_some(sps)
    }
}

impl fmt::Display for Sps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.profile.idc {
            1 => "Main",
            2 => "Main 10",
            3 => "Main Still Picture",
            4 => "Range Extensions",
            _ => "another profile",
        };
        let (whole, tenth) = (self.profile.level / 30, self.profile.level % 30 / 3);
        write!(f, "{}x{} {name} level {whole}.{tenth}", self.width, self.height)
    }
}

/// What precedes the id, and the id.
pub(super) struct Start {
    layers_minus_1: u8,
    is_temporally_nested: bool,
    profile: Profile,
    pub(super) id: u32,
}

pub(super) fn read_until_id(bits: &mut Bits<'_>) -> Read<Start> {
    bits.skip(4, "sps_video_parameter_set_id")?;
    let layers_minus_1 = bits.read(3, "sps_max_sub_layers_minus1")?;
    let is_temporally_nested = bits.read_bool("sps_temporal_id_nesting_flag")?;
    let profile = Profile {
        space: bits.read(2, "general_profile_space")?,
        high_tier: bits.read_bool("general_tier_flag")?,
        idc: bits.read(5, "general_profile_idc")?,
        compatibility: bits.read(32, "general_profile_compatibility_flag")?,
        constraints: bits.read(48, "general_constraint_flags")?,
        level: bits.read(8, "general_level_idc")?,
    };
    let mut layers = Vec::new();
    for _ in 0..layers_minus_1 {
        let has_profile = bits.read_bool("sub_layer_profile_present_flag")?;
        layers.push((has_profile, bits.read_bool("sub_layer_level_present_flag")?));
    }
    if layers_minus_1 > 0 {
        bits.skip(2 * (8 - u32::from(layers_minus_1)), "reserved_zero_2bits")?;
    }
    for (has_profile, has_level) in layers {
        let length = if has_profile { 88 } else { 0 } + if has_level { 8 } else { 0 };
        bits.skip(length, "sub_layer")?;
    }
    let id = bits.read_ue("sps_seq_parameter_set_id")?;
    Ok(Start { layers_minus_1, is_temporally_nested, profile, id })
}

fn read(bits: &mut Bits<'_>) -> Read<Sps> {
    let Start { layers_minus_1, is_temporally_nested, profile, id } = read_until_id(bits)?;
    let chroma_format = small(bits.read_ue("chroma_format_idc")?);
    let is_separate = chroma_format == 3 && bits.read_bool("separate_colour_plane_flag")?;
    let [mut width, mut height] =
        [bits.read_ue("pic_width_in_luma_samples")?, bits.read_ue("pic_height_in_luma_samples")?];
    if bits.read_bool("conformance_window_flag")? {
        // In units of chroma samples (table 6-1).
        let horizontal = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let vertical = if chroma_format == 1 { 2 } else { 1 };
        let mut crop = |unit: u32| -> Read<u32> {
            let (one, other) = (bits.read_ue("conf_win_offset")?, bits.read_ue("conf_win_offset")?);
            Ok(one.saturating_add(other).saturating_mul(unit))
        };
        width = width.saturating_sub(crop(horizontal)?);
        height = height.saturating_sub(crop(vertical)?);
    }
    let luma_bits = small(bits.read_ue("bit_depth_luma_minus8")?).saturating_add(8);
    let chroma_bits = small(bits.read_ue("bit_depth_chroma_minus8")?).saturating_add(8);
    let lsb_bits = bits.read_ue("log2_max_pic_order_cnt_lsb_minus4")?.min(12) + 4;
    let all_layers = bits.read_bool("sps_sub_layer_ordering_info_present_flag")?;
    let mut reorder_depth = 0;
    for _ in if all_layers { 0 } else { layers_minus_1 }..=layers_minus_1 {
        bits.read_ue("sps_max_dec_pic_buffering_minus1")?;
        reorder_depth = bits.read_ue("sps_max_num_reorder_pics")?;
        bits.read_ue("sps_max_latency_increase_plus1")?;
    }
    let mut sps = Sps {
        id,
        width,
        height,
        profile,
        temporal_layers: layers_minus_1 + 1,
        is_temporally_nested,
        chroma_format: if is_separate { 0 } else { chroma_format },
        luma_bits,
        chroma_bits,
        reorder_depth: small(reorder_depth).min(MAX_HELD_BACK),
        full_range: None,
        colour: None,
        fps: None,
    };
    skip_to_usability(bits, lsb_bits)?;
    if bits.read_bool("vui_parameters_present_flag")? {
        // What is cut off here is only lost here.
        let _ = read_usability(bits, &mut sps);
    }
    Ok(sps)
}

/// Skips what only decoders need.
fn skip_to_usability(bits: &mut Bits<'_>, lsb_bits: u32) -> Read<()> {
    for _ in 0..6 {
        bits.read_ue("sizes of blocks")?;
    }
    if bits.read_bool("scaling_list_enabled_flag")? && bits.read_bool("sps_scaling_list_data_present_flag")? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2, "amp_enabled_flag")?;
    if bits.read_bool("pcm_enabled_flag")? {
        bits.skip(8, "pcm_sample_bit_depth")?;
        bits.read_ue("log2_min_pcm_luma_coding_block_size_minus3")?;
        bits.read_ue("log2_diff_max_min_pcm_luma_coding_block_size")?;
        bits.skip(1, "pcm_loop_filter_disabled_flag")?;
    }
    let sets = bits.read_ue("num_short_term_ref_pic_sets")?.min(MAX_REFERENCE_SETS);
    let mut pictures = 0;
    for set in 0..sets {
        pictures = skip_reference_set(bits, set, pictures)?;
    }
    if bits.read_bool("long_term_ref_pics_present_flag")? {
        for _ in 0..bits.read_ue("num_long_term_ref_pics_sps")?.min(32) {
            bits.skip(lsb_bits + 1, "lt_ref_pic_poc_lsb_sps")?;
        }
    }
    bits.skip(2, "sps_temporal_mvp_enabled_flag")
}

/// Section 7.3.4.
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Read<()> {
    for size in 0..4u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !bits.read_bool("scaling_list_pred_mode_flag")? {
                bits.read_ue("scaling_list_pred_matrix_id_delta")?;
                continue;
            }
            let coefficients = 64.min(1 << (4 + (size << 1)));
            for _ in 0..coefficients + if size > 1 { 1 } else { 0 } {
                bits.read_se("scaling_list_delta_coef")?;
            }
        }
    }
    Ok(())
}

/// Section 7.3.7. `before`: the number of pictures in the set before. Returns that of this one.
fn skip_reference_set(bits: &mut Bits<'_>, set: u32, before: u32) -> Read<u32> {
    let mut pictures = 0;
    if set > 0 && bits.read_bool("inter_ref_pic_set_prediction_flag")? {
        bits.skip(1, "delta_rps_sign")?;
        bits.read_ue("abs_delta_rps_minus1")?;
        for _ in 0..=before {
            let is_used = bits.read_bool("used_by_curr_pic_flag")? || bits.read_bool("use_delta_flag")?;
            pictures += u32::from(is_used);
        }
    } else {
        let (negative, positive) = (bits.read_ue("num_negative_pics")?, bits.read_ue("num_positive_pics")?);
        pictures = negative.min(MAX_REFERENCES) + positive.min(MAX_REFERENCES);
        for _ in 0..pictures {
            bits.read_ue("delta_poc_minus1")?;
            bits.skip(1, "used_by_curr_pic_flag")?;
        }
    }
    Ok(pictures)
}

/// Video usability information (section E.2.1), up to the frame rate.
fn read_usability(bits: &mut Bits<'_>, sps: &mut Sps) -> Read<()> {
    const EXTENDED_SAR: u8 = 255;
    if bits.read_bool("aspect_ratio_info_present_flag")?
        && bits.read::<u8>(8, "aspect_ratio_idc")? == EXTENDED_SAR
    {
        bits.skip(32, "sar_width")?;
    }
    if bits.read_bool("overscan_info_present_flag")? {
        bits.skip(1, "overscan_appropriate_flag")?;
    }
    if bits.read_bool("video_signal_type_present_flag")? {
        bits.skip(3, "video_format")?;
        sps.full_range = Some(bits.read_bool("video_full_range_flag")?);
        if bits.read_bool("colour_description_present_flag")? {
            sps.colour = Some(ColourDescription {
                primaries: bits.read(8, "colour_primaries")?,
                transfer: bits.read(8, "transfer_characteristics")?,
                matrix: bits.read(8, "matrix_coeffs")?,
            });
        }
    }
    if bits.read_bool("chroma_loc_info_present_flag")? {
        bits.read_ue("chroma_sample_loc_type_top_field")?;
        bits.read_ue("chroma_sample_loc_type_bottom_field")?;
    }
    bits.skip(3, "neutral_chroma_indication_flag")?;
    if bits.read_bool("default_display_window_flag")? {
        for _ in 0..4 {
            bits.read_ue("def_disp_win_offset")?;
        }
    }
    if bits.read_bool("vui_timing_info_present_flag")? {
        let ticks: u32 = bits.read(32, "vui_num_units_in_tick")?;
        let rate: u32 = bits.read(32, "vui_time_scale")?;
        sps.fps = (ticks > 0 && rate > 0).then(|| f64::from(rate) / f64::from(ticks));
    }
    Ok(())
}

/// A number that fits, or one that is out of range anyway.
fn small(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests;
