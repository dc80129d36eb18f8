//! The head of every message.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::FrameId;

/// The five fields that follow `data_type` in every message (`SensorData` in `msight_core/data/base.py`).
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The sensor of the data. Python sends nil if no name is set.
    pub sensor_name: Option<String>,
    /// The time of capture, in seconds since 1970 (UTC). MSight never writes nil; a nil is read as the time of
    /// decoding.
    pub capture_timestamp: f64,
    /// The time at which this message was made, in seconds since 1970 (UTC). A nil is read as above.
    pub creation_timestamp: f64,
    /// The frame's id. MSight writes nil if the clock steps back while it makes an id.
    pub frame_id: Option<FrameId>,
    /// The sender's device, its `MSIGHT_EDGE_DEVICE_NAME`.
    pub device_name: Option<String>,
}

impl Head {
    /// The head of a new message: made now, on this device, with a new frame id.
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

/// The name of this device, `MSIGHT_EDGE_DEVICE_NAME`. It is read once, at the first call.
pub fn device_name() -> Option<&'static str> {
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    NAME.get_or_init(|| std::env::var("MSIGHT_EDGE_DEVICE_NAME").ok()).as_deref()
}

/// The wall clock in seconds since 1970 (UTC), or 0 for an earlier time.
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
