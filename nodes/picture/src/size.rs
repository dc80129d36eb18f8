use crate::Error;
use crate::limits::{MAX_PIXELS, MAX_SIDE};

/// Width and height of a picture in pixels.
///
/// A `Size` is always within [`MAX_SIDE`] and [`MAX_PIXELS`], so it is safe to allocate memory for a size from an
/// untrusted source.
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

    /// The size of a chroma plane in 4:2:0: half of each side, rounded up.
    #[must_use]
    pub const fn chroma(self) -> Self {
        Self { width: self.width.div_ceil(2), height: self.height.div_ceil(2) }
    }

    /// The `size` of an image message with three channels: `[height, width, 3]`.
    pub(crate) fn shape(self) -> Vec<u64> {
        vec![self.height as u64, self.width as u64, 3]
    }

    /// The size after a resize by `ratio`. Each side is multiplied and rounded, a half to the even neighbour, as in
    /// OpenCV's `resize`, which MSight uses.
    ///
    /// # Errors
    /// [`Error::Ratio`] if the ratio is not a positive number, or if the result has no pixels or too many.
    pub fn scaled(self, ratio: f64) -> Result<Self, Error> {
        let side = |side: usize| (side as f64 * ratio).round_ties_even() as usize;
        // A float cast saturates: a negative number or NaN becomes zero, which is not a valid size.
        Self::new(side(self.width), side(self.height)).map_err(|_| Error::Ratio {
            ratio,
            width: self.width,
            height: self.height,
        })
    }
}

/// [`Size::scaled`] for plain numbers.
///
/// # Errors
/// [`Error::Size`] or [`Error::Ratio`].
pub fn scaled_size(width: usize, height: usize, ratio: f64) -> Result<Size, Error> {
    Size::new(width, height)?.scaled(ratio)
}
