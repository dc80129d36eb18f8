//! Detections: `msight_core/data/detection_result.py`, and the parts of `msight_base` in them.

use serde::{Deserialize, Serialize};

use crate::{FrameId, Message, Value};

/// The detections in the data of one sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectionResultsData {
    /// The detections.
    #[serde(default)]
    pub detection_result: Option<DetectionResult>,
    /// The message with the detected objects, a map with its own `data_type`; see [`Value::decode`].
    #[serde(default)]
    pub raw_sensor_data: Option<Value>,
    /// The frame id of that message.
    #[serde(default)]
    pub sensor_frame_id: Option<FrameId>,
}

impl Message for DetectionResultsData {
    const TYPE: &'static str = "msight_core.data.detection_result.DetectionResultsData";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// A list of detected objects of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectionResult {
    /// The objects. Each is a map whose fields depend on its class. [`Value::to`] decodes those with a type here, such
    /// as [`RoadUserPoint`].
    #[serde(default)]
    pub object_list: Vec<Value>,
    /// The time of the detection, in seconds since 1970 (UTC).
    #[serde(default)]
    pub timestamp: Option<f64>,
    /// The kind of sensor, such as `fisheye`.
    #[serde(default)]
    pub sensor_type: Option<String>,
    /// The Python class of the objects, or `msight_base.detection.DetectedObjectBase` for an empty list. MSight imports
    /// it. Here it is a plain name.
    pub object_data_type: String,
}

/// The road users around an intersection at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoadUserListData {
    /// The road users; required.
    pub road_user_list: Vec<RoadUserPoint>,
}

impl Message for RoadUserListData {
    const TYPE: &'static str = "msight_core.data.detection_result.RoadUserListData";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// One road user at one time (`msight_base/road_user.py`). Python leaves unknown fields nil.
///
/// If Python nodes read the message, leave `behaviors` empty and `map_info` nil: MSight writes both, but cannot read
/// them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoadUserPoint {
    /// The id of the trajectory, a number or a text.
    pub traj_id: Option<Value>,
    /// The step in a sequence of frames; nil on the wire.
    pub frame_step: Option<i64>,
    /// The time of the detection, in seconds since 1970 (UTC).
    pub timestamp: Option<f64>,
    /// Latitude in degrees, or metres in a local frame.
    pub x: Option<f64>,
    /// Longitude in degrees, or metres in a local frame.
    pub y: Option<f64>,
    /// Metres a second.
    pub speed: Option<f64>,
    /// Metres a second squared.
    pub acceleration: Option<f64>,
    /// Degrees.
    pub heading: Option<f64>,
    /// Metres.
    pub width: Option<f64>,
    /// Metres.
    pub length: Option<f64>,
    /// Metres.
    pub height: Option<f64>,
    /// -1 unknown, 0 sedan, 1 suv, 2 truck, 3 bus, 4 pedestrian, 5 bicycle, 6 motorcycle, 7 trailer, 8 van,
    /// 9 pickup. Any other number is an error, as in MSight.
    #[serde(deserialize_with = "category")]
    pub category: Option<i8>,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// For example `left`.
    pub turning_signal: Option<String>,
    /// The corners of the outline, in the sender's form.
    pub poly_box: Option<Value>,
    /// The position on the map.
    pub map_info: Option<MapInfo>,
    /// Behaviours in lower case, for example `lane_keeping`.
    pub behaviors: Vec<String>,
    /// The data of each sensor: a map.
    pub sensor_data: Option<Value>,
    /// The 2-sigma confidence intervals of the position.
    pub conf_int_2sigma: Option<Value>,
    /// The 2-sigma confidence intervals of the velocity.
    pub conf_int_vel_2sigma: Option<Value>,
    /// The confidence in the heading, on the sender's scale.
    pub heading_confidence: Option<Value>,
    /// Degrees a second.
    pub yaw_rate: Option<f64>,
}

/// The position of a road user on the lanes of a map, in the sender's form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "msight_base defines these by name alone")]
pub struct MapInfo {
    pub lane_id: Option<Value>,
    pub lane_point_idx: Option<Value>,
    pub dis_to_lane_center: Option<Value>,
    pub side: Option<Value>,
    pub related_lane_id: Option<Value>,
    pub related_route: Option<Value>,
    pub nearest_next_lane_point_idx: Option<Value>,
}

fn category<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i8>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(category) if !(-1..=9).contains(&category) => {
            Err(serde::de::Error::custom(format_args!("invalid category {category}: expected -1 to 9")))
        }
        category => Ok(category),
    }
}
