//! What sensors see, and sequences of it: `msight_core/data/{base,image,video,bytes,pointcloud}.py`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::wire::encoded_len;
use crate::wire::nil_as_default;
use crate::{FrameId, Image, Message, Value, shared};

/// One picture, encoded or raw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageData {
    /// The file if `is_encoded` (JPEG, PNG …), else the pixels: height x width x channels, 8 bit, BGR
    /// interleaved, no padding.
    #[serde(with = "shared", default)]
    pub image: Option<Image>,
    /// Whether `image` is a file. True where it is absent or nil.
    #[serde(default = "yes", deserialize_with = "nil_as_yes")]
    pub is_encoded: bool,
    /// What was detected in the picture: a nested [`DetectionResultsData`](crate::DetectionResultsData), or
    /// whatever else was put there.
    #[serde(default)]
    pub detection_results: Option<Value>,
    /// `[height, width, channels]`, or `[height, width]` of a grey picture, in pixels.
    #[serde(default)]
    pub size: Option<Vec<u64>>,
}

impl Message for ImageData {
    const TYPE: &'static str = "msight_core.data.image.ImageData";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }

    // What the picture takes as it is: to count its bytes on the wire it would have to be encoded.
    fn weight(&self) -> usize {
        self.image.as_ref().map_or(0, Image::memory)
            + encoded_len(&self.detection_results)
            + encoded_len(&self.size)
    }
}

/// One video segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoData {
    /// The file, MP4 from every MSight aggregator.
    #[serde(with = "shared", default)]
    pub video: Option<Bytes>,
    /// As in [`ImageData`]. MSight's aggregator leaves it nil.
    #[serde(default)]
    pub detection_results: Option<Value>,
    /// The ids of the frames in the segment, in their order; an element is nil where the frame's was.
    #[serde(default)]
    pub frame_ids: Option<Vec<Option<FrameId>>>,
    /// The capture times of the frames, in seconds since 1970 (UTC), in the same order. A Python pusher needs
    /// one at least.
    #[serde(default)]
    pub capture_timestamps: Option<Vec<f64>>,
}

impl Message for VideoData {
    const TYPE: &'static str = "msight_core.data.video.VideoData";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// Opaque bytes, such as a datagram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BytesData {
    /// The bytes; nil is possible, absence is not.
    #[serde(with = "shared")]
    pub data: Option<Bytes>,
}

impl Message for BytesData {
    const TYPE: &'static str = "msight_core.data.bytes.BytesData";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// Several messages in one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SensorDataSequence {
    /// The messages, each a map with its own `data_type`; see [`Value::decode`].
    #[serde(default)]
    pub obj_list: Option<Vec<Value>>,
}

impl Message for SensorDataSequence {
    const TYPE: &'static str = "msight_core.data.base.SensorDataSequence";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// A point cloud, carried as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointCloudData {
    /// The structured array in C order, as one zstd frame.
    #[serde(with = "shared")]
    pub points: Bytes,
    /// The array's shape.
    #[serde(default)]
    pub shape: Option<Vec<u64>>,
    /// The array's element type: UTF-8 JSON with `shape, names, formats, offsets, itemsize`.
    #[serde(with = "shared", default)]
    pub dtype: Option<Bytes>,
    /// The zstd level the points were compressed with.
    #[serde(default)]
    pub compress_level: Option<i64>,
}

impl Message for PointCloudData {
    const TYPE: &'static str = "msight_core.data.pointcloud.PointCloudData";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// A head without a body. Readable here; never publish it: every Python node that receives one dies of
/// endless recursion (`msight_core/data/base.py:211`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SensorData {}

impl Message for SensorData {
    const TYPE: &'static str = "msight_core.data.base.SensorData";
}

fn yes() -> bool {
    true
}

fn nil_as_yes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Flag(bool);
    impl Default for Flag {
        fn default() -> Self {
            Self(true)
        }
    }
    nil_as_default::<Flag, D>(deserializer).map(|flag| flag.0)
}
