//! Stream properties from a sequence parameter set.

use std::fmt;

use h264_reader::nal::sps::{
    ChromaFormat, FrameMbsFlags, PicOrderCntType, Profile, SeqParameterSet, SpsError as ReadError,
};
use h264_reader::rbsp::{BitRead as _, BitReader, BitReaderError, decode_nal};

use crate::order::MAX_HELD_BACK;

/// Header, profile, constraints and level. The parser of h264-reader panics on less than two bytes.
const SHORTEST: usize = 4;

/// Some cameras write up to this many stray bytes after their parameter sets.
const MOST_STRAY_BYTES: usize = 16;

/// The sequence parameter set cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the H.264 sequence parameter set: {0}")]
pub struct SpsError(String);

/// A sequence parameter set (ITU-T H.264, section 7.3.2.1.1): the fields that decoders and files need.
#[derive(Clone, Debug, PartialEq)]
pub struct Sps {
    /// Width of the cropped picture, pixels.
    pub width: u32,
    /// Height of the cropped picture, pixels.
    pub height: u32,
    /// Macroblocks of a picture before cropping.
    pub macroblocks: u64,
    /// `profile_idc`.
    pub profile: u8,
    /// The constraint flags between profile and level, as one byte.
    pub constraints: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// `chroma_format_idc`: 0 is monochrome, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma_format: u8,
    /// Bits of a luma sample.
    pub luma_bits: u8,
    /// Bits of a chroma sample.
    pub chroma_bits: u8,
    /// A picture may be coded as two fields.
    pub interlaced: bool,
    /// Pictures may bypass the transform, or the profile is one for lossless video.
    pub lossless: bool,
    /// How many pictures may precede a picture in decoding order and follow it in output order. Above 0, pictures may leave the
    /// decoder in another order than they enter it.
    pub reorder_depth: u8,
    /// The profile or `pic_order_cnt_type` 2 makes output order decoding order, whatever else the set states.
    pub is_in_order: bool,
    /// The set itself states [`Self::reorder_depth`]. Otherwise that is as much as the level allows, which few cameras use.
    pub states_reordering: bool,
    /// `video_full_range_flag`, if the stream states it.
    pub full_range: Option<bool>,
    /// The colours of the sample values, if the stream states them.
    pub colour: Option<ColourDescription>,
    /// Frames per second, if the stream states them. Many cameras send at another rate.
    pub fps: Option<f64>,
    profile_name: String,
}

/// Code points of ITU-T H.273 (ISO/IEC 23091-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColourDescription {
    /// `ColourPrimaries`.
    pub primaries: u8,
    /// `TransferCharacteristics`.
    pub transfer: u8,
    /// `MatrixCoefficients`.
    pub matrix: u8,
}

impl Sps {
    /// Reads a sequence parameter set: the NAL unit with its header, without start code or length.
    ///
    /// # Errors
    /// The bytes are not a sequence parameter set, or its cropping leaves no picture.
    pub fn parse(nal: &[u8]) -> Result<Self, SpsError> {
        let sps = read(nal)?;
        let (width, height) = sps.pixel_dimensions().map_err(|e| SpsError(format!("{e:?}")))?;
        let profile = sps.profile();
        let chroma = &sps.chroma_info;
        let vui = sps.vui_parameters.as_ref();
        let signal = vui.and_then(|vui| vui.video_signal_type.as_ref());
        let colour = signal.and_then(|signal| signal.colour_description.as_ref());
        Ok(Self {
            width,
            height,
            macroblocks: (u64::from(sps.pic_width_in_mbs_minus1) + 1)
                * (u64::from(sps.pic_height_in_map_units_minus1) + 1),
            profile: nal[1],
            constraints: nal[2],
            level: nal[3],
            chroma_format: match chroma.chroma_format {
                ChromaFormat::Monochrome => 0,
                ChromaFormat::YUV420 => 1,
                ChromaFormat::YUV422 => 2,
                _ => 3,
            },
            luma_bits: 8 + chroma.bit_depth_luma_minus8,
            chroma_bits: 8 + chroma.bit_depth_chroma_minus8,
            interlaced: matches!(sps.frame_mbs_flags, FrameMbsFlags::Fields { .. }),
            lossless: chroma.qpprime_y_zero_transform_bypass_flag || matches!(profile, Profile::High444),
            reorder_depth: reorder_depth(&sps),
            is_in_order: is_in_order(&sps),
            states_reordering: vui.is_some_and(|vui| vui.bitstream_restrictions.is_some()),
            full_range: signal.map(|signal| signal.video_full_range_flag),
            colour: colour.map(|colour| ColourDescription {
                primaries: colour.colour_primaries,
                transfer: colour.transfer_characteristics,
                matrix: colour.matrix_coefficients,
            }),
            fps: sps.fps().filter(|fps| fps.is_finite() && *fps > 0.0),
            profile_name: format!("{profile:?}"),
        })
    }
}

/// Whether a slice of H.264 is of the second field of the frame whose first field has the slice `first` (ITU-T H.264,
/// section 7.4.1.2.4): it has the same `frame_num` and the other parity. Both slices refer to this sequence parameter set.
#[must_use]
pub fn is_second_field(first: &[u8], slice: &[u8], sps: &[u8]) -> bool {
    let Ok(sps) = read(sps) else { return false };
    let (first, second) = (field(first, &sps), field(slice, &sps));
    first.zip(second).is_some_and(|((n1, bottom1), (n2, bottom2))| n1 == n2 && bottom1 != bottom2)
}

/// `frame_num` and `bottom_field_flag` of a slice of a field (section 7.3.3).
fn field(slice: &[u8], sps: &SeqParameterSet) -> Option<(u32, bool)> {
    /// More than the fields take.
    const MAX_BYTES: usize = 40;
    let FrameMbsFlags::Fields { .. } = sps.frame_mbs_flags else { return None };
    if slice.is_empty() {
        return None;
    }
    let rbsp = decode_nal(&slice[..slice.len().min(MAX_BYTES)]).ok()?;
    let mut bits = BitReader::new(&rbsp[..]);
    for name in ["first_mb_in_slice", "slice_type", "pic_parameter_set_id"] {
        bits.read_ue(name).ok()?;
    }
    if sps.chroma_info.separate_colour_plane_flag {
        bits.skip(2, "colour_plane_id").ok()?;
    }
    let frame_num = bits.read::<u32>(sps.log2_max_frame_num().into(), "frame_num").ok()?;
    let is_field = bits.read_bool("field_pic_flag").ok()?;
    is_field.then(|| bits.read_bool("bottom_field_flag").ok().map(|bottom| (frame_num, bottom))).flatten()
}

impl fmt::Display for Sps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, tenth) = (self.level / 10, self.level % 10);
        write!(f, "{}x{} {} level {whole}.{tenth}", self.width, self.height, self.profile_name)
    }
}

fn read(nal: &[u8]) -> Result<SeqParameterSet, SpsError> {
    if nal.len() < SHORTEST {
        return Err(SpsError(format!("{} bytes", nal.len())));
    }
    let rbsp = decode_nal(nal).map_err(|e| SpsError(e.to_string()))?;
    let mut end = rbsp.len();
    loop {
        match SeqParameterSet::from_bits(BitReader::new(&rbsp[..end])) {
            Ok(sps) => return Ok(sps),
            // Stray bytes after the end: the set is complete without them.
            Err(ReadError::RbspReaderError(BitReaderError::RemainingData))
                if end > 4 && rbsp.len() - end < MOST_STRAY_BYTES =>
            {
                end -= 1;
            }
            Err(e) => return Err(SpsError(format!("{e:?}"))),
        }
    }
}

/// How much output order may differ from decoding order (H.264 sections A.2 and E.2.1).
///
/// If it is too low, a decoder loses pictures. If it is too high, the decoder only delivers pictures late. So this is 0 only
/// if the stream guarantees that order.
fn reorder_depth(sps: &SeqParameterSet) -> u8 {
    let declared = sps.vui_parameters.as_ref().and_then(|vui| vui.bitstream_restrictions.as_ref());
    if is_in_order(sps) {
        return 0;
    }
    let depth = declared.map_or_else(|| max_dpb_frames(sps), |declared| declared.max_num_reorder_frames);
    u8::try_from(depth).map_or(MAX_HELD_BACK, |depth| depth.min(MAX_HELD_BACK))
}

/// Whether output order is decoding order for another reason than what the set states of it.
fn is_in_order(sps: &SeqParameterSet) -> bool {
    let baseline = matches!(sps.profile(), Profile::Baseline | Profile::ScalableBase);
    // Type 2 derives the output order from the decoding order.
    baseline || matches!(sps.pic_order_cnt, PicOrderCntType::TypeTwo)
}

/// `MaxDpbFrames`: how many frames a decoder of the stream's level holds (section A.3.1).
fn max_dpb_frames(sps: &SeqParameterSet) -> u32 {
    // `MaxDpbMbs` (table A-1).
    let macroblocks: u32 = match sps.level_idc {
        ..=10 => 396,
        11 => 900,
        12..=20 => 2376,
        21 => 4752,
        22..=30 => 8100,
        31 => 18_000,
        32 => 20_480,
        33..=41 => 32_768,
        42 => 34_816,
        43..=50 => 110_400,
        51 | 52 => 184_320,
        _ => 696_320,
    };
    let fields = if matches!(sps.frame_mbs_flags, FrameMbsFlags::Fields { .. }) { 2 } else { 1 };
    let columns = u64::from(sps.pic_width_in_mbs_minus1) + 1;
    let frame = columns * (u64::from(sps.pic_height_in_map_units_minus1) + 1) * fields;
    u32::try_from(u64::from(macroblocks) / frame).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nal(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    // Written by x264 0.164 from pictures of 320x180.
    const BASELINE: &str = "6742c00bda05067e7c0440000003004000000503c50aa8";
    const MAIN_WITH_B_FRAMES: &str = "674d400ceca0a0cfcf8088000003000800000300a078a14cb0";
    const HIGH_WITHOUT_B_FRAMES: &str = "6764000bacb202833f3e022000000300200000030281e28549";
    const BT709_FULL_RANGE: &str = "6764000cacd941419f9f016e04040280000003008000000a078a14cb";

    #[test]
    fn reordering_is_detected() {
        let sps = |hex| Sps::parse(&nal(hex)).unwrap();
        let depths = [BASELINE, HIGH_WITHOUT_B_FRAMES, MAIN_WITH_B_FRAMES].map(|hex| sps(hex).reorder_depth);
        assert_eq!(depths, [0, 0, 2]);
        let in_order = [BASELINE, HIGH_WITHOUT_B_FRAMES, MAIN_WITH_B_FRAMES].map(|hex| sps(hex).is_in_order);
        assert_eq!(in_order, [true, true, false]);
        assert!(sps(MAIN_WITH_B_FRAMES).states_reordering);
        // The set of a camera without this information: level 4.0, 1920x1080.
        let bare = sps("674d0028f280f0044fca80");
        assert_eq!((bare.to_string().as_str(), bare.reorder_depth), ("1920x1080 Main level 4.0", 4));
        assert!(!bare.states_reordering);
        assert_eq!(sps(MAIN_WITH_B_FRAMES).to_string(), "320x180 Main level 1.2");
        assert_eq!(sps(MAIN_WITH_B_FRAMES).fps, Some(10.0));
    }

    #[test]
    fn colour_and_cropping_are_read() {
        let baseline = Sps::parse(&nal(BASELINE)).unwrap();
        assert_eq!((baseline.full_range, baseline.colour), (None, None));
        let sps = Sps::parse(&nal(BT709_FULL_RANGE)).unwrap();
        assert_eq!((sps.full_range, sps.colour.map(|colour| colour.matrix)), (Some(true), Some(1)));
        let sps = Sps::parse(&nal("6764001facd9405005be6affc59c0594c4000003000400000300503c60c658")).unwrap();
        assert_eq!((sps.width, sps.height), (1270, 718));
    }

    #[test]
    fn the_fields_of_a_frame_belong_together() {
        // Written by x264 0.164 for interlaced pictures: `frame_num` has 4 bits.
        let sps = nal("67640015acd941410fcb808800000300080000030190f8a14cb0");
        // `first_mb_in_slice` 0, `slice_type` 7, `pic_parameter_set_id` 0; then `frame_num`, `field_pic_flag` and
        // `bottom_field_flag`.
        let slice =
            |frame_num: u8, flags: u8| [0x41, 0b1000_1000, 0b1000_0000 | frame_num << 3 | flags << 1, 0x80];
        let (top, bottom) = (slice(5, 0b10), slice(5, 0b11));
        assert!(is_second_field(&top, &bottom, &sps) && is_second_field(&bottom, &top, &sps));
        for other in [top, slice(6, 0b11), slice(5, 0b00)] {
            assert!(!is_second_field(&top, &other, &sps));
        }
        assert!(!is_second_field(&top, &bottom, &nal(MAIN_WITH_B_FRAMES)));
        assert!(!is_second_field(&top, &[], &sps) && !is_second_field(&top, &bottom, &[]));
    }

    #[test]
    fn stray_bytes_after_the_set_are_ignored() {
        let mut long = nal(BASELINE);
        long.extend([0x80, 1, 2, 3]);
        assert_eq!(Sps::parse(&long), Sps::parse(&nal(BASELINE)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_accepted(bytes in prop::collection::vec(any::<u8>(), 0..80), flip in any::<(usize, u8)>()) {
            let _ = Sps::parse(&bytes);
            let mut damaged = nal(MAIN_WITH_B_FRAMES);
            let at = flip.0 % damaged.len();
            damaged[at] ^= flip.1;
            let _ = Sps::parse(&damaged);
        }
    }
}
