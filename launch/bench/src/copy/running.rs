//! A graph that is measured: from its start to a check of what it has recorded.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tokio::time::sleep;

use super::graphs::{Graph, Placement, Work};
use super::recorded::{self, Recorded};
use crate::chain::Node;
use crate::frames::TIME_LIMIT;
use crate::job::Job;
use crate::rig::Rig;
use crate::segments;
use crate::shared_nodes::SharedNodes;
use crate::used::{Used, frames_sent};
use msight_camera::Camera;
use msight_contract::traffic;
use msight_supervise::scrape::Counters;

/// The nodes of a graph.
enum Nodes {
    Together(SharedNodes),
    /// The programs of each stage, in the order of starting.
    Separate(Vec<Vec<Node>>),
}

/// A running graph and its cameras.
pub(super) struct RunningGraph {
    nodes: Nodes,
    graph: Graph,
    cameras: Vec<Camera>,
    from: Option<Used>,
    /// The end of the measurement, with the peak memory until then.
    until: Option<(Used, u64)>,
}

/// What a graph used in the window, and what became of its cameras' frames.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) cpu_ms_per_frame: f64,
    /// The peak memory of all its processes, in bytes.
    pub(super) peak_bytes: u64,
    /// Frames per second that its cameras sent together.
    pub(super) frames_per_second: f64,
    pub(super) frames_sent: u64,
    /// Frames that the cameras dropped, because the source was too slow to read them.
    pub(super) frames_dropped: u64,
    pub(super) recorded: Recorded,
}

/// What was measured of a graph, or why it was not.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    #[serde(flatten)]
    pub(super) measured: Option<Measured>,
    /// Why it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
}

impl From<Result<Measured>> for Outcome {
    fn from(measured: Result<Measured>) -> Self {
        match measured {
            Ok(measured) => Self { measured: Some(measured), failed: None },
            Err(error) => Self { measured: None, failed: Some(format!("{error:#}")) },
        }
    }
}

impl Outcome {
    /// Whether it was measured, and every frame was recorded as its camera encoded it.
    pub(super) fn is_complete(&self) -> bool {
        self.measured.as_ref().is_some_and(Measured::is_complete)
    }
}

impl Measured {
    /// Whether every frame was recorded as its camera encoded it.
    pub(super) fn is_complete(&self) -> bool {
        self.frames_dropped == 0 && self.recorded.frames == self.frames_sent && self.recorded.as_sent
    }
}

impl RunningGraph {
    /// Starts cameras and nodes, and waits until a frame of each camera has arrived where segments are made.
    pub(super) async fn start(
        rig: &Rig,
        job: &Job,
        (work, placement): (Work, Placement),
        cameras: u16,
    ) -> Result<Self> {
        let mut started = Vec::new();
        for _ in 0..cameras {
            started.push(rig.camera().await?);
        }
        let mut graph = work.graph(rig, job, &started);
        // The pusher starts first, and is ready once the folder exists.
        std::fs::create_dir_all(&graph.spool)?;
        let stages = std::mem::take(&mut graph.stages);
        let nodes = match placement {
            Placement::OneProcess => Nodes::Together(SharedNodes::start(rig, &stages)?),
            Placement::Programs => {
                let mut running = Vec::new();
                for stage in stages {
                    let mut nodes = Vec::new();
                    for spec in stage {
                        let executable = rig.executables.of(spec.program)?;
                        let mut node = Node::program(rig, &spec.name, executable, spec.args).await?;
                        node.until_ready().await?;
                        nodes.push(node);
                    }
                    running.push(nodes);
                }
                Nodes::Separate(running)
            }
        };
        let mut this = Self { nodes, graph, cameras: started, from: None, until: None };
        let begun = Instant::now();
        while !this.are_running()? || this.arrived().await? < cameras.into() {
            if begun.elapsed() > TIME_LIMIT {
                bail!("no frame arrived at {} within {} s", this.graph.segmenter, TIME_LIMIT.as_secs());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(this)
    }

    /// Starts the measurement.
    pub(super) async fn begin(&mut self, rig: &Rig) -> Result<()> {
        self.from = Some(self.used(rig).await?.0);
        Ok(())
    }

    /// Ends the measurement.
    pub(super) async fn end(&mut self, rig: &Rig) -> Result<()> {
        self.until = Some(self.used(rig).await?);
        self.are_running().map(drop)
    }

    /// Whether all nodes are ready.
    ///
    /// # Errors
    /// A node has ended.
    fn are_running(&mut self) -> Result<bool> {
        match &mut self.nodes {
            Nodes::Together(nodes) => nodes.all_run(),
            Nodes::Separate(stages) => {
                stages.iter_mut().flatten().try_for_each(|node| node.program.check()).map(|()| true)
            }
        }
    }

    fn sent(&self) -> u64 {
        frames_sent(&self.cameras)
    }

    /// The messages that the node which makes segments has read: one for each frame.
    async fn arrived(&self) -> Result<u64> {
        let name = &self.graph.segmenter;
        let counters: Counters = match &self.nodes {
            Nodes::Together(nodes) => nodes.counters(name).await?,
            Nodes::Separate(stages) => {
                let node = stages.iter().flatten().find(|node| node.program.name == *name);
                node.with_context(|| format!("{name} is not running"))?.counters().await?
            }
        };
        Ok(counters.total(&traffic::RECEIVED))
    }

    /// What was used up to this moment, and the peak memory in bytes.
    async fn used(&self, rig: &Rig) -> Result<(Used, u64)> {
        let (cpu, peak_bytes) = match &self.nodes {
            Nodes::Together(nodes) => {
                let usage = nodes.usage()?;
                (usage.cpu, usage.peak_bytes)
            }
            Nodes::Separate(stages) => {
                let mut sum = rig.redis_usage().await?;
                for node in stages.iter().flatten() {
                    let usage = node.program.usage()?;
                    sum = (sum.0 + usage.cpu, sum.1 + usage.peak_bytes);
                }
                sum
            }
        };
        Ok((Used::now(cpu, &self.cameras), peak_bytes))
    }

    /// Freezes the cameras, waits for frames on their way, stops the nodes, and checks the segments.
    pub(super) async fn finish(self, rig: &Rig) -> Result<Measured> {
        let (from, (until, peak_bytes)) = self.from.zip(self.until).context("it was not measured")?;
        self.cameras.iter().for_each(Camera::freeze);
        let begun = Instant::now();
        // A frame that a camera had begun to send comes after it is frozen.
        let mut frames_sent = None;
        while frames_sent.is_none_or(|before| before != self.sent())
            || (self.arrived().await? < self.sent() && begun.elapsed() < TIME_LIMIT)
        {
            frames_sent = Some(self.sent());
            sleep(Duration::from_millis(50)).await;
        }
        let frames_sent = self.sent();
        let frames_dropped = self.cameras.iter().map(|camera| camera.stats().frames_dropped).sum();
        let folder = self.graph.segments;
        match self.nodes {
            Nodes::Together(nodes) => nodes.stop().await?,
            Nodes::Separate(mut stages) => {
                while let Some(stage) = stages.pop() {
                    for node in stage {
                        node.stop().await?;
                    }
                    // The pusher is stopped last: the segment that the stop has cut may be on its way to it.
                    if stages.len() == 1 {
                        until_stored(&folder, frames_sent).await?;
                    }
                }
            }
        }
        let recorded = recorded::check(&segments::read(&folder)?, &rig.recording)?;
        let used = from.until(until);
        Ok(Measured {
            cpu_ms_per_frame: used.cpu_ms_per_frame(),
            peak_bytes,
            frames_per_second: used.frames_per_second(),
            frames_sent,
            frames_dropped,
            recorded,
        })
    }
}

/// Waits until all frames are in segments; the check reports those that are missing.
async fn until_stored(folder: &Path, frames: u64) -> Result<()> {
    let begun = Instant::now();
    let stored = || -> Result<usize> {
        Ok(segments::read(folder)?.iter().map(|(_, segment)| segment.captured.len()).sum())
    };
    while (stored()? as u64) < frames && begun.elapsed() < TIME_LIMIT {
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
