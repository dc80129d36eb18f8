//! The types of the messages that a node takes from one topic.

use bytes::Bytes;
use msight_proto::{DecodeError, Message, Sample, data_type, decode, head};

use crate::local::SharedSample;

/// What a processor or a sink takes from the topic of `-st`: a [`Message`], or an enum of several.
///
/// With an enum, `-st` can name topics of different types. `--describe`, `msight check` and the registry know all of them.
///
/// ```
/// use msight_node::{Accept, Packed};
/// use msight_proto::{AccessUnitData, DecodeError, ImageData, Message, Sample};
///
/// enum Frame {
///     Picture(ImageData),
///     Unit(AccessUnitData),
/// }
/// impl Accept for Frame {
///     const TYPES: &'static [&'static str] = &[ImageData::TYPE, AccessUnitData::TYPE];
///     fn accept(message: Packed) -> Result<Sample<Self>, DecodeError> {
///         match message.data_type()? {
///             AccessUnitData::TYPE => Ok(message.open()?.map(Self::Unit)),
///             _ => Ok(message.open()?.map(Self::Picture)),
///         }
///     }
///     fn memory(&self) -> usize {
///         match self {
///             Self::Picture(picture) => picture.weight(),
///             Self::Unit(unit) => unit.weight(),
///         }
///     }
/// }
/// ```
pub trait Accept: Sized + Send + 'static {
    /// The `data_type` of each message type, the usual one first; none for any type.
    const TYPES: &'static [&'static str];

    /// Unpacks a message.
    ///
    /// # Errors
    /// The message is malformed, or of another type.
    fn accept(message: Packed) -> Result<Sample<Self>, DecodeError>;

    /// Memory of a message in bytes, for the limits of queues.
    fn memory(&self) -> usize;
}

impl<M: Message> Accept for M {
    const TYPES: &'static [&'static str] = &[M::TYPE];

    fn accept(message: Packed) -> Result<Sample<Self>, DecodeError> {
        message.open()
    }

    fn memory(&self) -> usize {
        self.weight()
    }
}

/// The body of a message of any type, which is not decoded: of such messages, the node gets the heads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnyType;

impl Accept for AnyType {
    const TYPES: &'static [&'static str] = &[];

    fn accept(message: Packed) -> Result<Sample<Self>, DecodeError> {
        match message.0 {
            Form::Encoded(payload) => Ok(Sample::new(head(&payload)?, Self)),
            Form::Shared(sample) => Ok(sample.open_head().map(|()| Self)),
        }
    }

    fn memory(&self) -> usize {
        0
    }
}

/// A message that has arrived and is not unpacked yet.
pub struct Packed(Form);

enum Form {
    /// From a bus.
    Encoded(Bytes),
    /// From a node of this process.
    Shared(SharedSample),
}

impl Packed {
    pub(crate) fn encoded(payload: Bytes) -> Self {
        Self(Form::Encoded(payload))
    }

    pub(crate) fn shared(sample: SharedSample) -> Self {
        Self(Form::Shared(sample))
    }

    /// The `data_type` of the message.
    ///
    /// # Errors
    /// It is not a message.
    pub fn data_type(&self) -> Result<&str, DecodeError> {
        match &self.0 {
            Form::Encoded(payload) => data_type(payload),
            Form::Shared(sample) => Ok(sample.data_type()),
        }
    }

    /// Unpacks a message of type `M`.
    ///
    /// # Errors
    /// The message is malformed, or of another type.
    pub fn open<M: Message>(self) -> Result<Sample<M>, DecodeError> {
        match self.0 {
            Form::Encoded(payload) => decode(&payload),
            Form::Shared(sample) => sample.open(),
        }
    }
}
