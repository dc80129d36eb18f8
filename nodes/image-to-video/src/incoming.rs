//! The two kinds of message that the node takes.

use msight_node::{Accept, Packed};
use msight_proto::{AccessUnitData, DecodeError, ImageData, Message, Sample};

/// A message of `-st`: a picture, or a unit of what a camera encodes.
#[derive(Debug)]
pub enum Incoming {
    /// A picture, which may carry the unit that it was decoded from.
    Picture(ImageData),
    /// A unit, from the source's `--packet-topic`.
    Unit(AccessUnitData),
}

impl Accept for Incoming {
    const TYPES: &'static [&'static str] = &[ImageData::TYPE, AccessUnitData::TYPE];

    fn accept(message: Packed) -> Result<Sample<Self>, DecodeError> {
        match message.data_type()? {
            AccessUnitData::TYPE => Ok(message.open()?.map(Self::Unit)),
            _ => Ok(message.open()?.map(Self::Picture)),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Picture(picture) => picture.weight(),
            Self::Unit(unit) => unit.weight(),
        }
    }
}

impl Incoming {
    /// Whether it is sound or metadata of a camera, of which no frame is made.
    pub(crate) fn is_beside_video(&self) -> bool {
        matches!(self, Self::Unit(unit) if unit.track != "video")
    }
}
