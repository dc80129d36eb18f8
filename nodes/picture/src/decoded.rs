//! Decoded pictures in image messages: passed on as they are within a process, encoded when a node needs their bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use msight_proto::{EncodeError, Image, ImageData};

use crate::shared_picture::{PendingPicture, SharedPicture};
use crate::{Error, JpegEncoder, Picture, Planes, Scaler, Size};

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
pub(crate) struct Stream {
    form: WireForm,
    /// Created when the first picture is encoded.
    encoder: Mutex<Option<JpegEncoder>>,
    /// For pictures that are decoded after their message was made.
    scaler: Mutex<Scaler>,
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
            _ => {
                let (encoder, scaler, free) = Default::default();
                Ok(Self { stream: Arc::new(Stream { form, encoder, scaler, free }) })
            }
        }
    }

    /// A picture to write into, of any size and content.
    pub fn picture(&self) -> Picture {
        self.stream.picture()
    }

    /// The body of an image message with this picture, without a copy. On the wire it equals the result of
    /// [`JpegEncoder::encode_image`] or [`Planes::to_raw_image`].
    pub fn message(&self, picture: Picture) -> ImageData {
        let size = picture.size();
        let picture = DecodedPicture { picture, stream: Arc::clone(&self.stream) };
        self.image(size, SharedPicture::decoded(size, picture))
    }

    /// The body of an image message with a picture of this size that is decoded when a node asks for it, and the place for
    /// that picture.
    ///
    /// `request` is called once, when a node first asks for the picture or its bytes, on that node's thread. It gets the same
    /// place, and has to [fill](PendingPicture::fill) it, unless that is done. If it does not, the node gets an error.
    pub fn deferred(
        &self,
        size: Size,
        request: impl FnOnce(&PendingPicture) + Send + 'static,
    ) -> (ImageData, PendingPicture) {
        let (picture, pending) = SharedPicture::deferred(size, Arc::clone(&self.stream), request);
        (self.image(size, picture), pending)
    }

    fn image(&self, size: Size, picture: SharedPicture) -> ImageData {
        ImageData {
            image: Some(Image::from_decoded(picture)),
            is_encoded: self.stream.form != WireForm::Raw,
            detection_results: None,
            size: Some(size.shape()),
            access_unit: None,
        }
    }
}

impl Stream {
    fn picture(&self) -> Picture {
        lock(&self.free).pop().unwrap_or_default()
    }

    /// A copy of the planes in this size.
    pub(crate) fn copy(self: &Arc<Self>, planes: &Planes<'_>, size: Size) -> DecodedPicture {
        let mut picture = self.picture();
        lock(&self.scaler).scale(planes, size, &mut picture);
        DecodedPicture { picture, stream: Arc::clone(self) }
    }
}

/// A decoded picture in an image message, in the colour of its decoder.
#[derive(Debug)]
pub struct DecodedPicture {
    picture: Picture,
    stream: Arc<Stream>,
}

impl DecodedPicture {
    /// The picture of a message that [`DecodedImages`] made in this process. A deferred picture is decoded now, unless that
    /// was done before.
    ///
    /// `None` for any other message, and if the picture cannot be decoded: [`ImageDecoder`](crate::ImageDecoder) and
    /// [`Image::bytes`] then tell why.
    pub fn of(message: &ImageData) -> Option<&Self> {
        SharedPicture::of(message)?.get().ok()
    }

    /// Its planes.
    pub fn planes(&self) -> Planes<'_> {
        self.picture.planes()
    }

    /// The bytes that go on the wire.
    pub(crate) fn encode(&self) -> Result<Bytes, EncodeError> {
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

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
