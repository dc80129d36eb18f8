//! Data of sensors and sequences of it: `msight_core/data/{base,image,video,bytes,pointcloud}.py`.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::access_unit::nested;
use crate::encoded_len::encoded_len;
use crate::{AccessUnitData, FrameId, Image, Message, Value, shared};

/// One picture, as an image file or as raw pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageData {
    /// If `is_encoded`, the file (JPEG, PNG …). Otherwise the pixels: height x width x channels, 8 bit, BGR
    /// interleaved, without padding.
    #[serde(with = "shared", default)]
    pub image: Option<Image>,
    /// Whether `image` is a file. An absent or nil field means true.
    #[serde(default = "is_encoded", deserialize_with = "nil_is_encoded")]
    pub is_encoded: bool,
    /// What was detected in the picture: a nested [`DetectionResultsData`](crate::DetectionResultsData), or any other
    /// value.
    #[serde(default)]
    pub detection_results: Option<Value>,
    /// `[height, width, channels]` in pixels, or `[height, width]` for a grey picture.
    #[serde(default)]
    pub size: Option<Vec<u64>>,
    /// The unit of the camera's stream from which the picture was decoded, for a node that records or copies it without
    /// encoding; only if the source adds it. A node that changes the picture leaves it out.
    ///
    /// The message has the field only if there is a unit; MSight in Python ignores it. A unit that cannot be read is
    /// `None`, because the picture does not need it.
    #[serde(with = "nested", default, skip_serializing_if = "Option::is_none")]
    pub access_unit: Option<Arc<AccessUnitData>>,
}

impl Default for ImageData {
    /// What MSight makes of a message without these fields: no picture, `is_encoded` true.
    fn default() -> Self {
        Self { image: None, is_encoded: is_encoded(), detection_results: None, size: None, access_unit: None }
    }
}

impl Message for ImageData {
    const TYPE: &'static str = "msight_core.data.image.ImageData";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }

    // The picture counts with its memory, because its length on the wire is known only after encoding.
    fn weight(&self) -> usize {
        self.image.as_ref().map_or(0, Image::memory)
            + encoded_len(&self.detection_results)
            + encoded_len(&self.size)
            + self.access_unit.as_ref().map_or(0, |unit| unit.weight())
    }
}

/// One video segment, with its bytes in `video` or, for a node that shares a spool folder, by reference in `video_file`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VideoData {
    /// The file. Every MSight aggregator writes MP4. Nil if the segment travels by reference.
    #[serde(with = "shared", default)]
    pub video: Option<Bytes>,
    /// As in [`ImageData`]. MSight's aggregator leaves it nil.
    #[serde(default)]
    pub detection_results: Option<Value>,
    /// The ids of the frames in the segment, in order. An element is nil if the frame's id was nil.
    #[serde(default)]
    pub frame_ids: Option<Vec<Option<FrameId>>>,
    /// The capture times of the frames in the same order, in seconds since 1970 (UTC). A Python pusher needs at
    /// least one.
    #[serde(default)]
    pub capture_timestamps: Option<Vec<f64>>,
    /// The file in the spool folder that producer and consumer share, instead of `video`.
    ///
    /// The message has the field only if there is a file; MSight in Python ignores it, and finds no video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_file: Option<VideoFile>,
}

/// A segment's file in a spool folder (crate `msight-spool`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoFile {
    /// Its path below the spool folder, with `/` between its parts. It comes from a message: resolve it with
    /// `msight_spool::Spool::segment`, which rejects paths that leave the folder.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Message for VideoData {
    const TYPE: &'static str = "msight_core.data.video.VideoData";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }

    /// From the first to the last of its frames. A segment by reference is safe in its folder, whether or not the message
    /// arrives.
    fn recorded(&self) -> Option<(f64, f64)> {
        if self.video_file.is_some() {
            return None;
        }
        let times = self.capture_timestamps.as_deref()?;
        Some((*times.first()?, *times.last()?))
    }

    /// A segment by reference is found in its folder as well.
    fn is_announcement(&self) -> bool {
        self.video_file.is_some()
    }
}

/// Opaque bytes, such as a datagram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BytesData {
    /// The bytes. The field may be nil, but not absent.
    #[serde(with = "shared")]
    pub data: Option<Bytes>,
}

impl Message for BytesData {
    const TYPE: &'static str = "msight_core.data.bytes.BytesData";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// A message that contains other messages.
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

/// A point cloud, passed on without decoding.
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

/// A head without a body. Decode it, but never publish it: a Python node that receives one ends with an endless
/// recursion (`msight_core/data/base.py:211`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SensorData {}

impl Message for SensorData {
    const TYPE: &'static str = "msight_core.data.base.SensorData";
}

fn is_encoded() -> bool {
    true
}

fn nil_is_encoded<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(is_encoded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Head, Sample, decode, encode};

    fn wire_keys(video: &VideoData) -> Vec<String> {
        let message = Value::of(&Sample::new(Head::new(None, 1.0), video.clone())).unwrap();
        let Value::Map(entries) = message else { panic!("a message is a map") };
        entries.into_iter().map(|(key, _)| key.to_json()).collect()
    }

    #[test]
    fn a_segment_with_its_bytes_has_the_keys_of_msight() {
        let by_value = VideoData { video: Some(Bytes::from_static(b"mp4")), ..VideoData::default() };
        let keys = wire_keys(&by_value);
        assert_eq!(keys.last().map(String::as_str), Some("\"capture_timestamps\""), "{keys:?}");
        assert!(!keys.contains(&"\"video_file\"".to_owned()));
    }

    #[test]
    fn a_segment_by_reference_names_its_file() {
        let file = VideoFile { path: "north/2026-11-28/16-53-00.123Z.mp4".to_owned(), bytes: 300 << 20 };
        let by_reference = VideoData { video_file: Some(file), ..VideoData::default() };
        assert_eq!(wire_keys(&by_reference).last().map(String::as_str), Some("\"video_file\""));
        let payload = encode(&Sample::new(Head::new(None, 1.0), by_reference.clone())).unwrap();
        assert_eq!(decode::<VideoData>(&payload).unwrap().body, by_reference);
        assert!(by_reference.weight() < 200, "a reference costs a queue no more than its name");
    }
}
