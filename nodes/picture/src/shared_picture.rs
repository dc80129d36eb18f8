//! The picture of an image message that the nodes of a process share: decoded, or to be decoded when a node asks for it.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use bytes::Bytes;
use msight_proto::{DecodedImage, EncodeError, ImageData};

use crate::decoded::{DecodedPicture, Stream, lock};
use crate::{Error, Planes, Size};

/// The picture of a message. Clones of the message share it.
pub(crate) struct SharedPicture(Arc<Slot>);

struct Slot {
    size: Size,
    /// The picture, or why it cannot be decoded.
    decoded: OnceLock<Result<DecodedPicture, String>>,
    deferral: Option<Deferral>,
}

/// Fills the place.
type Request = Box<dyn FnOnce(&PendingPicture) + Send>;

/// What a picture needs that is decoded later.
struct Deferral {
    stream: Arc<Stream>,
    /// `None` from the first call on, with all that it holds.
    request: Mutex<Option<Request>>,
    requested: OnceLock<()>,
}

impl SharedPicture {
    pub(crate) fn decoded(size: Size, picture: DecodedPicture) -> Self {
        Self(Arc::new(Slot { size, decoded: OnceLock::from(Ok(picture)), deferral: None }))
    }

    pub(crate) fn deferred(
        size: Size,
        stream: Arc<Stream>,
        request: impl FnOnce(&PendingPicture) + Send + 'static,
    ) -> (Self, PendingPicture) {
        let request: Request = Box::new(request);
        let deferral = Deferral { stream, request: Mutex::new(Some(request)), requested: OnceLock::new() };
        let slot = Arc::new(Slot { size, decoded: OnceLock::new(), deferral: Some(deferral) });
        let pending = PendingPicture(Arc::downgrade(&slot));
        (Self(slot), pending)
    }

    /// That of a message that was made in this process.
    pub(crate) fn of(message: &ImageData) -> Option<&Self> {
        message.image.as_ref()?.decoded()
    }

    /// The picture, which is decoded now unless that was done before. A second thread waits for the first one.
    ///
    /// # Errors
    /// [`Error::Deferred`].
    pub(crate) fn get(&self) -> Result<&DecodedPicture, Error> {
        if let Some(deferral) = &self.0.deferral {
            deferral.requested.get_or_init(|| {
                let request = lock(&deferral.request).take();
                if let Some(request) = request {
                    request(&PendingPicture(Arc::downgrade(&self.0)));
                }
            });
        }
        match self.0.decoded.get() {
            Some(Ok(picture)) => Ok(picture),
            Some(Err(reason)) => Err(Error::Deferred(reason.clone())),
            None => Err(Error::Deferred("the decoder made no picture".to_owned())),
        }
    }
}

impl DecodedImage for SharedPicture {
    fn encode(&self) -> Result<Bytes, EncodeError> {
        self.get().map_err(EncodeError::new)?.encode()
    }

    /// That of the planes, also before they are decoded: any node that has the message can ask for them later, when queues
    /// no longer look at the size.
    fn memory(&self) -> usize {
        let chroma = self.0.size.chroma();
        6 * chroma.width() * chroma.height()
    }
}

/// The place for a picture that is decoded after its message was made. It keeps neither message nor picture alive.
pub struct PendingPicture(Weak<Slot>);

impl PendingPicture {
    /// Whether a message still has the place, and it is empty.
    pub fn is_open(&self) -> bool {
        self.0.upgrade().is_some_and(|slot| slot.decoded.get().is_none())
    }

    /// Fills the place with a copy of the planes, scaled to the size that the message states. Does nothing if it is not
    /// [open](Self::is_open).
    pub fn fill(&self, planes: &Planes<'_>) {
        let Some(slot) = self.0.upgrade().filter(|slot| slot.decoded.get().is_none()) else { return };
        if let Some(deferral) = &slot.deferral {
            // Set by another thread in the meantime, the copy is not needed.
            let _ = slot.decoded.set(Ok(deferral.stream.copy(planes, slot.size)));
        }
    }

    /// The picture cannot be decoded, for this reason. Does nothing if the place is not [open](Self::is_open).
    pub fn fail(&self, reason: &str) {
        if let Some(slot) = self.0.upgrade() {
            let _ = slot.decoded.set(Err(reason.to_owned()));
        }
    }
}

impl fmt::Debug for PendingPicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PendingPicture({})", if self.is_open() { "open" } else { "closed" })
    }
}
