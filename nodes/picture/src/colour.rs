/// How the values in the planes represent colours.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Colour {
    /// The values of black and white.
    pub range: Range,
    /// How luma and chroma are computed from red, green and blue.
    pub matrix: Matrix,
}

/// The values of black and white (ISO/IEC 23091-2, `VideoFullRangeFlag`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Range {
    /// Luma 16 to 235, chroma 16 to 240: video.
    Limited,
    /// 0 to 255: JPEG, and some cameras.
    Full,
}

/// How luma and chroma are computed from red, green and blue (ISO/IEC 23091-2, `MatrixCoefficients`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Matrix {
    /// ITU-R BT.601: JPEG, and standard definition video. `MatrixCoefficients` 5 and 6.
    Bt601,
    /// ITU-R BT.709: most high definition video. `MatrixCoefficients` 1.
    Bt709,
}

impl Colour {
    /// The colour of every JPEG according to JFIF: full range BT.601.
    pub const JPEG: Self = Self { range: Range::Full, matrix: Matrix::Bt601 };

    /// The default for video: limited range, and BT.601 as in swscale.
    pub const VIDEO: Self = Self { range: Range::Limited, matrix: Matrix::Bt601 };

    /// The colour of H.264 or H.265 pictures from the video usability information (VUI) of their sequence parameter
    /// set: `video_full_range_flag` and `matrix_coefficients` (H.264 table E-5). `None` means that the stream omits
    /// the value.
    ///
    /// The range is limited by default. An omitted or unspecified (2) matrix is BT.601 for any picture size. These are
    /// the rules of swscale, which MSight's frames pass through, so a camera keeps its colours. FCC (4) differs from
    /// BT.601 only by rounding. SMPTE 240M (7) and BT.2020 (9, 10) are decoded as the similar BT.709; an 8-bit camera
    /// should not send them.
    #[must_use]
    pub const fn from_vui(full_range: Option<bool>, matrix_coefficients: Option<u8>) -> Self {
        Self {
            range: if let Some(true) = full_range { Range::Full } else { Range::Limited },
            matrix: match matrix_coefficients {
                Some(1 | 7 | 9 | 10) => Matrix::Bt709,
                _ => Matrix::Bt601,
            },
        }
    }

    /// The luma of black: 16 or 0.
    pub(crate) const fn black(self) -> u8 {
        match self.range {
            Range::Limited => 16,
            Range::Full => 0,
        }
    }
}

impl Range {
    /// The width of the range of luma and of chroma.
    pub(crate) const fn swing(self) -> (f64, f64) {
        match self {
            Self::Limited => (219.0, 224.0),
            Self::Full => (255.0, 255.0),
        }
    }
}

impl Matrix {
    /// The weights of red and blue in luma, `Kr` and `Kb`.
    pub(crate) const fn weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_vui_has_the_colour_that_swscale_assumes() {
        assert_eq!(Colour::from_vui(None, None), Colour::VIDEO);
        assert_eq!(Colour::from_vui(Some(false), Some(2)), Colour::VIDEO);
    }

    #[test]
    fn the_vui_of_a_stream_decides_its_colour() {
        let bt709 = Colour { range: Range::Limited, matrix: Matrix::Bt709 };
        assert_eq!(Colour::from_vui(None, Some(1)), bt709);
        assert_eq!(Colour::from_vui(Some(true), Some(1)), Colour { range: Range::Full, ..bt709 });
        assert_eq!(Colour::from_vui(Some(true), Some(5)), Colour::JPEG);
        assert_eq!(Colour::from_vui(Some(false), Some(6)), Colour::VIDEO);
    }
}
