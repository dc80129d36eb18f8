//! Decoded pictures in image messages: passed on as they are within a process, encoded when a node needs their bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use msight_proto::{DecodedImage, EncodeError, Image, ImageData};

use crate::{Error, JpegEncoder, Picture, Planes};

/// How a decoded picture is encoded when a node needs its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireForm {
    /// JPEG of this quality, 1 to 100.
    Jpeg(u8),
    /// Raw BGR pixels.
    Raw,
}

/// Makes image messages from the decoded pictures of a stream.
///
/// It reuses the memory of pictures that are no longer in use, so that a stream does not allocate for each frame.
#[derive(Debug)]
pub struct DecodedImages {
    stream: Arc<Stream>,
}

#[derive(Debug)]
struct Stream {
    form: WireForm,
    /// Created when the first picture is encoded.
    encoder: Mutex<Option<JpegEncoder>>,
    free: Mutex<Vec<Picture>>,
}

/// Pictures kept for the next frames. Usually one is being written and one encoded; more are in use only while an
/// encoder is behind.
const MAX_FREE: usize = 2;

impl DecodedImages {
    /// For a stream whose pictures have this form on the wire.
    ///
    /// # Errors
    /// [`Error::Quality`].
    pub fn new(form: WireForm) -> Result<Self, Error> {
        match form {
            WireForm::Jpeg(quality) if !(1..=100).contains(&quality) => Err(Error::Quality(quality)),
            _ => Ok(Self {
                stream: Arc::new(Stream { form, encoder: Mutex::default(), free: Mutex::default() }),
            }),
        }
    }

    /// A picture to write into, of any size and content.
    pub fn picture(&self) -> Picture {
        lock(&self.stream.free).pop().unwrap_or_default()
    }

    /// The body of an image message with this picture, without a copy. On the wire it equals the result of
    /// [`JpegEncoder::encode_image`] or [`Planes::to_raw_image`].
    pub fn message(&self, picture: Picture) -> ImageData {
        let size = picture.size().shape();
        let decoded = DecodedPicture { picture, stream: self.stream.clone() };
        ImageData {
            image: Some(Image::from_decoded(decoded)),
            is_encoded: self.stream.form != WireForm::Raw,
            detection_results: None,
            size: Some(size),
            access_unit: None,
        }
    }
}

/// A decoded picture in an image message, in the colour of its decoder.
#[derive(Debug)]
pub struct DecodedPicture {
    picture: Picture,
    stream: Arc<Stream>,
}

impl DecodedPicture {
    /// The picture of a message that [`DecodedImages`] made in this process, or `None`.
    pub fn of(message: &ImageData) -> Option<&Self> {
        message.image.as_ref()?.decoded()
    }

    /// Its planes.
    pub fn planes(&self) -> Planes<'_> {
        self.picture.planes()
    }
}

impl DecodedImage for DecodedPicture {
    fn encode(&self) -> Result<Bytes, EncodeError> {
        match self.stream.form {
            WireForm::Raw => Ok(self.planes().to_bgr_bytes()),
            WireForm::Jpeg(quality) => {
                let mut encoder = lock(&self.stream.encoder);
                let encoder = match &mut *encoder {
                    Some(encoder) => encoder,
                    none => none.insert(JpegEncoder::new(quality).map_err(EncodeError::new)?),
                };
                encoder.encode(&self.planes()).map(Bytes::copy_from_slice).map_err(EncodeError::new)
            }
        }
    }

    fn memory(&self) -> usize {
        let planes = self.planes();
        planes.y().len() + planes.u().len() + planes.v().len()
    }
}

impl Drop for DecodedPicture {
    /// Returns the memory for the next frames.
    fn drop(&mut self) {
        let mut free = lock(&self.stream.free);
        if free.len() < MAX_FREE {
            free.push(std::mem::take(&mut self.picture));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
