//! What the caller of a clock logs.

use std::fmt;

/// A change of the source of capture times, or a step. The caller logs each one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClockEvent {
    /// Capture times now follow the camera's clock.
    CameraClock {
        /// Seconds by which it is ahead of this machine's wall clock; negative if it is behind.
        ahead: f64,
    },
    /// The camera's clock is too far off: capture times follow arrival.
    CameraClockOff {
        /// Seconds by which it is ahead of this machine's wall clock; negative if it is behind.
        ahead: f64,
    },
    /// A clock was set.
    Stepped {
        /// Seconds by which capture times moved.
        by: f64,
    },
    /// The camera's RTP timestamps jumped; capture times continue from arrival.
    RtpJump {
        /// Seconds by which they jumped.
        by: f64,
    },
    /// The camera's RTP timestamps are useless: frames are timed by arrival alone.
    StampsUseless {
        /// What is wrong with them.
        fault: StampFault,
    },
    /// The camera's RTP timestamps were useless, and are used again.
    StampsUsable,
}

/// Why the RTP timestamps of a stream are useless.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StampFault {
    /// They stand still.
    Standing,
    /// They jump to and fro.
    Erratic,
    /// They run too fast or too slow.
    Rate {
        /// Seconds of RTP time in one second of arrival.
        rate: f64,
    },
}

impl fmt::Display for StampFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standing => f.write_str("they stand still"),
            Self::Erratic => f.write_str("they jump to and fro"),
            Self::Rate { rate } => write!(f, "they run at {rate:.3} times their stated rate"),
        }
    }
}
