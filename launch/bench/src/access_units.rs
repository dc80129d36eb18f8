//! Measures a source that decodes nothing: it publishes the camera's access units, beside ffmpeg that stores them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use msight_node::metrics::Usage;
use msight_proto::{AccessUnitData, decode};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::chain::{Node, sensor};
use super::delay::subscribe;
use super::frames::{TIME_LIMIT, cpu_ms_per_frame};
use super::job::Job;
use super::peers::{Peer, PeerCost};
use super::rig::Rig;
use super::window::WARM_UP;
use msight_camera::Camera;

/// The cost of a source with `--packet-topic` and without `-pt`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AccessUnits {
    pub(super) cpu_ms_per_frame: f64,
    /// The peak memory of the source in bytes.
    pub(super) peak_bytes: u64,
    pub(super) redis_cpu_ms_per_frame: f64,
    /// Frames that the camera sent from its start to its end, and units that the subscriber received.
    pub(super) frames_sent: u64,
    pub(super) units_received: u64,
    /// ffmpeg that stores the same stream without decoding it, in the same window, on a camera of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peer: Option<PeerCost>,
}

impl AccessUnits {
    /// Whether the subscriber received a unit for every frame.
    pub(super) fn is_complete(&self) -> bool {
        self.frames_sent == self.units_received
    }
}

/// A subscriber of the topic. It reads each message and drops it.
struct Subscriber {
    received: watch::Receiver<u64>,
    _task: AbortOnDropHandle<()>,
}

impl Subscriber {
    async fn start(rig: &Rig, topic: &str) -> Result<Self> {
        let mut units = subscribe(&*rig.bus, topic).await?;
        let (sender, received) = watch::channel(0);
        let task = tokio::spawn(async move {
            while let Some(delivery) = units.recv().await {
                // Other messages do not come from the source.
                if decode::<AccessUnitData>(&delivery.payload).is_ok() {
                    sender.send_modify(|received| *received += 1);
                }
            }
        });
        Ok(Self { received, _task: AbortOnDropHandle::new(task) })
    }

    fn received(&self) -> u64 {
        *self.received.borrow()
    }
}

/// What was used and counted up to a moment.
struct Snapshot {
    source: Usage,
    redis: Duration,
    sent: u64,
}

impl Snapshot {
    async fn take(rig: &Rig, source: &Node, camera: &Camera) -> Result<Self> {
        Ok(Self {
            source: source.program.usage()?,
            redis: rig.redis_usage().await?.0,
            sent: camera.stats().frames_sent,
        })
    }
}

/// Measures a source for `time`, and the peer on a camera of its own beside it.
pub(super) async fn measure(
    rig: &Rig,
    job: &Job,
    peer: Option<&Peer>,
    time: Duration,
) -> Result<AccessUnits> {
    let topic = job.access_units();
    let subscriber = Subscriber::start(rig, &topic).await.context("cannot subscribe to the access units")?;
    let camera = rig.camera().await?;
    let args = ["--packet-topic", &topic, "--sensor-name", &sensor(1), "-u", &camera.url()];
    let args = args.map(str::to_owned).to_vec();
    let mut source = Node::program(rig, &job.node("access-units"), &rig.executables.source, args).await?;
    let mut waiting = subscriber.received.clone();
    // `wait_for` returns a lock that keeps the subscriber from counting, so it is dropped at once.
    let has_unit =
        timeout(TIME_LIMIT, waiting.wait_for(|received| *received > 0)).await.is_ok_and(|unit| unit.is_ok());
    if !has_unit {
        source.program.check()?;
        bail!("the source published no access unit within {} s", TIME_LIMIT.as_secs());
    }
    let mut beside = match peer {
        Some(peer) => Some(peer.start(rig).await?),
        None => None,
    };
    sleep(WARM_UP.min(time)).await;
    if let Some(peer) = &mut beside {
        peer.begin()?;
    }
    let begin = Snapshot::take(rig, &source, &camera).await?;
    sleep(time).await;
    let end = Snapshot::take(rig, &source, &camera).await?;
    if let Some(peer) = &mut beside {
        peer.end()?;
    }
    source.program.check()?;
    // The last units may be on their way.
    camera.freeze();
    let frames_sent = camera.stats().frames_sent;
    let _ = timeout(TIME_LIMIT, waiting.wait_for(|received| *received >= frames_sent)).await;
    source.stop().await?;
    let peer = match beside {
        Some(peer) => Some(peer.stop().await?),
        None => None,
    };
    let frames = end.sent - begin.sent;
    Ok(AccessUnits {
        cpu_ms_per_frame: cpu_ms_per_frame(end.source.cpu.saturating_sub(begin.source.cpu), frames),
        peak_bytes: end.source.peak_bytes,
        redis_cpu_ms_per_frame: cpu_ms_per_frame(end.redis.saturating_sub(begin.redis), frames),
        frames_sent,
        units_received: subscriber.received(),
        peer,
    })
}
