//! What a stream says of itself in its sequence parameter set, and whether the decoder can take it.

use std::fmt;

use h264_reader::nal::sps::{
    ChromaFormat, FrameMbsFlags, PicOrderCntType, Profile, SeqParameterSet, SpsError,
};
use h264_reader::rbsp::{BitReader, BitReaderError, decode_nal};
use msight_picture::Colour;
use thiserror::Error;

/// Most macroblocks in a frame: level 5.2's `MaxFS` (H.264 table A-1), which is also the decoder's limit.
const MOST_MACROBLOCKS: u64 = 36_864;

/// Header, profile, constraints and level. The parser of h264-reader must not be given less than two bytes.
const SHORTEST: usize = 4;

/// Some cameras write up to this many bytes of rubbish behind their parameter sets.
const MOST_RUBBISH: usize = 16;

/// Why a stream cannot be decoded, with what to do.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Unsupported {
    /// The parameter set itself cannot be read.
    #[error("the camera's H.264 sequence parameter set cannot be read ({0})")]
    Unreadable(String),
    /// Named features that the decoder lacks.
    #[error(
        "the camera sends H.264 {what}, which cannot be decoded here; set the camera's stream to H.264 baseline, main or \
         high profile, 8 bit 4:2:0, progressive, at most 4096x2304"
    )]
    Feature {
        /// The feature, as `interlaced (1920x1080 high)`.
        what: String,
    },
}

/// The part of a sequence parameter set (H.264 section 7.3.2.1.1) that matters here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sps {
    /// Width of the cropped picture, pixels.
    pub(crate) width: u32,
    /// Height of the cropped picture, pixels.
    pub(crate) height: u32,
    /// Pictures may leave the decoder in another order than they enter.
    pub(crate) reorders: bool,
    /// Range and matrix, from the VUI.
    pub(crate) colour: Colour,
    /// Frames a second as declared, which is no promise.
    pub(crate) fps: Option<f64>,
    profile: String,
    level: u8,
}

impl Sps {
    /// Reads a sequence parameter set: the NAL unit with its header, without start code.
    ///
    /// Refused by name: interlaced, other than 4:2:0, more than 8 bit, lossless and oversized pictures.
    pub(crate) fn parse(nal: &[u8]) -> Result<Self, Unsupported> {
        let sps = read(nal)?;
        let (width, height) =
            sps.pixel_dimensions().map_err(|e| Unsupported::Unreadable(format!("{e:?}")))?;
        let profile = sps.profile();
        let chroma = &sps.chroma_info;
        let macroblocks = (u64::from(sps.pic_width_in_mbs_minus1) + 1)
            * (u64::from(sps.pic_height_in_map_units_minus1) + 1);
        let feature = if matches!(sps.frame_mbs_flags, FrameMbsFlags::Fields { .. }) {
            Some("interlaced")
        } else if chroma.bit_depth_luma_minus8 > 0 || chroma.bit_depth_chroma_minus8 > 0 {
            Some("with more than 8 bit")
        } else if chroma.chroma_format != ChromaFormat::YUV420 {
            Some(match chroma.chroma_format {
                ChromaFormat::Monochrome => "in monochrome (4:0:0)",
                ChromaFormat::YUV422 => "in 4:2:2",
                _ => "in 4:4:4",
            })
        } else if chroma.qpprime_y_zero_transform_bypass_flag || matches!(profile, Profile::High444) {
            Some("lossless (High 4:4:4 Predictive)")
        } else if macroblocks > MOST_MACROBLOCKS {
            Some("with too large pictures")
        } else {
            None
        };
        let vui = sps.vui_parameters.as_ref();
        let signal = vui.and_then(|vui| vui.video_signal_type.as_ref());
        let matrix =
            signal.and_then(|signal| signal.colour_description.as_ref()).map(|d| d.matrix_coefficients);
        let this = Self {
            width,
            height,
            reorders: reorders(&sps),
            colour: Colour::from_vui(signal.map(|signal| signal.video_full_range_flag), matrix),
            fps: sps.fps().filter(|fps| fps.is_finite() && *fps > 0.0),
            profile: format!("{profile:?}"),
            level: sps.level_idc,
        };
        match feature {
            None => Ok(this),
            Some(feature) => Err(Unsupported::Feature { what: format!("{feature} ({this})") }),
        }
    }
}

impl fmt::Display for Sps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, tenth) = (self.level / 10, self.level % 10);
        write!(f, "{}x{} {} level {whole}.{tenth}", self.width, self.height, self.profile)
    }
}

fn read(nal: &[u8]) -> Result<SeqParameterSet, Unsupported> {
    if nal.len() < SHORTEST {
        return Err(Unsupported::Unreadable(format!("{} bytes", nal.len())));
    }
    let rbsp = decode_nal(nal).map_err(|e| Unsupported::Unreadable(e.to_string()))?;
    let mut end = rbsp.len();
    loop {
        match SeqParameterSet::from_bits(BitReader::new(&rbsp[..end])) {
            Ok(sps) => return Ok(sps),
            // Rubbish behind the end: the set is whole without it.
            Err(SpsError::RbspReaderError(BitReaderError::RemainingData))
                if end > 4 && rbsp.len() - end < MOST_RUBBISH =>
            {
                end -= 1;
            }
            Err(e) => return Err(Unsupported::Unreadable(format!("{e:?}"))),
        }
    }
}

/// Whether output order may differ from decoding order (H.264 sections A.2 and E.2.1).
///
/// `Flush` after each picture costs a decoder that reorders half its pictures; no flush costs one that does not a frame
/// of delay. So this must be right where it says no, and may be wrong where it says yes.
fn reorders(sps: &SeqParameterSet) -> bool {
    let declared = sps.vui_parameters.as_ref().and_then(|vui| vui.bitstream_restrictions.as_ref());
    let baseline = matches!(sps.profile(), Profile::Baseline | Profile::ScalableBase);
    // Type 2 derives the output order from the decoding order.
    let in_order = matches!(sps.pic_order_cnt, PicOrderCntType::TypeTwo);
    !baseline && !in_order && declared.is_none_or(|declared| declared.max_num_reorder_frames > 0)
}

#[cfg(test)]
mod tests {
    use msight_picture::{Matrix, Range};
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
    fn whether_pictures_are_reordered() {
        let sps = |hex| Sps::parse(&nal(hex)).unwrap();
        assert!(!sps(BASELINE).reorders);
        assert!(!sps(HIGH_WITHOUT_B_FRAMES).reorders);
        assert!(sps(MAIN_WITH_B_FRAMES).reorders);
        assert_eq!(sps(MAIN_WITH_B_FRAMES).to_string(), "320x180 Main level 1.2");
        assert_eq!(sps(MAIN_WITH_B_FRAMES).fps, Some(10.0));
    }

    #[test]
    fn colour_and_cropping_are_read() {
        assert_eq!(Sps::parse(&nal(BASELINE)).unwrap().colour, Colour::VIDEO);
        let sps = Sps::parse(&nal(BT709_FULL_RANGE)).unwrap();
        assert_eq!(sps.colour, Colour { range: Range::Full, matrix: Matrix::Bt709 });
        let sps = Sps::parse(&nal("6764001facd9405005be6affc59c0594c4000003000400000300503c60c658")).unwrap();
        assert_eq!((sps.width, sps.height), (1270, 718));
    }

    #[test]
    fn what_the_decoder_lacks_is_named() {
        for (hex, named) in [
            ("67640015acd941433f26022000000300200000030283e28532c0", "interlaced (320x180 High level 2.1)"),
            ("676e000ca6cd941419f9f011000003000100000300140f142996", "more than 8 bit"),
            ("677a000cbcd941419f8dc044000003000400000300503c50a658", "4:2:2"),
            ("67f4000c919b282833f1b80880000003008000000a078a14cb", "4:4:4"),
            ("67f4000baeb202833f3e022000000300200000030281e28549", "lossless"),
            ("6764000cf36505067e37016c80000003008000000a078a14cb", "monochrome"),
            ("6742c03cda0050005a6c0440000003004000000503c2010a80", "too large pictures (5120x2880"),
        ] {
            let error = Sps::parse(&nal(hex)).unwrap_err().to_string();
            assert!(
                error.contains(named) && error.contains("set the camera's stream to H.264"),
                "{named}: {error}"
            );
        }
    }

    #[test]
    fn rubbish_behind_the_set_does_no_harm() {
        let mut long = nal(BASELINE);
        long.extend([0x80, 1, 2, 3]);
        assert_eq!(Sps::parse(&long), Sps::parse(&nal(BASELINE)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), flip in any::<(usize, u8)>()) {
            let _ = Sps::parse(&bytes);
            let mut damaged = nal(MAIN_WITH_B_FRAMES);
            let at = flip.0 % damaged.len();
            damaged[at] ^= flip.1;
            let _ = Sps::parse(&damaged);
        }
    }
}
