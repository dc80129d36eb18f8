//! Measures the CPU and memory of the programs in a window of time.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use msight_node::metrics::Usage;
use serde::Serialize;

use super::chain::Chain;
use super::frames::cpu_ms_per_frame;
use super::machine::Ticks;
use super::rig::Rig;

/// The time from the first frames to the start of a window, in which caches and rate control settle.
pub(super) const WARM_UP: Duration = Duration::from_secs(3);

/// The cost of a program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Cost {
    pub(super) program: String,
    /// The number of its processes.
    pub(super) processes: usize,
    /// CPU milliseconds per frame, summed over its processes.
    pub(super) cpu_ms_per_frame: f64,
    /// Shares of one core, summed over its processes.
    pub(super) cores: f64,
    /// The highest peak memory of its processes, in bytes.
    pub(super) peak_bytes: u64,
    /// The size of its executable, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) executable_bytes: Option<u64>,
}

/// The cost in a window of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Window {
    pub(super) seconds: f64,
    /// Frames that the cameras sent in it.
    pub(super) frames: u64,
    /// Source, aggregator, pusher and redis-server.
    pub(super) costs: Vec<Cost>,
    /// This process (the cameras and the S3 server), in CPU milliseconds per frame.
    pub(super) bench_cpu_ms_per_frame: f64,
    /// The share of all cores that was busy, 0 to 1.
    pub(super) machine_busy: f64,
}

impl Window {
    /// CPU milliseconds per frame of all programs.
    pub(super) fn cpu_ms_per_frame(&self) -> f64 {
        self.costs.iter().map(|cost| cost.cpu_ms_per_frame).sum()
    }
}

/// The programs in the results.
const ROLES: [&str; 4] = ["source", "aggregator", "pusher", "redis-server"];

/// The CPU and memory used up to a moment.
pub(super) struct Snapshot {
    at: Instant,
    frames: u64,
    /// In the order of [`ROLES`]: processes, CPU time and peak memory.
    used: [(usize, Duration, u64); 4],
    own: Duration,
    ticks: Option<Ticks>,
}

impl Snapshot {
    /// The values at this moment.
    pub(super) async fn take(chain: &Chain, rig: &Rig) -> Result<Self> {
        let mut sources = (0, Duration::ZERO, 0);
        for source in &chain.sources {
            let usage = source.program.usage()?;
            sources = (sources.0 + 1, sources.1 + usage.cpu, sources.2.max(usage.peak_bytes));
        }
        let one = |usage: Usage| (1, usage.cpu, usage.peak_bytes);
        let aggregator = one(chain.aggregator.program.usage()?);
        let pusher = one(chain.pusher.program.usage()?);
        let (cpu, peak) = rig.redis_usage().await?;
        Ok(Self {
            at: Instant::now(),
            frames: chain.cameras.iter().map(|camera| camera.stats().frames_sent).sum(),
            used: [sources, aggregator, pusher, (1, cpu, peak)],
            own: Usage::own()?.cpu,
            ticks: Ticks::now(),
        })
    }

    /// The cost from this moment until `end`.
    pub(super) fn until(&self, end: &Self, rig: &Rig) -> Window {
        let seconds = end.at.duration_since(self.at).as_secs_f64();
        let frames = end.frames - self.frames;
        let size = |path: &Path| std::fs::metadata(path).ok().map(|file| file.len());
        let executables = &rig.executables;
        let sizes =
            [size(&executables.source), size(&executables.aggregator), size(&executables.pusher), None];
        let costs = (0..ROLES.len()).map(|role| {
            let (processes, end, peak_bytes) = end.used[role];
            let cpu = end.saturating_sub(self.used[role].1);
            Cost {
                program: ROLES[role].to_owned(),
                processes,
                cpu_ms_per_frame: cpu_ms_per_frame(cpu, frames),
                cores: cpu.as_secs_f64() / seconds,
                peak_bytes,
                executable_bytes: sizes[role],
            }
        });
        Window {
            seconds,
            frames,
            costs: costs.collect(),
            bench_cpu_ms_per_frame: cpu_ms_per_frame(end.own.saturating_sub(self.own), frames),
            machine_busy: self.ticks.zip(end.ticks).map_or(0.0, |(begin, end)| end.busy_since(begin)),
        }
    }
}

/// The cost of an idle program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Idle {
    pub(super) program: String,
    /// Percent of one core.
    pub(super) cpu_percent: f64,
    pub(super) resident_bytes: u64,
}

/// Measures aggregator and pusher before the first frame, and a source whose camera does not answer.
pub(super) async fn idle(chain: &Chain, rig: &Rig, time: Duration) -> Result<Vec<Idle>> {
    // Bound and not listening: connections are refused, and the port stays reserved.
    let unused = tokio::net::TcpSocket::new_v4()?;
    unused.bind(([127, 0, 0, 1], 0).into())?;
    let source = chain.source(rig, "idle", &format!("rtsp://{}/", unused.local_addr()?)).await?;
    // The cost of starting does not count.
    tokio::time::sleep(Duration::from_secs(1).min(time)).await;
    let nodes = [&source, &chain.aggregator, &chain.pusher];
    let used = || nodes.iter().map(|node| node.program.usage()).collect::<Result<Vec<_>>>();
    let (begun, before) = (Instant::now(), used()?);
    tokio::time::sleep(time).await;
    let (seconds, after) = (begun.elapsed().as_secs_f64(), used()?);
    let idle = ROLES.iter().zip(before.iter().zip(&after)).map(|(role, (before, after))| Idle {
        program: (*role).to_owned(),
        cpu_percent: after.cpu.saturating_sub(before.cpu).as_secs_f64() * 100.0 / seconds,
        resident_bytes: after.resident_bytes,
    });
    let idle = idle.collect();
    source.program.stop(rustix::process::Signal::TERM).await?;
    Ok(idle)
}
