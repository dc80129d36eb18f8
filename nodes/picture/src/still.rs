//! Pictures in formats other than JPEG, by the `image` crate.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use crate::limits::{MAX_PIXELS, MAX_SIDE};
use crate::{Colour, Error, Picture, Size};

/// Decodes `file` of the given format into `picture`. It ignores transparency, as OpenCV does.
pub(crate) fn decode(file: &[u8], format: ImageFormat, picture: &mut Picture) -> Result<(), Error> {
    let failed = |error: image::ImageError| Error::Decode {
        format: name(format),
        len: file.len(),
        reason: error.to_string(),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    // Four channels of 16 bits.
    limits.max_alloc = Some(8 * MAX_PIXELS as u64);
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits.clone());
    let decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width as usize, height as usize)?;
    limits.reserve(decoder.total_bytes()).map_err(failed)?;
    match DynamicImage::from_decoder(decoder).map_err(failed)? {
        DynamicImage::ImageLuma8(grey) => picture.read_grey(size, &grey),
        other => picture.read_rgb(size, &other.into_rgb8()),
    }
    Ok(())
}

/// The format that the first bytes indicate, if this crate can read it.
pub(crate) fn guess(file: &[u8]) -> Result<ImageFormat, Error> {
    image::guess_format(file).ok().filter(ImageFormat::reading_enabled).ok_or_else(|| Error::UnknownFormat {
        len: file.len(),
        start: file.iter().take(8).copied().collect(),
    })
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::Bmp => "BMP",
        ImageFormat::WebP => "WebP",
        ImageFormat::Tiff => "TIFF",
        other => other.extensions_str().first().copied().unwrap_or("image"),
    }
}

impl Picture {
    /// Sets luma to `grey`, and chroma to no colour.
    pub(crate) fn read_grey(&mut self, size: Size, grey: &[u8]) {
        self.reset(size, Colour::JPEG);
        let planes = self.planes_mut();
        for (row, to) in grey.chunks_exact(size.width()).zip(planes.y.chunks_exact_mut(planes.y_stride)) {
            to[..row.len()].copy_from_slice(row);
        }
        self.make_grey();
        self.pad();
    }

    pub(crate) fn make_grey(&mut self) {
        let planes = self.planes_mut();
        planes.u.fill(128);
        planes.v.fill(128);
    }
}
