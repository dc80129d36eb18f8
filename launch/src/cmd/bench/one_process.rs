//! The nodes of a chain in one process, on cameras of their own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::chain::{Node, sensor};
use super::frames::{Frames, PATIENCE};
use super::job::Job;
use super::rig::{BUCKET, Rig};
use super::segments::{self, Checked};
use crate::camera::Camera;

/// What the nodes cost in one process, and what became of their frames.
#[derive(Clone, Debug, Serialize)]
pub(super) struct InOneProcess {
    pub(super) cpu_ms_per_frame: f64,
    /// Shares of one core.
    pub(super) cores: f64,
    /// The most memory that it ever had, in bytes.
    pub(super) peak_bytes: u64,
    pub(super) frames: Frames,
    pub(super) frames_in_segments: u64,
    pub(super) segments: Checked,
    /// CPU a frame by that of the programs and redis-server in the same window.
    pub(super) by_programs: f64,
    /// CPU a frame by that of the peer that ran beside, if that kept up.
    pub(super) by_peer: Option<f64>,
}

impl InOneProcess {
    /// Whether every frame that its cameras sent is in a segment, and nothing was lost.
    pub(super) fn is_complete(&self) -> bool {
        let Frames { sent, lost, .. } = &self.frames;
        lost.is_empty()
            && self.frames_in_segments + self.frames.left_out() == *sent
            && self.segments.wrong == 0
    }
}

/// The process at work.
pub(super) struct OneProcess {
    node: Node,
    cameras: Vec<Camera>,
    job: Job,
    from: Option<Used>,
    until: Option<Used>,
}

#[derive(Clone, Copy)]
struct Used {
    at: Instant,
    cpu: Duration,
    frames: u64,
}

const AGGREGATOR: &str = "aggregator";
const PUSHER: &str = "pusher";

impl OneProcess {
    /// Starts it, and waits until a frame of each camera is encoded.
    pub(super) async fn start(rig: &Rig, job: Job, cameras: u16) -> Result<Self> {
        let node = |entry: msight_node::Entry, role: &str, args: Vec<String>| {
            let own = [entry.program().to_owned(), job.node(role)];
            serde_json::to_string(&[&own[..], &args].concat())
        };
        let mut nodes = Vec::new();
        let mut watched = Vec::new();
        for number in 1..=cameras {
            let camera = rig.camera().await?;
            let name = sensor(number);
            nodes.push(node(msight_rtsp_source::ENTRY, &name, job.source(&name, &camera.url()))?);
            watched.push(camera);
        }
        nodes.push(node(msight_image_to_video::ENTRY, AGGREGATOR, job.aggregator())?);
        nodes.push(node(msight_s3_pusher::ENTRY, PUSHER, job.pusher(rig))?);
        let args = ["bench-host".to_owned()].into_iter().chain(nodes);
        let own = std::env::current_exe().context("this program is not found")?;
        let node = Node::start(rig, &job.node("nodes"), &own, args).await?;
        let mut this = Self { node, cameras: watched, job, from: None, until: None };
        let begun = Instant::now();
        while this.frames().await?.encoded < cameras.into() {
            this.node.program.check()?;
            if begun.elapsed() > PATIENCE {
                bail!("the nodes in one process encode nothing within {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(this)
    }

    /// Begins to measure.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.from = Some(self.used()?);
        Ok(())
    }

    /// Ends measuring.
    pub(super) fn end(&mut self) -> Result<()> {
        self.until = Some(self.used()?);
        Ok(())
    }

    fn used(&self) -> Result<Used> {
        let frames = self.cameras.iter().map(|camera| camera.stats().frames_sent).sum();
        Ok(Used { at: Instant::now(), cpu: self.node.program.usage()?.cpu, frames })
    }

    async fn frames(&self) -> Result<Frames> {
        let mut frames = Frames::of(&self.cameras);
        let all = self.node.counters().await?;
        for number in 1..=self.cameras.len() as u16 {
            let name = self.job.node(&sensor(number));
            frames.add_source(&name, &all.of_node(&name));
        }
        let name = self.job.node(AGGREGATOR);
        frames.add_aggregator(&name, &all.of_node(&name));
        let name = self.job.node(PUSHER);
        frames.add_pusher(&name, &all.of_node(&name));
        Ok(frames)
    }

    /// Freezes the cameras, lets everything arrive, stops the process, and looks at its segments. `programs` and
    /// `peer` are what others have cost a frame in the same window, in CPU milliseconds.
    pub(super) async fn finish(self, rig: &Rig, programs: f64, peer: Option<f64>) -> Result<InOneProcess> {
        let (from, until) = self.from.zip(self.until).context("it was not measured")?;
        self.cameras.iter().for_each(Camera::freeze);
        let frames = Frames::settled(async || self.frames().await).await?;
        let peak_bytes = self.node.program.usage()?.peak_bytes;
        let folder: PathBuf = rig.store.root().join(BUCKET).join(&self.job.name);
        let job = self.job;
        self.node.stop().await?;
        let found = segments::read(&folder)?;
        let checked = segments::check(&found, job.buffer_size, 1.0 / f64::from(job.fps));
        let cpu = until.cpu.saturating_sub(from.cpu).as_secs_f64();
        let cpu_ms_per_frame = cpu * 1e3 / until.frames.saturating_sub(from.frames).max(1) as f64;
        Ok(InOneProcess {
            cpu_ms_per_frame,
            cores: cpu / until.at.duration_since(from.at).as_secs_f64(),
            peak_bytes,
            frames,
            frames_in_segments: checked.frames,
            segments: checked,
            by_programs: cpu_ms_per_frame / programs,
            by_peer: peer.map(|peer| cpu_ms_per_frame / peer),
        })
    }
}
