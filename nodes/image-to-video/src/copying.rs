//! Whether a segment is copied from the camera's stream or encoded. It is decided with the segment's first frame.

use crate::camera_stream::{CameraStream, Lead, Unit};
use crate::settings::{Copying, Settings};
use crate::stream_rate::StreamRate;
use crate::timeline::Timing;
use std::fmt;

/// A camera may be this much faster than `--fps`: a copy leaves out no frame.
const RATE_TOLERANCE: f64 = 1.2;
/// A stream above a limit is encoded until it is below this part of it, so that segments do not alternate.
const RETURN: f64 = 0.95;

/// Why a segment is not copied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Refusal {
    /// `--copy never`.
    Off,
    /// The frame carries no unit of H.264 that can be decoded.
    NoUnit,
    /// The stream is not one that common players play.
    Format,
    /// The key frame before the segment, or a unit after it, is missing.
    Incomplete,
    /// Too many frames would be hidden.
    Lead,
    /// The hidden frames have too many bytes.
    LeadBytes,
    /// The camera is faster than `--fps`.
    Rate,
    /// The stream exceeds the bitrate.
    Bitrate(Excess),
    /// Copies could not go on too often.
    Unsteady,
}

/// A stream with more bits than the video may have, in bits a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Excess {
    measured: f64,
    allowed: f64,
}

impl Refusal {
    /// Whether no segment can be copied before the user or the camera changes something.
    pub(crate) fn is_lasting(self) -> bool {
        matches!(self, Self::NoUnit | Self::Format)
    }

    /// Whether it is the same reason, whatever its figures.
    pub(crate) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measured, allowed } = self;
        // A little above what was measured, so that a busier scene is copied as well.
        let enough = (measured * 1.2 / 1e5).ceil() * 100.0;
        write!(
            f,
            "the camera's stream has {:.2} Mbit/s, and the video may have {:.2}; to copy, set --bitrate {enough}k, or lower \
             the bitrate of the camera",
            measured / 1e6,
            allowed / 1e6
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bitrate(excess) => return excess.fmt(f),
            Self::Off => "--copy is never",
            Self::NoUnit => {
                "the frames come without what the camera encodes; use --with-access-units on msight_launch_rtsp, or \
                 subscribe to the topic of its --packet-topic"
            }
            Self::Format => "the camera's stream is not progressive H.264 with 8 bit 4:2:0",
            Self::Incomplete => "a part of the camera's stream is missing, up to the next key frame",
            Self::Lead => {
                "the last key frame is too long before the segment; set the camera's key frame interval to at most half of \
                 --buffer-size"
            }
            Self::LeadBytes => {
                "the frames since the last key frame have more than half of --max-segment-bytes; set the camera's key frame \
                 interval to one or two seconds"
            }
            Self::Rate => {
                "the camera is faster than --fps, so frames are left out; set both to the same rate to copy"
            }
            Self::Unsteady => "the camera's stream changed or had gaps too often",
        })
    }
}

/// Decides for the segments of one sensor.
#[derive(Debug)]
pub(crate) struct CopyPolicy {
    settings: Settings,
    is_too_fast: bool,
    is_above_bitrate: bool,
}

impl CopyPolicy {
    /// Before the first frame.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { settings: *settings, is_too_fast: false, is_above_bitrate: false }
    }

    /// Whether a segment may be copied at all.
    pub(crate) fn copies(&self) -> bool {
        self.settings.copying != Copying::Never
    }

    /// Whether every segment has to be copied.
    pub(crate) fn always(&self) -> bool {
        self.settings.copying == Copying::Always
    }

    /// Whether frames above `--fps` decide, so that the camera's rate has to be known.
    pub(crate) fn needs_rate(&self) -> bool {
        self.settings.copying == Copying::Auto && self.settings.timing == Timing::Capture
    }

    /// Decides for a segment that begins with a frame of this unit. `interval`: seconds between the camera's frames, if
    /// known.
    ///
    /// # Errors
    /// It is not copied.
    pub(crate) fn decide(
        &mut self,
        unit: Option<&Unit>,
        stream: &CameraStream,
        rate: &StreamRate,
        interval: Option<f64>,
    ) -> Result<Lead, Refusal> {
        if !self.copies() {
            return Err(Refusal::Off);
        }
        let unit = unit.ok_or(Refusal::NoUnit)?;
        let size = stream.size().map_err(|_| Refusal::Format)?;
        let lead = stream.lead(unit).ok_or(Refusal::Incomplete)?;
        if lead.bytes > self.settings.rules.max_bytes / 2 {
            return Err(Refusal::LeadBytes);
        }
        if self.always() {
            return Ok(lead);
        }
        let fps = self.settings.fps;
        if self.needs_rate() {
            let limit = fps * RATE_TOLERANCE * if self.is_too_fast { RETURN } else { 1.0 };
            self.is_too_fast = interval.is_some_and(|interval| interval * limit < 1.0);
            if self.is_too_fast {
                return Err(Refusal::Rate);
            }
        }
        let allowed = self.settings.quality.max_bitrate(size);
        let limit = allowed * if self.is_above_bitrate { RETURN } else { 1.0 };
        let measured = rate.bits().map(|(second, frame)| match self.settings.timing {
            Timing::Constant => frame * fps,
            Timing::Capture => second,
        });
        let above = measured.filter(|measured| *measured > limit);
        self.is_above_bitrate = above.is_some();
        if let Some(measured) = above {
            return Err(Refusal::Bitrate(Excess { measured, allowed }));
        }
        if 2 * lead.hidden > self.settings.rules.size.buffer() {
            return Err(Refusal::Lead);
        }
        Ok(lead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_the_bitrate_has_both_figures_and_the_setting() {
        let refusal = Refusal::Bitrate(Excess { measured: 2_914_769.0, allowed: 1_843_200.0 });
        let text = refusal.to_string();
        for part in ["2.91 Mbit/s", "1.84", "--bitrate 3500k"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(crate::settings::quantity("3500k").is_ok());
        let later = Refusal::Bitrate(Excess { measured: 2e6, allowed: 1_843_200.0 });
        assert!(refusal.is_like(later) && !refusal.is_like(Refusal::Rate));
    }
}
