//! Many cameras, recorded in one process: frames that are lost, and the memory of each further camera.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::statvfs;
use serde::Serialize;
use tokio::time::sleep;

use super::graphs::{Placement, Work};
use super::running::{Measured, Outcome, RunningGraph};
use crate::auto::SLOW;
use crate::flags::Args;
use crate::job::Job;
use crate::progress::{Progress, counted};
use crate::rig::Rig;
use crate::window::WARM_UP;

/// The memory that a further camera may take, in bytes.
const MEMORY_LIMIT: u64 = 8_000_000;

/// The time in which the cameras of a busy machine start, and end.
const BEFORE_AND_AFTER: Duration = Duration::from_secs(20);

/// The result.
#[derive(Debug, Serialize)]
pub(super) struct ManyCameras {
    pub(super) cameras: u16,
    /// Whether no frame was lost, the cameras kept their rate, and the memory is within its limit.
    pub(super) holds: bool,
    /// The peak memory of each camera beyond the first, in bytes; `None` if one camera was not measured.
    pub(super) bytes_per_further_camera: Option<u64>,
    pub(super) memory_limit_bytes: u64,
    /// Frames per second that the cameras are to send together.
    pub(super) frames_per_second_wanted: f64,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

impl ManyCameras {
    fn new(cameras: u16, fps: f64, alone: Option<u64>, measured: Result<Measured>) -> Self {
        let outcome = Outcome::from(measured);
        let further = u64::from(cameras.saturating_sub(1)).max(1);
        let bytes = outcome.measured.as_ref().zip(alone);
        let bytes = bytes.map(|(measured, alone)| measured.peak_bytes.saturating_sub(alone) / further);
        let wanted = f64::from(cameras) * fps;
        let is_fast = |measured: &Measured| measured.frames_per_second >= SLOW * wanted;
        let is_recorded = outcome.is_complete() && outcome.measured.as_ref().is_some_and(is_fast);
        Self {
            cameras,
            holds: is_recorded && bytes.is_some_and(|bytes| bytes < MEMORY_LIMIT),
            bytes_per_further_camera: bytes,
            memory_limit_bytes: MEMORY_LIMIT,
            frames_per_second_wanted: wanted,
            outcome,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.outcome.is_complete()
    }
}

/// Records the cameras for the length of the main window. `alone` is the peak memory with one camera.
pub(super) async fn measure(
    rig: &Rig,
    args: &Args,
    alone: Option<u64>,
    progress: &Progress,
) -> Result<ManyCameras> {
    let cameras = args.copy_cameras;
    progress.say(format_args!("recording {} for {:.0} s", counted(cameras), args.duration.as_secs_f64()));
    let job = Job::new(rig, args, "many");
    let measured = record(rig, args, &job, cameras).await;
    Ok(ManyCameras::new(cameras, rig.recording.fps(), alone, measured))
}

async fn record(rig: &Rig, args: &Args, job: &Job, cameras: u16) -> Result<Measured> {
    let mut running = RunningGraph::start(rig, job, (Work::Record, Placement::OneProcess), cameras).await?;
    sleep(WARM_UP.min(args.duration)).await;
    running.begin(rig).await?;
    sleep(args.duration).await;
    running.end(rig).await?;
    running.finish(rig).await
}

/// Checks that the segments have room on the disk.
///
/// # Errors
/// They do not.
pub(super) fn check_disk(rig: &Rig, args: &Args) -> Result<()> {
    let seconds = (args.duration + WARM_UP + BEFORE_AND_AFTER).as_secs_f64();
    let needed = rig.recording.bitrate() / 8.0 * seconds * f64::from(args.copy_cameras);
    let disk = statvfs(rig.folder()).context("cannot read the free space of the temporary folder")?;
    let free = disk.f_bavail as f64 * disk.f_frsize as f64;
    ensure!(
        needed <= free,
        "the segments of {} need {:.1} GB in {}, which has {:.1} GB; set TMPDIR to a folder with more room, or \
         --copy-cameras",
        counted(args.copy_cameras),
        needed / 1e9,
        rig.folder().display(),
        free / 1e9
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::recorded::Recorded;
    use super::*;

    #[test]
    fn a_lost_frame_a_slow_camera_and_too_much_memory_are_reported() {
        let measured = |frames, frames_per_second, peak_bytes| {
            Ok(Measured {
                cpu_ms_per_frame: 0.5,
                peak_bytes,
                frames_per_second,
                frames_sent: 600,
                frames_dropped: 0,
                recorded: Recorded { segments: 6, frames, hidden: 0, as_sent: true },
            })
        };
        let judge = |measured| ManyCameras::new(6, 10.0, Some(20_000_000), measured);
        let good = judge(measured(600, 60.0, 50_000_000));
        assert_eq!((good.holds, good.bytes_per_further_camera), (true, Some(6_000_000)));
        assert!(!judge(measured(599, 60.0, 50_000_000)).holds);
        assert!(!judge(measured(600, 50.0, 50_000_000)).holds);
        assert!(!judge(measured(600, 60.0, 60_000_000)).holds);
        assert!(!judge(Err(anyhow::anyhow!("it ended"))).is_complete());
        assert!(!ManyCameras::new(6, 10.0, None, measured(600, 60.0, 50_000_000)).holds);
    }
}
