use crate::{Colour, Planes, Size};

/// An owned I420 picture with reusable memory.
///
/// Every function of this crate that makes a picture writes into one that the caller passes in, so a stream of frames
/// of one size allocates once. Start with `Picture::default()`.
///
/// The planes lie one after the other in memory. Luma is padded to an even number of columns and rows, so encoders and
/// decoders of 2x2 blocks can use the memory directly, even for an odd size.
#[derive(Clone, Debug)]
pub struct Picture {
    size: Size,
    colour: Colour,
    buffer: Vec<u8>,
}

/// The writable planes of a [`Picture`].
#[derive(Debug)]
pub struct PlanesMut<'a> {
    /// Luma: rows of [`Self::y_stride`] bytes. Their number is the height, rounded up to even.
    pub y: &'a mut [u8],
    /// Blue difference: rows of [`Self::uv_stride`] bytes.
    pub u: &'a mut [u8],
    /// Red difference: rows of [`Self::uv_stride`] bytes.
    pub v: &'a mut [u8],
    /// The width rounded up to even.
    pub y_stride: usize,
    /// Half of [`Self::y_stride`].
    pub uv_stride: usize,
}

impl Picture {
    /// A black picture.
    #[must_use]
    pub fn new(size: Size, colour: Colour) -> Self {
        let mut picture = Self { size, colour, buffer: Vec::new() };
        picture.reset(size, colour);
        let planes = picture.planes_mut();
        planes.y.fill(colour.black());
        planes.u.fill(128);
        planes.v.fill(128);
        picture
    }

    /// Changes the size and colour, with undefined content. It reuses the memory if it is large enough.
    pub fn reset(&mut self, size: Size, colour: Colour) {
        self.size = size;
        self.colour = colour;
        let chroma = size.chroma();
        self.buffer.resize(6 * chroma.width() * chroma.height(), 0);
    }

    /// The size of the picture.
    pub fn size(&self) -> Size {
        self.size
    }

    /// How the values represent colours.
    pub fn colour(&self) -> Colour {
        self.colour
    }

    pub(crate) fn colour_mut(&mut self) -> &mut Colour {
        &mut self.colour
    }

    /// The planes, for reading.
    pub fn planes(&self) -> Planes<'_> {
        let chroma = self.size.chroma();
        let (y, uv) = self.buffer.split_at(4 * chroma.width() * chroma.height());
        let (u, v) = uv.split_at(uv.len() / 2);
        let strides = [2 * chroma.width(), chroma.width(), chroma.width()];
        Planes::new(self.size, self.colour, [y, u, v], strides)
            .expect("the buffer has the size of the picture")
    }

    /// The planes, for writing.
    ///
    /// If the width or height is odd, luma's last column or row is padding. Copy the neighbouring column or row into it.
    pub fn planes_mut(&mut self) -> PlanesMut<'_> {
        let chroma = self.size.chroma();
        let (y, uv) = self.buffer.split_at_mut(4 * chroma.width() * chroma.height());
        let (u, v) = uv.split_at_mut(uv.len() / 2);
        PlanesMut { y, u, v, y_stride: 2 * chroma.width(), uv_stride: chroma.width() }
    }

    /// The whole buffer: luma, U and V without gaps.
    pub(crate) fn buffer_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Copies the neighbours into the padding of an odd size, so that old content does not affect the last block.
    pub(crate) fn pad(&mut self) {
        let (width, height) = (self.size.width(), self.size.height());
        let PlanesMut { y, y_stride, .. } = self.planes_mut();
        if width < y_stride {
            for row in y.chunks_exact_mut(y_stride) {
                row[width] = row[width - 1];
            }
        }
        if height % 2 == 1 {
            y.copy_within((height - 1) * y_stride..height * y_stride, height * y_stride);
        }
    }
}

impl Default for Picture {
    /// One black pixel, to write a picture into.
    fn default() -> Self {
        Self::new(Size::new(1, 1).expect("one pixel is within the limits"), Colour::JPEG)
    }
}
