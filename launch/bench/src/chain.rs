//! Runs the three programs: a source for each camera, one aggregator, one pusher.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use msight_node::notify::{NotifySocket, SOCKET};
use rustix::process::Signal;
use tokio::time::timeout;

use super::delay::{Seen, Watch};
use super::frames::{Frames, TIME_LIMIT};
use super::job::Job;
use super::programs::Program;
use super::rig::Rig;
use super::segments;
use msight_camera::Camera;
use msight_supervise::scrape::{Counters, readiness};

/// A measured program and the address of its metrics.
pub(super) struct Node {
    pub(super) program: Program,
    metrics: SocketAddr,
}

/// The programs and their cameras.
pub(super) struct Chain {
    pub(super) job: Job,
    pub(super) cameras: Vec<Camera>,
    pub(super) sources: Vec<Node>,
    pub(super) aggregator: Node,
    pub(super) pusher: Node,
}

impl Node {
    /// Starts one of the programs with the common flags.
    pub(super) async fn program(rig: &Rig, name: &str, executable: &Path, args: Vec<String>) -> Result<Self> {
        let own = ["-n".to_owned(), name.to_owned()];
        Self::start(rig, name, executable, args.into_iter().chain(own).chain(rig.flags.clone())).await
    }

    /// Starts a program, and waits until it reports the address of its metrics.
    pub(super) async fn start(
        rig: &Rig,
        name: &str,
        executable: &Path,
        args: impl IntoIterator<Item = String>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir_in(rig.folder()).context("no temporary folder")?;
        let reports = NotifySocket::bind(folder.path()).context("cannot make a socket for reports")?;
        let mut environment = rig.environment.clone();
        environment.insert(SOCKET.to_owned(), reports.path().to_string_lossy().into_owned());
        let mut program = Program::start(name, executable, args, &environment, rig.folder(), &rig.guard)?;
        let metrics = async {
            loop {
                if let Some(metrics) = reports.recv().await?.metrics {
                    return anyhow::Ok(metrics);
                }
            }
        };
        tokio::pin!(metrics);
        let begun = Instant::now();
        loop {
            if let Ok(metrics) = timeout(Duration::from_millis(50), &mut metrics).await {
                return Ok(Self { program, metrics: metrics? });
            }
            program.check()?;
            if begun.elapsed() > TIME_LIMIT {
                bail!("{name} does not report the address of its metrics:\n{}", program.output());
            }
        }
    }

    /// Waits until it is ready.
    pub(super) async fn until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while readiness(self.metrics).await.is_err() {
            self.program.check()?;
            if begun.elapsed() > TIME_LIMIT {
                bail!("{} not ready within {} s", self.program.name, TIME_LIMIT.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub(super) async fn counters(&self) -> Result<Counters> {
        Counters::of(self.metrics).await.with_context(|| format!("{} does not answer", self.program.name))
    }

    pub(super) async fn stop(self) -> Result<()> {
        let name = self.program.name.clone();
        match self.program.stop(Signal::TERM).await? {
            true => Ok(()),
            false => bail!("{name} did not stop"),
        }
    }
}

impl Chain {
    /// Starts aggregator and pusher, and waits until they are ready.
    pub(super) async fn start(rig: &Rig, job: Job) -> Result<Self> {
        let mut pusher = {
            let (name, args) = (job.node("pusher"), job.pusher(rig));
            Node::program(rig, &name, &rig.executables.pusher, args).await?
        };
        let mut aggregator = {
            let (name, args) = (job.node("aggregator"), job.aggregator());
            Node::program(rig, &name, &rig.executables.aggregator, args).await?
        };
        pusher.until_ready().await?;
        aggregator.until_ready().await?;
        Ok(Self { job, cameras: Vec::new(), sources: Vec::new(), aggregator, pusher })
    }

    /// Starts a source for a camera with this URL.
    pub(super) async fn source(&self, rig: &Rig, name: &str, url: &str) -> Result<Node> {
        let args = self.job.source(name, url);
        Node::program(rig, &self.job.node(name), &rig.executables.source, args).await
    }

    /// Starts cameras and a source for each, and waits for their first frames. Returns the times from a source's
    /// start to its first frame in milliseconds.
    pub(super) async fn begin(&mut self, rig: &Rig, cameras: u16) -> Result<Vec<f64>> {
        let watch = Watch::start(&*rig.bus, &self.job.frames(), None).await?;
        let mut started = Vec::new();
        for number in 1..=cameras {
            let camera = rig.camera().await?;
            let name = sensor(number);
            started.push((name.clone(), Instant::now()));
            let source = self.source(rig, &name, &camera.url()).await?;
            self.cameras.push(camera);
            self.sources.push(source);
        }
        let seen = match watch.until_sensors(cameras.into(), TIME_LIMIT).await {
            Ok(seen) => seen,
            Err(error) => {
                self.sources.iter_mut().try_for_each(|source| source.program.check())?;
                return Err(error);
            }
        };
        let took = |(name, at): (String, Instant)| {
            Some(seen.first.get(&name)?.saturating_duration_since(at).as_secs_f64() * 1e3)
        };
        Ok(started.into_iter().filter_map(took).collect())
    }

    /// Measures delays with a second subscriber for `time`; keeps the frames of the first camera if requested.
    pub(super) async fn watch(&self, rig: &Rig, time: Duration, keep: bool) -> Result<Seen> {
        let watch = Watch::start(&*rig.bus, &self.job.frames(), keep.then(|| sensor(1))).await?;
        tokio::time::sleep(time).await;
        Ok(watch.seen())
    }

    /// An error if one of the programs has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        let others = [&mut self.aggregator, &mut self.pusher];
        self.sources.iter_mut().chain(others).try_for_each(|node| node.program.check())
    }

    /// The current counters of frames.
    pub(super) async fn frames(&self) -> Result<Frames> {
        let mut frames = Frames::of(&self.cameras);
        for source in &self.sources {
            frames.add_source(&source.program.name, &source.counters().await?);
        }
        frames.add_aggregator(&self.aggregator.program.name, &self.aggregator.counters().await?);
        frames.add_pusher(&self.pusher.program.name, &self.pusher.counters().await?);
        Ok(frames)
    }

    /// Freezes the cameras, waits for frames in progress, and stops the programs from first to last, so that each can
    /// finish. Returns the counters of frames and the reasons why segments ended.
    pub(super) async fn finish(self, rig: &Rig) -> Result<(Frames, BTreeMap<String, u64>)> {
        self.cameras.iter().for_each(Camera::freeze);
        let frames = Frames::settled(async || self.frames().await).await?;
        let endings = self.aggregator.counters().await?.by_reason(&msight_image_to_video::metrics::SEGMENTS);
        let folder = rig.segments_of(&self.job.name);
        for source in self.sources {
            source.stop().await?;
        }
        self.aggregator.stop().await?;
        let begun = Instant::now();
        let in_segments = || -> Result<u64> {
            Ok(segments::read(&folder)?.iter().map(|(_, segment)| u64::from(segment.movie.frames)).sum())
        };
        while in_segments()? < frames.encoded && begun.elapsed() < TIME_LIMIT {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.pusher.stop().await?;
        Ok((frames, endings))
    }

    /// Stops the programs, first to last.
    pub(super) async fn stop(self) -> Result<()> {
        for node in self.sources.into_iter().chain([self.aggregator, self.pusher]) {
            // A program that is too busy to stop is killed.
            node.program.stop(Signal::TERM).await?;
        }
        Ok(())
    }
}

/// The sensor name of a camera by number.
pub(super) fn sensor(number: u16) -> String {
    format!("camera-{number}")
}
