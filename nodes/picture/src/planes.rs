use crate::{Colour, Error, Size};

/// A borrowed I420 picture (planar YUV 4:2:0): a luma plane, and two chroma planes of half its width and
/// height, rounded up.
///
/// Decoders return it and encoders accept it. A stride may be larger than the width.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    size: Size,
    colour: Colour,
    y: &'a [u8],
    u: &'a [u8],
    v: &'a [u8],
    strides: [usize; 3],
}

impl<'a> Planes<'a> {
    /// A picture from the planes Y, U and V and their strides (bytes from one row to the next).
    ///
    /// Each plane has at least `stride * rows` bytes, with `size.height()` rows of luma and `size.chroma().height()`
    /// rows of chroma.
    ///
    /// # Errors
    /// [`Error::Plane`] if a stride is narrower than the picture, or a plane shorter than its rows.
    pub fn new(
        size: Size,
        colour: Colour,
        planes: [&'a [u8]; 3],
        strides: [usize; 3],
    ) -> Result<Self, Error> {
        let chroma = size.chroma();
        let [y, u, v] = planes;
        // With an odd height, the padding row of luma is kept if there is one: see `is_padded`.
        let padded_rows = (2 * chroma.height()).min(y.len() / strides[0].max(1)).max(size.height());
        Ok(Self {
            size,
            colour,
            y: rows('Y', y, strides[0], size.width(), padded_rows)?,
            u: rows('U', u, strides[1], chroma.width(), chroma.height())?,
            v: rows('V', v, strides[2], chroma.width(), chroma.height())?,
            strides,
        })
    }

    /// The size of the picture.
    pub fn size(&self) -> Size {
        self.size
    }

    /// How the values represent colours.
    pub fn colour(&self) -> Colour {
        self.colour
    }

    /// Luma: rows of [`Self::strides`]`[0]` bytes, of which the first [`Size::width`] belong to the picture.
    ///
    /// The slice has whole rows. With an odd height it may have one row more than the picture.
    pub fn y(&self) -> &'a [u8] {
        self.y
    }

    /// Blue difference: exactly [`Size::chroma`] rows of [`Self::strides`]`[1]` bytes.
    pub fn u(&self) -> &'a [u8] {
        self.u
    }

    /// Red difference: exactly [`Size::chroma`] rows of [`Self::strides`]`[2]` bytes.
    pub fn v(&self) -> &'a [u8] {
        self.v
    }

    /// Bytes from one row to the next, for Y, U and V.
    pub fn strides(&self) -> [usize; 3] {
        self.strides
    }

    /// The picture with an even size: without its last column or row if its width or height is odd. H.264 in 4:2:0 has
    /// only even sizes, because its cropping counts in chroma samples. `None` if nothing would be left.
    ///
    /// Every plane then has exactly `stride * rows` bytes.
    #[must_use]
    pub fn even(&self) -> Option<Self> {
        let (width, height) = (self.size.width() & !1, self.size.height() & !1);
        let size = Size::new(width, height).ok()?;
        Some(Self {
            size,
            y: &self.y[..self.strides[0] * height],
            u: &self.u[..self.strides[1] * height / 2],
            v: &self.v[..self.strides[2] * height / 2],
            ..*self
        })
    }

    /// The same bytes with another colour, for a caller that knows the colour better than the decoder.
    #[must_use]
    pub fn with_colour(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }

    /// Whether luma has all pixels of every 2x2 block, even for an odd size.
    pub(crate) fn is_padded(&self) -> bool {
        let chroma = self.size.chroma();
        self.strides[0] >= 2 * chroma.width() && self.y.len() >= self.strides[0] * 2 * chroma.height()
    }

    /// The rows of luma, each of the width of the picture.
    pub(crate) fn y_rows(&self) -> impl Iterator<Item = &'a [u8]> {
        crop(self.y, self.strides[0], self.size)
    }

    /// The rows of U and of V, each of the width of the chroma planes.
    pub(crate) fn uv_rows(&self) -> [impl Iterator<Item = &'a [u8]>; 2] {
        let chroma = self.size.chroma();
        [crop(self.u, self.strides[1], chroma), crop(self.v, self.strides[2], chroma)]
    }
}

fn crop(plane: &[u8], stride: usize, size: Size) -> impl Iterator<Item = &[u8]> {
    plane.chunks_exact(stride).take(size.height()).map(move |row| &row[..size.width()])
}

fn rows(name: char, plane: &[u8], stride: usize, width: usize, rows: usize) -> Result<&[u8], Error> {
    stride
        .checked_mul(rows)
        .filter(|_| stride >= width)
        .and_then(|len| plane.get(..len))
        .ok_or(Error::Plane { plane: name, len: plane.len(), stride, rows, width })
}
