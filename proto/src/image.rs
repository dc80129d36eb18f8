//! The picture of an image message: bytes, or a decoded picture that can become bytes.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::EncodeError;
use crate::shared::Shared;

/// The picture of an [`ImageData`](crate::ImageData): the bytes of a file or of raw pixels, or a decoded picture.
///
/// On the wire it is always bytes. Within a process a node can pass on the picture of its decoder. A node that knows
/// the type of that picture gets it from [`decoded`](Self::decoded). Every other node calls [`bytes`](Self::bytes),
/// which encodes the picture once. Clones share picture and bytes.
#[derive(Clone)]
pub struct Image(Form);

#[derive(Clone)]
enum Form {
    Bytes(Bytes),
    Decoded(Arc<Decoded<dyn DecodedImage>>),
}

/// A picture, and its bytes after the first call for them.
struct Decoded<P: ?Sized> {
    bytes: OnceLock<Result<Bytes, EncodeError>>,
    picture: P,
}

/// A picture that is not encoded yet.
pub trait DecodedImage: Any + Send + Sync {
    /// Encodes the picture as the bytes that go on the wire. It is called at most once.
    ///
    /// # Errors
    /// The memory is exhausted, or the picture cannot be encoded.
    fn encode(&self) -> Result<Bytes, EncodeError>;

    /// Memory in bytes, for the limits of queues.
    fn memory(&self) -> usize;
}

impl Image {
    /// An image that is encoded at the first call of [`bytes`](Self::bytes).
    pub fn from_decoded(picture: impl DecodedImage) -> Self {
        Self(Form::Decoded(Arc::new(Decoded { bytes: OnceLock::new(), picture })))
    }

    /// The bytes of the file or of the raw pixels. The first call encodes a decoded picture, which takes milliseconds.
    ///
    /// # Errors
    /// The picture cannot be encoded.
    pub fn bytes(&self) -> Result<&Bytes, EncodeError> {
        match &self.0 {
            Form::Bytes(bytes) => Ok(bytes),
            Form::Decoded(decoded) => {
                decoded.bytes.get_or_init(|| decoded.picture.encode()).as_ref().map_err(EncodeError::clone)
            }
        }
    }

    /// The decoded picture, if there is one of this type.
    pub fn decoded<P: DecodedImage>(&self) -> Option<&P> {
        match &self.0 {
            Form::Bytes(_) => None,
            Form::Decoded(decoded) => (&decoded.picture as &dyn Any).downcast_ref(),
        }
    }

    /// Memory in bytes, without the bytes that [`bytes`](Self::bytes) may add.
    pub fn memory(&self) -> usize {
        match &self.0 {
            Form::Bytes(bytes) => bytes.len(),
            Form::Decoded(decoded) => decoded.picture.memory(),
        }
    }
}

impl<B: Into<Bytes>> From<B> for Image {
    fn from(bytes: B) -> Self {
        Self(Form::Bytes(bytes.into()))
    }
}

impl PartialEq for Image {
    /// Whether both are the same picture, or have the same bytes.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Decoded(one), Form::Decoded(other)) if Arc::ptr_eq(one, other) => true,
            _ => self.bytes().is_ok_and(|bytes| other.bytes().is_ok_and(|others| bytes == others)),
        }
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if matches!(self.0, Form::Bytes(_)) { "bytes" } else { "bytes, decoded" };
        write!(f, "Image({} {what})", self.memory())
    }
}

impl Shared for Option<Image> {
    fn bytes(&self) -> Result<Option<&Bytes>, EncodeError> {
        self.as_ref().map(Image::bytes).transpose()
    }
    fn from_bytes(bytes: Option<Bytes>) -> Option<Self> {
        Some(bytes.map(Image::from))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::{Head, ImageData, Sample, decode, encode};

    /// A grey picture that counts how often it is encoded.
    struct Grey(u8, Arc<AtomicUsize>);

    impl DecodedImage for Grey {
        fn encode(&self) -> Result<Bytes, EncodeError> {
            self.1.fetch_add(1, Relaxed);
            if self.0 == 0 { Err(EncodeError::new("it is black")) } else { Ok(vec![self.0; 4].into()) }
        }
        fn memory(&self) -> usize {
            16
        }
    }

    fn sample(image: Image) -> Sample<ImageData> {
        let mut head = Head::new(None, 1.0);
        (head.creation_timestamp, head.frame_id) = (2.0, None);
        let body = ImageData {
            image: Some(image),
            is_encoded: false,
            detection_results: None,
            size: None,
            access_unit: None,
        };
        Sample::new(head, body)
    }

    #[test]
    fn a_decoded_picture_is_encoded_at_the_first_call_for_its_bytes() {
        let encoded = Arc::new(AtomicUsize::new(0));
        let image = Image::from_decoded(Grey(7, encoded.clone()));
        let clone = image.clone();
        assert_eq!((image.memory(), image.decoded::<Grey>().map(|grey| grey.0)), (16, Some(7)));
        assert_eq!(encoded.load(Relaxed), 0);
        assert_eq!(image.bytes().unwrap(), clone.bytes().unwrap());
        assert_eq!(encode(&sample(clone)).unwrap(), encode(&sample(vec![7; 4].into())).unwrap());
        assert_eq!(encoded.load(Relaxed), 1);
    }

    #[test]
    fn a_picture_that_cannot_be_encoded_is_an_error_of_the_message() {
        let image = Image::from_decoded(Grey(0, Arc::default()));
        assert!(image.bytes().is_err());
        assert!(encode(&sample(image)).unwrap_err().to_string().contains("it is black"));
    }

    #[test]
    fn bytes_have_no_decoded_picture() {
        let image = Image::from(vec![1, 2]);
        assert!(image.decoded::<Grey>().is_none());
        assert_eq!(image.memory(), 2);
        let received = decode::<ImageData>(&encode(&sample(image.clone())).unwrap()).unwrap();
        assert_eq!(received.body.image, Some(image));
    }
}
