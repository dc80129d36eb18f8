//! What ends MSight's programs in Python. Any exception while a message is read or worked on ends the process there, so
//! one message too many is enough.

use msight_bus::registry::{PYTHON_TYPES, SENSOR_DATA};
use msight_proto::{
    DetectionResultsData, ImageData, Message as _, RoadUserListData, SensorDataSequence, VideoData,
};

use super::python::Script;

/// Why a Python program ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hazard {
    /// Whether the first message does it; otherwise some can, depending on what is in them.
    pub certain: bool,
    /// What happens.
    pub reason: String,
}

/// What messages of this type do to the program. `is_foreign`: they are made by a program of which nobody here knows how
/// it fills them.
pub(super) fn of(script: &Script, data_type: &str, is_foreign: bool) -> Option<Hazard> {
    let certain = |reason: String| Some(Hazard { certain: true, reason });
    if let Some(reason) = script.dies {
        return certain(format!("MSight's {} ends at its first message: {reason}", script.name));
    }
    if data_type == SENSOR_DATA {
        return certain("MSight decodes a bare SensorData without end, until Python gives up".to_owned());
    }
    if !PYTHON_TYPES.contains(&data_type) {
        return certain(format!(
            "MSight knows no type {data_type}, and a Python node ends at the first message of it"
        ));
    }
    if let Some(takes) = script.takes.filter(|takes| *takes != data_type) {
        return certain(format!("MSight's {} takes {takes} only, and ends at anything else", script.name));
    }
    let reason = depends_on_content(script, data_type, is_foreign)?;
    Some(Hazard { certain: false, reason: reason.to_owned() })
}

fn depends_on_content(script: &Script, data_type: &str, is_foreign: bool) -> Option<&'static str> {
    match (script.name, data_type) {
        ("msight_launch_aws_sequence_pusher", SensorDataSequence::TYPE) => Some(
            "MSight cannot write a sequence as JSON when its messages hold bytes, such as pictures, and ends",
        ),
        _ if !is_foreign => None,
        (_, RoadUserListData::TYPE) => {
            Some("MSight cannot read road users with behaviors or map_info; leave them empty and nil")
        }
        (_, DetectionResultsData::TYPE) => Some(
            "MSight imports the class that object_data_type names, and ends if it is not installed where it runs",
        ),
        ("msight_launch_aws_video_pusher", VideoData::TYPE) => {
            Some("MSight's pusher ends at a video without capture_timestamps or creation_timestamp")
        }
        ("msight_launch_image_viewer", ImageData::TYPE) => {
            Some("MSight's viewer ends at an image that has detection_results")
        }
        _ => None,
    }
}
