//! The picture of a frame, as it is encoded.

use msight_picture::{DecodedPicture, Error, ImageDecoder, Picture, Planes, Range};
use msight_proto::ImageData;

/// Reads the frames of one sensor.
pub(crate) struct Input {
    decoder: ImageDecoder,
    picture: Picture,
}

impl Input {
    /// # Errors
    /// The JPEG decoder cannot be set up.
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self { decoder: ImageDecoder::new()?, picture: Picture::default() })
    }

    /// The planes to encode. A picture that a decoder of this process gave stays where and as it is, in the camera's
    /// own colour; any other is decoded, and brought to the limited range of video.
    ///
    /// # Errors
    /// It is no picture that can be read.
    pub(crate) fn read<'a>(&'a mut self, frame: &'a ImageData) -> Result<Planes<'a>, Error> {
        if let Some(decoded) = DecodedPicture::of(frame) {
            return Ok(decoded.planes());
        }
        self.decoder.decode(frame, &mut self.picture)?;
        self.picture.change_range(Range::Limited);
        Ok(self.picture.planes())
    }

    /// Gives the memory of the picture back.
    pub(crate) fn forget(&mut self) {
        self.picture = Picture::default();
    }
}
