//! What every message says of itself, whatever its body.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::FrameId;

/// The five fields that follow `data_type` in every message (`SensorData` in `msight_core/data/base.py`).
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The sensor that the data came from. Python sends nil where no name was set.
    pub sensor_name: Option<String>,
    /// When the sensor saw it, in seconds since 1970 (UTC). A nil, which MSight itself never writes, is read
    /// as the time of decoding.
    pub capture_timestamp: f64,
    /// When this message was made, in seconds since 1970 (UTC); nil as above.
    pub creation_timestamp: f64,
    /// The frame's number. MSight writes nil when its clock steps back while it makes one.
    pub frame_id: Option<FrameId>,
    /// The device that sent it: its `MSIGHT_EDGE_DEVICE_NAME`.
    pub device_name: Option<String>,
}

impl Head {
    /// The head of something new: made now, on this device, with a new frame id.
    pub fn new(sensor_name: impl Into<Option<String>>, capture_timestamp: f64) -> Self {
        Self {
            sensor_name: sensor_name.into(),
            capture_timestamp,
            creation_timestamp: unix_now(),
            frame_id: Some(FrameId::next()),
            device_name: device_name().map(str::to_owned),
        }
    }
}

/// The name of the device this process runs on, `MSIGHT_EDGE_DEVICE_NAME`, as it was at the first call.
pub fn device_name() -> Option<&'static str> {
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    NAME.get_or_init(|| std::env::var("MSIGHT_EDGE_DEVICE_NAME").ok()).as_deref()
}

/// The wall clock, in seconds since 1970 (UTC); 0 when it stands before that.
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
