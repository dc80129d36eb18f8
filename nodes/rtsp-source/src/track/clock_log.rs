//! The log lines about the clocks of a camera.

use msight_media::{ClockEvent, Codec};
use tracing::{info, warn};

use crate::url::CameraUrl;

/// Logs a change of the source of capture times, or a step, of the track with this codec.
pub(super) fn log(url: &CameraUrl, codec: Codec, event: ClockEvent) {
    let codec = codec.name();
    match event {
        ClockEvent::CameraClock { ahead } => {
            info!(%url, codec, camera_clock = %relation(ahead), "capture times follow the camera's clock");
        }
        ClockEvent::CameraClockOff { ahead } => warn!(
            %url,
            codec,
            camera_clock = %relation(ahead),
            "the camera's clock is too far off ours: capture times follow arrival; synchronise the camera's clock (NTP), \
             or raise --max-clock-skew"
        ),
        ClockEvent::Stepped { by } => {
            warn!(%url, codec, by = %format_args!("{by:+.3}s"), "a clock was set: capture times stepped");
        }
        ClockEvent::RtpJump { by } => {
            warn!(%url, codec, by = %format_args!("{by:+.3}s"), "the camera's RTP timestamps jumped: capture times continue from arrival");
        }
        ClockEvent::StampsUseless { fault } => {
            warn!(%url, codec, %fault, "the camera's RTP timestamps are useless: capture times follow arrival");
        }
        ClockEvent::StampsUsable => {
            info!(%url, codec, "the camera's RTP timestamps are in order again: capture times follow them");
        }
    }
}

/// The difference of the camera's clock from ours, as text.
fn relation(ahead: f64) -> String {
    format!("{:.3}s {}", ahead.abs(), if ahead < 0.0 { "behind" } else { "ahead" })
}
