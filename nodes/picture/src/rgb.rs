//! Pictures to interleaved pixels and back, for nodes that draw or work on colours.

use bytes::Bytes;
use image::RgbImage;
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPlanarImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

use crate::colour::{Matrix, Range};
use crate::{Colour, Error, Picture, Planes, Size};

impl Planes<'_> {
    /// The picture as an RGB image.
    #[must_use]
    pub fn to_rgb(&self) -> RgbImage {
        let (width, height) = (self.size().width() as u32, self.size().height() as u32);
        let mut rgb = RgbImage::new(width, height);
        yuv::yuv420_to_rgb(&self.planar(), &mut rgb, 3 * width, self.range(), self.matrix())
            .expect("the planes were checked and the image has their size");
        rgb
    }

    /// Writes the picture into `bgr` as interleaved BGR, row after row without padding. It sets the length of `bgr`.
    pub fn to_bgr(&self, bgr: &mut Vec<u8>) {
        let (width, height) = (self.size().width(), self.size().height());
        bgr.resize(3 * width * height, 0);
        yuv::yuv420_to_bgr(&self.planar(), bgr, 3 * width as u32, self.range(), self.matrix())
            .expect("the planes were checked and the buffer has their size");
    }

    /// [`Self::to_bgr`] in memory of its own.
    pub(crate) fn to_bgr_bytes(self) -> Bytes {
        let mut bgr = Vec::new();
        self.to_bgr(&mut bgr);
        bgr.into()
    }

    fn planar(&self) -> YuvPlanarImage<'_, u8> {
        let [y_stride, u_stride, v_stride] = self.strides().map(|stride| stride as u32);
        YuvPlanarImage {
            y_plane: &self.y()[..self.strides()[0] * self.size().height()],
            y_stride,
            u_plane: self.u(),
            u_stride,
            v_plane: self.v(),
            v_stride,
            width: self.size().width() as u32,
            height: self.size().height() as u32,
        }
    }

    fn range(&self) -> YuvRange {
        match self.colour().range {
            Range::Limited => YuvRange::Limited,
            Range::Full => YuvRange::Full,
        }
    }

    fn matrix(&self) -> YuvStandardMatrix {
        match self.colour().matrix {
            Matrix::Bt601 => YuvStandardMatrix::Bt601,
            Matrix::Bt709 => YuvStandardMatrix::Bt709,
        }
    }
}

impl Picture {
    /// The picture as an RGB image, to draw into or to read single pixels.
    #[must_use]
    pub fn to_rgb(&self) -> RgbImage {
        self.planes().to_rgb()
    }

    /// A picture in full range BT.601 from an RGB image.
    ///
    /// # Errors
    /// [`Error::Size`] if the image is empty or too large.
    pub fn from_rgb(rgb: &RgbImage) -> Result<Self, Error> {
        let mut picture = Self::default();
        picture.read_rgb(Size::new(rgb.width() as usize, rgb.height() as usize)?, rgb);
        Ok(picture)
    }

    /// Converts interleaved RGB of exactly `size`.
    pub(crate) fn read_rgb(&mut self, size: Size, rgb: &[u8]) {
        self.read(size, rgb, yuv::rgb_to_yuv420);
    }

    /// Converts interleaved BGR of exactly `size`.
    pub(crate) fn read_bgr(&mut self, size: Size, bgr: &[u8]) {
        self.read(size, bgr, yuv::bgr_to_yuv420);
    }

    fn read(&mut self, size: Size, pixels: &[u8], to_planes: ToPlanes) {
        self.reset(size, Colour::JPEG);
        let planes = self.planes_mut();
        let mut planar = YuvPlanarImageMut {
            // The crate `yuv` expects exactly the rows of the picture, without padding.
            y_plane: BufferStoreMut::Borrowed(&mut planes.y[..planes.y_stride * size.height()]),
            y_stride: planes.y_stride as u32,
            u_plane: BufferStoreMut::Borrowed(planes.u),
            u_stride: planes.uv_stride as u32,
            v_plane: BufferStoreMut::Borrowed(planes.v),
            v_stride: planes.uv_stride as u32,
            width: size.width() as u32,
            height: size.height() as u32,
        };
        let stride = 3 * size.width() as u32;
        let (range, matrix) = (YuvRange::Full, YuvStandardMatrix::Bt601);
        to_planes(&mut planar, pixels, stride, range, matrix, YuvConversionMode::Balanced)
            .expect("the pixels and the planes have the same size");
        self.pad();
    }
}

type ToPlanes = fn(
    &mut YuvPlanarImageMut<'_, u8>,
    &[u8],
    u32,
    YuvRange,
    YuvStandardMatrix,
    YuvConversionMode,
) -> Result<(), yuv::YuvError>;
