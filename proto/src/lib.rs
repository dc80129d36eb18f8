//! What travels: MSight's messages on the wire.
//!
//! A message is one flat MessagePack map whose first key is `data_type`, then the five fields of the
//! [`Head`], then the fields of the body in the order in which they are declared. [`encode`] and
//! [`decode`] are the two ends; the types that MSight ships are here, and any serde struct with a
//! [`Message::TYPE`] joins them.
//!
//! Nothing in this crate does I/O. Decoding never copies a payload: image and video bytes are slices of
//! the buffer that came in, kept alive by reference count.
//!
//! The layout follows MSight_Core 2.0.2 (`msight_core/data/`), whose own output is kept as golden files
//! in `tests/golden`.

mod detection;
mod frame_id;
mod head;
mod image;
mod json;
mod limits;
mod media;
mod message;
pub mod shared;
mod value;
mod wire;

pub use detection::{DetectionResult, DetectionResultsData, MapInfo, RoadUserListData, RoadUserPoint};
pub use frame_id::FrameId;
pub use head::{Head, device_name, unix_now};
pub use image::{DecodedImage, Image};
pub use json::{python_float, to_json};
pub use limits::Limits;
pub use media::{BytesData, ImageData, PointCloudData, SensorData, SensorDataSequence, VideoData};
pub use message::{Message, Receipt, Sample};
pub use value::Value;
pub use wire::{DecodeError, EncodeError, data_type, decode, decode_within, encode};
