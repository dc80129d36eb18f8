//! The results of the bench.

use std::collections::BTreeMap;

use serde::Serialize;

use super::access_units::AccessUnits;
use super::auto::Step;
use super::copy::Copied;
use super::delay::Delay;
use super::frames::Frames;
use super::installed::Skipped;
use super::machine::Machine;
use super::one_process::InOneProcess;
use super::peers::PeerCost;
use super::quality::Quality;
use super::segments::Checked;
use super::window::{Idle, Window};

/// All results, with these names in JSON. Names of times and sizes contain their units.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    /// The programs and their versions.
    pub(super) versions: BTreeMap<String, String>,
    pub(super) setup: Setup,
    /// The main window, or that of the highest possible number of cameras.
    pub(super) window: Option<Window>,
    /// Frames per second that each camera sent: fewer than configured if the machine is too busy for the cameras.
    pub(super) camera_fps: Option<f64>,
    /// CPU milliseconds per frame of the three programs and redis-server together.
    pub(super) cpu_ms_per_frame: Option<f64>,
    /// Results for a fixed number of cameras.
    pub(super) run: Option<Run>,
    /// The steps of --cameras auto.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) steps: Vec<Step>,
    /// The highest number of cameras without a dropped frame.
    pub(super) cameras_carried: Option<u16>,
    /// The results of --copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) copied: Option<Copied>,
}

/// The settings of the run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setup {
    pub(super) cameras: Option<u16>,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Frame rate and bit rate of a camera.
    pub(super) fps: f64,
    pub(super) camera_bitrate: f64,
    pub(super) buffer_size: u32,
    /// The bit rate of the video in bits per second.
    pub(super) bitrate: u32,
    pub(super) seconds: f64,
}

/// Results that only a fixed number of cameras has.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    /// Milliseconds from the start of a source to its first frame at a subscriber.
    pub(super) start_up_ms: Option<Delay>,
    pub(super) idle: Vec<Idle>,
    pub(super) frames: Frames,
    pub(super) frames_in_segments: u64,
    /// From the capture of a frame to its arrival at a subscriber.
    pub(super) publication: Option<Delay>,
    /// From the capture of a segment's last frame to its complete object and sidecar.
    pub(super) object: Option<Delay>,
    pub(super) segments: Checked,
    /// The reasons why segments ended, counted by the aggregator before it is stopped.
    pub(super) endings: BTreeMap<String, u64>,
    pub(super) peers: Vec<PeerCost>,
    /// Comparisons that were not made, with the reasons.
    pub(super) skipped_peers: Vec<Skipped>,
    /// CPU per frame of the programs relative to the reference program beside them, if that kept up.
    pub(super) ratio: Option<f64>,
    pub(super) quality: Option<Quality>,
    /// The same nodes in one process, beside the programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) one_process: Option<InOneProcess>,
    /// A source that decodes nothing, before the main window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) access_units: Option<AccessUnits>,
}

impl Report {
    /// Whether every frame that the cameras sent is in a segment, and nothing was lost.
    pub(super) fn is_complete(&self) -> bool {
        let is_copied = self.copied.as_ref().is_none_or(Copied::is_complete);
        is_copied
            && self.run.as_ref().is_none_or(|run| {
                let Frames { sent, lost, .. } = &run.frames;
                let arrived = run.frames_in_segments + run.frames.left_out();
                let one_process = run.one_process.as_ref().is_none_or(InOneProcess::is_complete);
                let access_units = run.access_units.as_ref().is_none_or(AccessUnits::is_complete);
                lost.is_empty() && arrived == *sent && run.segments.wrong == 0 && one_process && access_units
            })
    }
}
