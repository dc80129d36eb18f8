//! The CPU time that one of the measured programs or graphs uses for the frames of its cameras.

use std::time::{Duration, Instant};

use super::frames::cpu_ms_per_frame;
use msight_camera::Camera;

/// What was used and sent up to a moment.
#[derive(Clone, Copy)]
pub(super) struct Used {
    at: Instant,
    cpu: Duration,
    frames: u64,
}

/// What was used and sent between two moments.
#[derive(Clone, Copy)]
pub(super) struct Use {
    seconds: f64,
    cpu: Duration,
    frames: u64,
}

/// The frames that the cameras have sent.
pub(super) fn frames_sent(cameras: &[Camera]) -> u64 {
    cameras.iter().map(|camera| camera.stats().frames_sent).sum()
}

impl Used {
    /// This CPU time, and what the cameras have sent, at this moment.
    pub(super) fn now(cpu: Duration, cameras: &[Camera]) -> Self {
        Self { at: Instant::now(), cpu, frames: frames_sent(cameras) }
    }

    /// What was used and sent from this moment until `end`.
    pub(super) fn until(self, end: Self) -> Use {
        Use {
            seconds: end.at.duration_since(self.at).as_secs_f64(),
            cpu: end.cpu.saturating_sub(self.cpu),
            frames: end.frames.saturating_sub(self.frames),
        }
    }
}

impl Use {
    pub(super) fn cpu_ms_per_frame(self) -> f64 {
        cpu_ms_per_frame(self.cpu, self.frames)
    }

    /// Shares of one core.
    pub(super) fn cores(self) -> f64 {
        self.cpu.as_secs_f64() / self.seconds
    }

    pub(super) fn frames_per_second(self) -> f64 {
        self.frames as f64 / self.seconds
    }
}
