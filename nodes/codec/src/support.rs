//! The H.264 streams that OpenH264 supports.

use msight_media::Sps;

/// Maximum macroblocks of a picture: `MaxFS` of level 5.2 (ITU-T H.264, table A-1), which is also OpenH264's limit.
const MAX_MACROBLOCKS: u64 = 36_864;

/// A stream that OpenH264 does not support.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot decode the camera's stream, H.264 {feature} ({stream}); set it to H.264 baseline, main or high profile, \
     8 bit 4:2:0, progressive, at most 4096x2304"
)]
pub struct Unsupported {
    /// What OpenH264 lacks, such as `interlaced`.
    pub feature: &'static str,
    /// The stream: size, profile and level.
    pub stream: String,
}

/// Checks a stream by its sequence parameter set.
///
/// # Errors
/// Its pictures are interlaced, not 4:2:0, deeper than 8 bit, lossless or too large.
pub fn check(sps: &Sps) -> Result<(), Unsupported> {
    let feature = if sps.interlaced {
        "interlaced"
    } else if sps.luma_bits > 8 || sps.chroma_bits > 8 {
        "with more than 8 bit"
    } else if sps.chroma_format == 0 {
        "in monochrome (4:0:0)"
    } else if sps.chroma_format == 2 {
        "in 4:2:2"
    } else if sps.chroma_format == 3 {
        "in 4:4:4"
    } else if sps.lossless {
        "lossless (High 4:4:4 Predictive)"
    } else if sps.macroblocks > MAX_MACROBLOCKS {
        "with too large pictures"
    } else {
        return Ok(());
    };
    Err(Unsupported { feature, stream: sps.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(hex: &str) -> Sps {
        let nal: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        Sps::parse(&nal).unwrap()
    }

    // Written by x264 0.164.
    #[test]
    fn unsupported_features_are_named() {
        for (hex, named) in [
            ("67640015acd941433f26022000000300200000030283e28532c0", "interlaced (320x180 High level 2.1)"),
            ("676e000ca6cd941419f9f011000003000100000300140f142996", "more than 8 bit"),
            ("677a000cbcd941419f8dc044000003000400000300503c50a658", "4:2:2"),
            ("67f4000c919b282833f1b80880000003008000000a078a14cb", "4:4:4"),
            ("67f4000baeb202833f3e022000000300200000030281e28549", "lossless"),
            ("6764000cf36505067e37016c80000003008000000a078a14cb", "monochrome"),
            ("6742c03cda0050005a6c0440000003004000000503c2010a80", "too large pictures (5120x2880"),
        ] {
            let error = check(&parse(hex)).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("baseline, main or high"), "{named}: {error}");
        }
        assert_eq!(check(&parse("6742c00bda05067e7c0440000003004000000503c50aa8")), Ok(()));
    }
}
