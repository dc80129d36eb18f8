//! What crashes MSight's programs in Python. There, any exception while a message is read or processed ends the
//! process, so one such message is enough.

use msight_bus::registry::{PYTHON_TYPES, SENSOR_DATA};
use msight_proto::{
    DetectionResultsData, ImageData, Message as _, RoadUserListData, SensorDataSequence, VideoData,
};

use super::python::Script;

/// Why messages would crash a Python program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrashRisk {
    /// Whether every message does; otherwise some do, depending on their content.
    pub certain: bool,
    /// What goes wrong.
    pub reason: String,
}

/// The risk of messages of this type for the program. `is_foreign`: their writer is an unknown program, which may
/// fill their fields differently.
pub(super) fn of(script: &Script, data_type: &str, is_foreign: bool) -> Option<CrashRisk> {
    let certain = |reason: String| Some(CrashRisk { certain: true, reason });
    if let Some(reason) = script.crash {
        return certain(format!("MSight's {} crashes at its first message: {reason}", script.name));
    }
    if data_type == SENSOR_DATA {
        return certain(
            "MSight decodes a bare SensorData recursively, until Python's recursion limit".to_owned(),
        );
    }
    if !PYTHON_TYPES.contains(&data_type) {
        return certain(format!(
            "MSight does not know the type {data_type}; a Python node crashes at its first message"
        ));
    }
    if let Some(takes) = script.takes.filter(|takes| *takes != data_type) {
        return certain(format!("MSight's {} accepts only {takes} and crashes at other types", script.name));
    }
    let reason = depends_on_content(script, data_type, is_foreign)?;
    Some(CrashRisk { certain: false, reason: reason.to_owned() })
}

fn depends_on_content(script: &Script, data_type: &str, is_foreign: bool) -> Option<&'static str> {
    match (script.name, data_type) {
        ("msight_launch_aws_sequence_pusher", SensorDataSequence::TYPE) => {
            Some("MSight cannot write a sequence as JSON if its messages contain bytes, such as pictures")
        }
        _ if !is_foreign => None,
        (_, RoadUserListData::TYPE) => Some(
            "MSight cannot read road users with behaviors or map_info; leave behaviors empty and map_info nil",
        ),
        (_, DetectionResultsData::TYPE) => {
            Some("MSight imports the class named in object_data_type and crashes if it is not installed")
        }
        ("msight_launch_aws_video_pusher", VideoData::TYPE) => {
            Some("MSight's pusher crashes at a video without capture_timestamps or creation_timestamp")
        }
        ("msight_launch_image_viewer", ImageData::TYPE) => {
            Some("MSight's viewer crashes at an image with detection_results")
        }
        _ => None,
    }
}
