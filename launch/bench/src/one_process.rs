//! Measures the nodes of a chain in one process, with cameras of their own.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::chain::sensor;
use super::frames::{Frames, TIME_LIMIT};
use super::job::Job;
use super::rig::{self, Rig};
use super::segments::{self, Checked};
use super::shared_nodes::{NodeSpec, SharedNodes};
use super::used::Used;
use msight_camera::Camera;

/// The cost of the nodes in one process, and their frames.
#[derive(Clone, Debug, Serialize)]
pub(super) struct InOneProcess {
    pub(super) cpu_ms_per_frame: f64,
    /// Shares of one core.
    pub(super) cores: f64,
    /// The peak memory in bytes.
    pub(super) peak_bytes: u64,
    pub(super) frames: Frames,
    pub(super) frames_in_segments: u64,
    pub(super) segments: Checked,
    /// CPU per frame relative to the programs and redis-server in the same window.
    pub(super) by_programs: f64,
    /// CPU per frame relative to the compared program in the same window, if that kept up.
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

/// The running process, as started by `msight up --one-process`.
pub(super) struct OneProcess {
    nodes: SharedNodes,
    cameras: Vec<Camera>,
    job: Job,
    from: Option<Used>,
    until: Option<Used>,
}

const AGGREGATOR: &str = "aggregator";
const PUSHER: &str = "pusher";

impl OneProcess {
    /// Starts it, and waits until a frame of each camera is encoded.
    pub(super) async fn start(rig: &Rig, job: Job, cameras: u16) -> Result<Self> {
        let node = |program: &'static str, role: &str, args: Vec<String>| NodeSpec {
            program,
            name: job.node(role),
            args,
        };
        let (mut sources, mut watched) = (Vec::new(), Vec::new());
        for number in 1..=cameras {
            let camera = rig.camera().await?;
            let name = sensor(number);
            sources.push(node(rig::SOURCE, &name, job.source(&name, &camera.url())));
            watched.push(camera);
        }
        let pusher = node(rig::PUSHER, PUSHER, job.pusher(rig));
        let aggregator = node(rig::AGGREGATOR, AGGREGATOR, job.aggregator());
        let nodes = SharedNodes::start(rig, &[vec![pusher], vec![aggregator], sources])?;
        let this = Self { nodes, cameras: watched, job, from: None, until: None };
        let begun = Instant::now();
        while !this.nodes.all_run()? || this.frames().await?.encoded < cameras.into() {
            if begun.elapsed() > TIME_LIMIT {
                bail!("the nodes in one process encoded nothing within {} s", TIME_LIMIT.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(this)
    }

    /// Starts the measurement.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.from = Some(self.used()?);
        Ok(())
    }

    /// Ends the measurement.
    pub(super) fn end(&mut self) -> Result<()> {
        self.until = Some(self.used()?);
        Ok(())
    }

    fn used(&self) -> Result<Used> {
        Ok(Used::now(self.nodes.usage()?.cpu, &self.cameras))
    }

    async fn frames(&self) -> Result<Frames> {
        let mut frames = Frames::of(&self.cameras);
        for number in 1..=self.cameras.len() as u16 {
            let name = self.job.node(&sensor(number));
            frames.add_source(&name, &self.nodes.counters(&name).await?);
        }
        let name = self.job.node(AGGREGATOR);
        frames.add_aggregator(&name, &self.nodes.counters(&name).await?);
        let name = self.job.node(PUSHER);
        frames.add_pusher(&name, &self.nodes.counters(&name).await?);
        Ok(frames)
    }

    /// Freezes the cameras, waits for all frames, stops the process, and checks its segments. `programs` and `peer`
    /// are the CPU milliseconds per frame of the others in the same window.
    pub(super) async fn finish(self, rig: &Rig, programs: f64, peer: Option<f64>) -> Result<InOneProcess> {
        let (from, until) = self.from.zip(self.until).context("it was not measured")?;
        self.cameras.iter().for_each(Camera::freeze);
        let frames = Frames::settled(async || self.frames().await).await?;
        let peak_bytes = self.nodes.usage()?.peak_bytes;
        let folder = rig.segments_of(&self.job.name);
        let job = self.job;
        self.nodes.stop().await?;
        let found = segments::read(&folder)?;
        let checked = segments::check(&found, job.buffer_size, 1.0 / f64::from(job.fps));
        let used = from.until(until);
        let cpu_ms_per_frame = used.cpu_ms_per_frame();
        Ok(InOneProcess {
            cpu_ms_per_frame,
            cores: used.cores(),
            peak_bytes,
            frames,
            frames_in_segments: checked.frames,
            segments: checked,
            by_programs: cpu_ms_per_frame / programs,
            by_peer: peer.map(|peer| cpu_ms_per_frame / peer),
        })
    }
}
