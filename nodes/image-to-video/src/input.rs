//! From a frame's message to the planes that are encoded.

use msight_picture::{DecodedPicture, Error, ImageDecoder, Picture, Planes, Range};
use msight_proto::ImageData;

/// Decodes the frames of one sensor.
pub(crate) struct Input {
    decoder: ImageDecoder,
    picture: Picture,
}

impl Input {
    /// Without a picture.
    ///
    /// # Errors
    /// The JPEG decoder cannot be set up.
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self { decoder: ImageDecoder::new()?, picture: Picture::default() })
    }

    /// The planes to encode. A picture from a decoder in this process is used in place, in the camera's own colour. Any
    /// other one is decoded and converted to the limited range of video.
    ///
    /// # Errors
    /// The frame is not a picture, or of an unsupported kind.
    pub(crate) fn read<'a>(&'a mut self, frame: &'a ImageData) -> Result<Planes<'a>, Error> {
        if let Some(decoded) = DecodedPicture::of(frame) {
            return Ok(decoded.planes());
        }
        self.decoder.decode(frame, &mut self.picture)?;
        self.picture.change_range(Range::Limited);
        Ok(self.picture.planes())
    }

    /// Frees the memory of the picture.
    pub(crate) fn forget(&mut self) {
        self.picture = Picture::default();
    }
}
