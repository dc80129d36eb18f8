//! Pictures from image messages, and image messages from pictures.

use bytes::Bytes;
use image::ImageFormat;
use msight_proto::ImageData;

use crate::shared_picture::SharedPicture;
use crate::{Colour, Error, JpegDecoder, JpegEncoder, Picture, Planes, Size, still};

/// Decodes the pictures of image messages: JPEG, PNG, BMP, WebP, TIFF, and raw frames.
///
/// Use one for each stream: it reuses its memory between frames. [`Picture::from_image`] is for a single picture.
#[derive(Debug)]
pub struct ImageDecoder {
    jpeg: JpegDecoder,
}

impl ImageDecoder {
    /// A decoder.
    ///
    /// # Errors
    /// [`Error::Decode`] if memory is exhausted.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { jpeg: JpegDecoder::new()? })
    }

    /// Decodes the picture of a message into `picture`, which becomes full range BT.601 of its size.
    ///
    /// The first bytes of an encoded image tell its format; the message's `size` is ignored, as in OpenCV, which
    /// MSight uses. The `size` of a raw frame is `[height, width, 3]` (BGR), `[height, width, 1]` or `[height, width]`
    /// (grey), with 8 bits for each value.
    ///
    /// A picture that was decoded in this process is converted without decoding. A deferred one is decoded first.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Deferred`], [`Error::UnknownFormat`], [`Error::Decode`], [`Error::RawShape`],
    /// [`Error::RawLength`] or [`Error::Size`]: this message is invalid, the next may be valid. The content of the picture is
    /// then undefined.
    pub fn decode(&mut self, message: &ImageData, picture: &mut Picture) -> Result<(), Error> {
        if let Some(shared) = SharedPicture::of(message) {
            shared.get()?.planes().convert_into(Colour::JPEG, picture);
            return Ok(());
        }
        let image = message.image.as_ref().ok_or(Error::Missing)?;
        let image = image.bytes().map_err(|error| Error::Encode(error.to_string()))?;
        if !message.is_encoded {
            return read_raw(image, message.size.as_deref(), picture);
        }
        match still::guess(image)? {
            ImageFormat::Jpeg => self.jpeg.decode(image, picture),
            format => still::decode(image, format, picture),
        }
    }
}

fn read_raw(pixels: &[u8], shape: Option<&[u64]>, picture: &mut Picture) -> Result<(), Error> {
    let (height, width, channels) = match *shape.unwrap_or_default() {
        [height, width] => (height, width, 1),
        [height, width, channels @ (1 | 3)] => (height, width, channels as usize),
        _ => return Err(Error::RawShape(shape.map(<[u64]>::to_vec))),
    };
    let side = |side: u64| usize::try_from(side).unwrap_or(usize::MAX);
    let (width, height) = (side(width), side(height));
    let size = Size::new(width, height)?;
    let expected = width * height * channels;
    if pixels.len() != expected {
        return Err(Error::RawLength { width, height, channels, len: pixels.len(), expected });
    }
    match channels {
        1 => picture.read_grey(size, pixels),
        _ => picture.read_bgr(size, pixels),
    }
    Ok(())
}

impl JpegEncoder {
    /// [`Self::encode`] as the body of an image message, as MSight's sources send it: with the `size` `[height, width,
    /// 3]`, and without detections.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_image(&mut self, planes: &Planes<'_>) -> Result<ImageData, Error> {
        let jpeg = Bytes::copy_from_slice(self.encode(planes)?);
        Ok(ImageData {
            image: Some(jpeg.into()),
            is_encoded: true,
            detection_results: None,
            size: Some(planes.size().shape()),
            access_unit: None,
        })
    }
}

impl Planes<'_> {
    /// The body of an image message with raw BGR pixels and the `size` `[height, width, 3]`.
    #[must_use]
    pub fn to_raw_image(&self) -> ImageData {
        ImageData {
            image: Some(self.to_bgr_bytes().into()),
            is_encoded: false,
            detection_results: None,
            size: Some(self.size().shape()),
            access_unit: None,
        }
    }
}

impl Picture {
    /// The picture of one message; see [`ImageDecoder::decode`].
    ///
    /// # Errors
    /// As [`ImageDecoder::decode`].
    pub fn from_image(message: &ImageData) -> Result<Self, Error> {
        let mut picture = Self::default();
        ImageDecoder::new()?.decode(message, &mut picture)?;
        Ok(picture)
    }

    /// The body of an image message as JPEG with a quality from 1 to 100. For a stream, a [`JpegEncoder`] is cheaper.
    ///
    /// # Errors
    /// As [`JpegEncoder::new`] and [`JpegEncoder::encode`].
    pub fn to_image(&self, quality: u8) -> Result<ImageData, Error> {
        JpegEncoder::new(quality)?.encode_image(&self.planes())
    }
}
