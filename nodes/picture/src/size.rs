use crate::Error;

/// The longest side of a picture, in pixels.
pub const MAX_SIDE: usize = 16_384;

/// The most pixels in a picture: one frame of 8K cinema (8192 x 4320), 53 MB as planes.
pub const MAX_PIXELS: usize = 8192 * 4320;

/// Width and height of a picture in pixels.
///
/// A `Size` can only be made within [`MAX_SIDE`] and [`MAX_PIXELS`], so memory may be taken for it whoever
/// named the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Size {
    width: usize,
    height: usize,
}

impl Size {
    /// Checks that each side is 1 to [`MAX_SIDE`] and the area at most [`MAX_PIXELS`].
    ///
    /// # Errors
    /// [`Error::Size`].
    pub fn new(width: usize, height: usize) -> Result<Self, Error> {
        let side = 1..=MAX_SIDE;
        if side.contains(&width) && side.contains(&height) && width * height <= MAX_PIXELS {
            Ok(Self { width, height })
        } else {
            Err(Error::Size { width, height })
        }
    }

    /// Pixels in a row.
    pub const fn width(self) -> usize {
        self.width
    }

    /// Rows.
    pub const fn height(self) -> usize {
        self.height
    }

    /// The size of each chroma plane in 4:2:0: half of each side, rounded up.
    #[must_use]
    pub const fn chroma(self) -> Self {
        Self { width: self.width.div_ceil(2), height: self.height.div_ceil(2) }
    }

    /// The size after a resize by `ratio`: each side multiplied and rounded, halves to the even neighbour, as
    /// OpenCV's `resize` has it and therefore MSight.
    ///
    /// # Errors
    /// [`Error::Ratio`] where the ratio is not a positive number or no pixel or too many would be left.
    pub fn scaled(self, ratio: f64) -> Result<Self, Error> {
        let side = |side: usize| (side as f64 * ratio).round_ties_even() as usize;
        // A float cast saturates: what is negative or not a number becomes zero, and no size.
        Self::new(side(self.width), side(self.height)).map_err(|_| Error::Ratio {
            ratio,
            width: self.width,
            height: self.height,
        })
    }
}

/// [`Size::scaled`] on bare numbers.
///
/// # Errors
/// [`Error::Size`] or [`Error::Ratio`].
pub fn scaled_size(width: usize, height: usize, ratio: f64) -> Result<Size, Error> {
    Size::new(width, height)?.scaled(ratio)
}
