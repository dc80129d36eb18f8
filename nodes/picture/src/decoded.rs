//! Decoded pictures as image messages: handed on as they are within a process, encoded where somebody asks for bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use msight_proto::{DecodedImage, EncodeError, Image, ImageData};

use crate::message::shape;
use crate::{Error, JpegEncoder, Picture, Planes};

/// What a decoded picture becomes when its bytes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireForm {
    /// JPEG of this quality, 1 to 100.
    Jpeg(u8),
    /// Raw BGR pixels.
    Raw,
}

/// Makes image messages of the decoded pictures of a stream.
///
/// The memory of pictures that nobody holds any more is used again, so that a stream does not take fresh pages from
/// the system for each of its frames.
#[derive(Debug)]
pub struct DecodedImages {
    stream: Arc<Stream>,
}

#[derive(Debug)]
struct Stream {
    form: WireForm,
    /// Made when the first picture is encoded.
    encoder: Mutex<Option<JpegEncoder>>,
    free: Mutex<Vec<Picture>>,
}

/// Pictures that are kept for the next frames: one is written and one is encoded at a time, and more are in use only
/// while an encoder is behind.
const MAX_FREE: usize = 2;

impl DecodedImages {
    /// Of a stream whose pictures have this form on the wire.
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

    /// A picture to write into, with any size and content.
    pub fn picture(&self) -> Picture {
        lock(&self.stream.free).pop().unwrap_or_default()
    }

    /// The body of an image message with this picture, without a copy. What others see of it is what
    /// [`JpegEncoder::encode_image`] or [`Planes::to_raw_image`] makes.
    pub fn message(&self, picture: Picture) -> ImageData {
        let size = shape(&picture.planes());
        let decoded = DecodedPicture { picture, stream: self.stream.clone() };
        ImageData {
            image: Some(Image::of_decoded(decoded)),
            is_encoded: self.stream.form != WireForm::Raw,
            detection_results: None,
            size: Some(size),
        }
    }
}

/// A decoded picture in an image message, in the colour that its decoder gave it.
#[derive(Debug)]
pub struct DecodedPicture {
    picture: Picture,
    stream: Arc<Stream>,
}

impl DecodedPicture {
    /// The picture of a message that was made in this process by [`DecodedImages`]; `None` of any other.
    pub fn of(message: &ImageData) -> Option<&Self> {
        message.image.as_ref()?.decoded()
    }

    /// Its planes, to be read where they are.
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
    /// Leaves its memory to the next frames.
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
