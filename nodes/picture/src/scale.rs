use fast_image_resize::images::{TypedCroppedImageMut, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::{Picture, Planes, Size};

/// Changes the size of pictures, plane by plane.
///
/// Bilinear, and where a picture becomes smaller every pixel of it counts: MSight's `resize` (OpenCV,
/// `INTER_LINEAR`) looks at four neighbours whatever the ratio, so that fine patterns flicker.
#[derive(Debug, Default)]
pub struct Scaler {
    resizer: Resizer,
}

impl Scaler {
    /// A scaler; it keeps its intermediate rows between pictures.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `planes` into `picture` at the size `to`, in the same colour.
    pub fn scale(&mut self, planes: &Planes<'_>, to: Size, picture: &mut Picture) {
        picture.reset(to, planes.colour());
        let from = planes.size();
        let strides = planes.strides();
        let out = picture.planes_mut();
        let whole = (from.width() as f64, from.height() as f64);
        self.plane(planes.y(), strides[0], whole, out.y, out.y_stride, to);
        // Where a side is odd, the last chroma sample stands for one pixel that is not there. The part of the
        // chroma plane that is read is the picture's, and as much more as the chroma plane written goes beyond.
        let (from_chroma, to_chroma) = (from.chroma(), to.chroma());
        let part = |from: usize, to: usize, limit: usize| {
            let beyond = (2 * to.div_ceil(2)) as f64 / to as f64;
            (from as f64 / 2.0 * beyond).min(limit as f64)
        };
        let chroma = (
            part(from.width(), to.width(), from_chroma.width()),
            part(from.height(), to.height(), from_chroma.height()),
        );
        self.plane(planes.u(), strides[1], chroma, out.u, out.uv_stride, to_chroma);
        self.plane(planes.v(), strides[2], chroma, out.v, out.uv_stride, to_chroma);
        picture.pad();
    }

    /// Scales the top left `part` (width, height) of one plane to `size`.
    fn plane(
        &mut self,
        from: &[u8],
        stride: usize,
        part: (f64, f64),
        to: &mut [u8],
        to_stride: usize,
        size: Size,
    ) {
        const CHECKED: &str = "the planes were checked when they were made";
        let from = TypedImageRef::<U8>::from_buffer(stride as u32, (from.len() / stride) as u32, from)
            .expect(CHECKED);
        let to_rows = (to.len() / to_stride) as u32;
        let to = TypedImage::<U8>::from_buffer(to_stride as u32, to_rows, to).expect(CHECKED);
        let mut to =
            TypedCroppedImageMut::new(to, 0, 0, size.width() as u32, size.height() as u32).expect(CHECKED);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .crop(0.0, 0.0, part.0, part.1);
        self.resizer.resize_typed(&from, &mut to, &options).expect(CHECKED);
    }
}
