//! What the bench has found.

use std::collections::BTreeMap;

use serde::Serialize;

use super::auto::Step;
use super::delay::Delay;
use super::frames::Frames;
use super::machine::Machine;
use super::one_process::InOneProcess;
use super::peers::PeerCost;
use super::quality::Quality;
use super::segments::Checked;
use super::window::{Idle, Window};

/// All results; as JSON with these names, times and sizes with their units in them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    /// The programs that took part, and what they say of their versions.
    pub(super) versions: BTreeMap<String, String>,
    pub(super) setup: Setup,
    /// The main window, or that of the most cameras that were carried.
    pub(super) window: Option<Window>,
    /// Frames a second that each camera sent in it: fewer than it should where the machine is too busy even for the
    /// cameras.
    pub(super) camera_fps: Option<f64>,
    /// CPU milliseconds a frame, of the three programs and redis-server together.
    pub(super) cpu_ms_per_frame: Option<f64>,
    /// With the cameras fixed.
    pub(super) run: Option<Run>,
    /// The steps of --cameras auto.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) steps: Vec<Step>,
    /// The most cameras that were carried without a dropped frame.
    pub(super) cameras_carried: Option<u16>,
}

/// What was asked for, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setup {
    pub(super) cameras: Option<u16>,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Of a camera, frames and bits a second.
    pub(super) fps: f64,
    pub(super) camera_bitrate: f64,
    pub(super) buffer_size: u32,
    /// Of the video, bits a second.
    pub(super) bitrate: u32,
    pub(super) seconds: f64,
}

/// What only a run with a fixed number of cameras finds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    /// Milliseconds from the start of a source to its first frame at a subscriber.
    pub(super) start_up_ms: Option<Delay>,
    pub(super) idle: Vec<Idle>,
    pub(super) frames: Frames,
    pub(super) frames_in_segments: u64,
    /// From the capture of a frame to its arrival at a subscriber.
    pub(super) publication: Option<Delay>,
    /// From the capture of a segment's last frame to the moment in which its object and sidecar are complete.
    pub(super) object: Option<Delay>,
    pub(super) segments: Checked,
    /// Why segments ended, as the aggregator counts it before it is stopped.
    pub(super) endings: BTreeMap<String, u64>,
    pub(super) peers: Vec<PeerCost>,
    /// CPU a frame of the programs together, by that of the peer that ran beside them, if that kept up.
    pub(super) ratio: Option<f64>,
    pub(super) quality: Option<Quality>,
    /// The same nodes in one process, beside the programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) one_process: Option<InOneProcess>,
}

impl Report {
    /// Whether every frame that the cameras sent is in a segment, and nothing was lost.
    pub(super) fn is_complete(&self) -> bool {
        self.run.as_ref().is_none_or(|run| {
            let Frames { sent, lost, .. } = &run.frames;
            let arrived = run.frames_in_segments + run.frames.left_out();
            let one_process = run.one_process.as_ref().is_none_or(InOneProcess::is_complete);
            lost.is_empty() && arrived == *sent && run.segments.wrong == 0 && one_process
        })
    }
}
