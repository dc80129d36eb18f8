//! MSight's messages on the wire.
//!
//! A message is one flat MessagePack map. Its first key is `data_type`. The five fields of the [`Head`] follow, then the
//! fields of the body in the order of their declaration. [`encode`] writes a message and [`decode`] reads one. MSight's
//! own message types are in this crate, and one of this project, [`AccessUnitData`]. Any serde struct with a
//! [`Message::TYPE`] is a message as well.
//!
//! This crate does no I/O. Decoding does not copy a payload: the bytes of images and videos are slices of the received
//! buffer, which a reference count keeps alive.
//!
//! The layout follows MSight_Core 2.0.2 (`msight_core/data/`). `tests/golden` holds messages that MSight_Core wrote.

mod access_unit;
mod detection;
mod encoded_len;
mod error;
mod frame_id;
mod head;
mod image;
mod json;
mod limits;
mod loss_span;
mod media;
mod message;
pub mod shared;
mod utc;
mod value;
mod wire;

pub use access_unit::AccessUnitData;
pub use detection::{DetectionResult, DetectionResultsData, MapInfo, RoadUserListData, RoadUserPoint};
pub use error::{DecodeError, EncodeError};
pub use frame_id::FrameId;
pub use head::{Head, device_name, unix_now};
pub use image::{DecodedImage, Image};
pub use json::{python_float, to_json};
pub use limits::Limits;
pub use loss_span::LossSpan;
pub use media::{BytesData, ImageData, PointCloudData, SensorData, SensorDataSequence, VideoData, VideoFile};
pub use message::{Message, Receipt, Sample, WeakReceipt};
pub use utc::Utc;
pub use value::Value;
pub use wire::{data_type, decode, decode_within, encode, head};
