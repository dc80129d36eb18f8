use crate::{Colour, Planes, Size};

/// An owned I420 picture whose memory is used again.
///
/// Everything in this crate that makes a picture writes into one it is lent, so that a stream of frames of
/// one size takes memory once. `Picture::default()` is a place to write into.
///
/// The planes lie one after the other, and luma is padded to an even number of columns and rows: encoders and
/// decoders of 2x2 blocks use the memory as it is, also where the size is odd.
#[derive(Clone, Debug)]
pub struct Picture {
    size: Size,
    colour: Colour,
    buffer: Vec<u8>,
}

/// The planes of a [`Picture`], to be written.
#[derive(Debug)]
pub struct PlanesMut<'a> {
    /// Luma: rows of [`Self::y_stride`] bytes, as many as the height rounded up to even.
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

    /// Makes it a picture of this size and colour with any content, using the same memory where that is enough.
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

    /// What the numbers stand for.
    pub fn colour(&self) -> Colour {
        self.colour
    }

    pub(crate) fn colour_mut(&mut self) -> &mut Colour {
        &mut self.colour
    }

    /// The planes, to be read.
    pub fn planes(&self) -> Planes<'_> {
        let chroma = self.size.chroma();
        let (y, uv) = self.buffer.split_at(4 * chroma.width() * chroma.height());
        let (u, v) = uv.split_at(uv.len() / 2);
        let strides = [2 * chroma.width(), chroma.width(), chroma.width()];
        Planes::new(self.size, self.colour, [y, u, v], strides)
            .expect("the buffer has the size of the picture")
    }

    /// The planes, to be written.
    ///
    /// Where the width or height is odd, luma's last column or row is padding; it is best a copy of its
    /// neighbour.
    pub fn planes_mut(&mut self) -> PlanesMut<'_> {
        let chroma = self.size.chroma();
        let (y, uv) = self.buffer.split_at_mut(4 * chroma.width() * chroma.height());
        let (u, v) = uv.split_at_mut(uv.len() / 2);
        PlanesMut { y, u, v, y_stride: 2 * chroma.width(), uv_stride: chroma.width() }
    }

    /// The whole memory: luma, then U, then V, without a gap.
    pub(crate) fn buffer_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Fills the padding of an odd size with its neighbours, so that it does not bleed into the last block.
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
    /// One black pixel: a place for a picture to be written into.
    fn default() -> Self {
        Self::new(Size::new(1, 1).expect("one pixel is within the limits"), Colour::JPEG)
    }
}
