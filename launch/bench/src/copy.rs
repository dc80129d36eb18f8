//! Measures recording and the copying aggregator beside ffmpeg: `--copy`.
//!
//! Each group of graphs runs in one window together with the program that it is compared with. A group has at most one
//! graph that uses Redis, so that the server's CPU time is that graph's.

pub(super) mod camera_video;
mod graphs;
mod many;
mod recorded;
mod rows;
mod running;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde::Serialize;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use self::many::ManyCameras;
use self::rows::{GROUPS, Group, Row};
use self::running::RunningGraph;
use super::delay::subscribe;
use super::flags::Args;
use super::installed::ffmpeg_with_x264;
use super::job::Job;
use super::peers::PeerCost;
use super::progress::Progress;
use super::rig::Rig;
use super::window::WARM_UP;

/// The results of `--copy`.
#[derive(Debug, Serialize)]
pub(super) struct Copied {
    groups: Vec<Compared>,
    /// Many cameras recorded at once; `None` if they were not asked for.
    cameras: Option<ManyCameras>,
}

/// Graphs that ran in one window with the program that they are compared with.
#[derive(Debug, Serialize)]
struct Compared {
    rows: Vec<Row>,
    peer: PeerCost,
}

impl Copied {
    /// Whether every frame that the cameras sent was recorded as the camera encoded it.
    pub(super) fn is_complete(&self) -> bool {
        let mut rows = self.groups.iter().flat_map(|group| &group.rows);
        rows.all(Row::is_complete) && self.cameras.as_ref().is_none_or(ManyCameras::is_complete)
    }
}

/// The approximate duration, without the preparation of the stream.
pub(super) fn estimate(args: &Args) -> Duration {
    let windows = GROUPS.len() as u32 + u32::from(args.copy_cameras > 0);
    (args.duration + WARM_UP + Duration::from_secs(10)) * windows
}

/// The ffmpeg that the graphs are compared with, and that encodes the stream of their cameras.
pub(super) async fn ffmpeg() -> Result<PathBuf> {
    ffmpeg_with_x264(None).await.map_err(|why| anyhow!("--copy needs ffmpeg: {why}"))
}

/// Measures all rows, then many cameras.
pub(super) async fn measure(rig: &Rig, args: &Args, progress: &Progress) -> Result<Copied> {
    if args.copy_cameras > 0 {
        many::check_disk(rig, args)?;
    }
    let mut copied = Copied { groups: Vec::new(), cameras: None };
    for group in &GROUPS {
        copied.groups.push(measure_group(rig, args, group, progress).await?);
    }
    if args.copy_cameras > 0 {
        let one_camera = copied.groups.first().and_then(|group| group.rows.first());
        let alone =
            one_camera.and_then(|row| row.outcome.measured.as_ref()).map(|measured| measured.peak_bytes);
        copied.cameras = Some(many::measure(rig, args, alone, progress).await?);
    }
    Ok(copied)
}

async fn measure_group(rig: &Rig, args: &Args, group: &Group, progress: &Progress) -> Result<Compared> {
    let job = |name: &str| Job::new(rig, args, name);
    let ffmpeg = ffmpeg().await?;
    let peer = group.peer.peer(&ffmpeg, &job(""));
    progress.say(format_args!(
        "measuring {} beside {} for {:.0} s",
        group.graphs.iter().map(|graph| graph.name).collect::<Vec<_>>().join(", "),
        peer.name,
        args.duration.as_secs_f64()
    ));
    let mut beside = peer.start(rig).await?;
    let mut running = Vec::new();
    let mut others = Vec::new();
    for graph in group.graphs {
        let job = job(graph.name);
        if graph.has_other_readers {
            others.push(drain(rig, &job.frames()).await?);
        }
        running.push((graph, RunningGraph::start(rig, &job, (graph.work, graph.placement), 1).await));
    }
    sleep(WARM_UP.min(args.duration)).await;
    beside.begin()?;
    for (_, graph) in &mut running {
        if let Ok(graph) = graph {
            graph.begin(rig).await?;
        }
    }
    sleep(args.duration).await;
    beside.end()?;
    let mut ended = Vec::new();
    for (graph, outcome) in running {
        ended.push((
            graph,
            match outcome {
                Ok(mut running) => running.end(rig).await.map(|()| running),
                Err(error) => Err(error),
            },
        ));
    }
    let peer = beside.stop().await?;
    let mut rows = Vec::new();
    for (graph, outcome) in ended {
        let measured = match outcome {
            Ok(running) => running.finish(rig).await,
            Err(error) => Err(error),
        };
        rows.push(Row::new(graph, measured, &peer));
    }
    Ok(Compared { rows, peer })
}

/// Reads a topic as another node would, and drops what it reads.
async fn drain(rig: &Rig, topic: &str) -> Result<AbortOnDropHandle<()>> {
    let mut messages = subscribe(&*rig.bus, topic).await?;
    Ok(AbortOnDropHandle::new(tokio::spawn(async move { while messages.recv().await.is_some() {} })))
}
