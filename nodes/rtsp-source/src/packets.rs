//! Access units on `--packet-topic`, as the camera encoded them.
//!
//! ```text
//! tracks of a session ─▶ gate ─▶ queue ─▶ publisher
//! (relay's task)         (one a track)    (a task of its own, which waits for the bus)
//! ```

use std::sync::Arc;

use msight_media::{DropReason, Kind};
use msight_node::logs::{Repeated, RepeatedSum};
use msight_node::metrics::{Counter, Metrics};
use msight_node::queue::{BoundedQueue, Limits, PushError};
use msight_node::{Context, Output, Publisher};
use msight_proto::{AccessUnitData, LossSpan, Sample, Utc};
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use crate::metrics;

/// The further output, with the access units.
pub const OUTPUT: Output<AccessUnitData> = Output::new(
    "--packet-topic",
    "Topic to publish what the camera encodes to, undecoded: video, sound and metadata. Without -pt, nothing is decoded",
)
.waiting();

/// As the queue of the decoding thread: more than ten seconds of a 4K camera.
const LIMITS: Limits = Limits::new(1000, 32 << 20);

/// A unit that waits for the publisher.
struct Waiting {
    captured: f64,
    unit: AccessUnitData,
}

/// Publishes the units of all sessions, one after the other.
pub(crate) struct Packets {
    queue: Arc<BoundedQueue<Waiting>>,
    counts: Counts,
    publishing: AbortOnDropHandle<()>,
}

impl Packets {
    /// Starts publishing; `None` without the flag.
    pub(crate) fn start(cx: &Context) -> Option<Self> {
        let publisher = cx.publisher(&OUTPUT)?;
        let queue = Arc::new(BoundedQueue::new(LIMITS));
        let publishing = publish(queue.clone(), publisher, cx.clone());
        let publishing = AbortOnDropHandle::new(tokio::spawn(publishing));
        Some(Self { queue, counts: Counts::new(cx.metrics()), publishing })
    }

    /// The way of a track's messages.
    pub(crate) fn sender(&self) -> PacketSender {
        PacketSender { queue: self.queue.clone(), counts: self.counts.clone(), lost: Default::default() }
    }

    /// Publishes what still waits.
    pub(crate) async fn close(mut self) {
        self.queue.close();
        let _ = (&mut self.publishing).await;
    }
}

/// Counts what was not published in time.
impl Drop for Packets {
    fn drop(&mut self) {
        let mut times = Vec::new();
        let units = self.queue.abandon_with(|waiting| times.push(waiting.captured));
        self.counts.dropped(Left::Stopped).inc_by(units as u64);
        let LossSpan { from, to, .. } = times.into_iter().collect();
        if units > 0 {
            error!(
                units,
                from = %Utc(from),
                to = %Utc(to),
                "access units lost: the source has stopped or lost its camera while the bus was slow or away"
            );
        }
    }
}

async fn publish(queue: Arc<BoundedQueue<Waiting>>, publisher: Publisher<AccessUnitData>, cx: Context) {
    let lost = Repeated::new();
    while let Some(Waiting { captured, unit }) = queue.pop().await {
        let head = cx.head(cx.sensor_name().map(str::to_owned), captured);
        if let Err(error) = publisher.publish(Sample::new(head, unit)).await {
            lost.count(move |units| error!(units, "access units lost: {error:#}"));
        }
    }
}

/// The metrics of access units.
#[derive(Clone)]
pub(crate) struct Counts {
    units: [Counter; 3],
    dropped: [Counter; 4],
}

/// Why a unit is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// No key frame has come yet.
    NoKeyFrame,
    /// A unit that it refers to was lost.
    PacketLoss,
    /// The queue was full.
    QueueFull,
    /// The source was stopped first.
    Stopped,
}

impl Left {
    /// All of them, in the order of their declaration.
    const ALL: [Self; 4] = [Self::NoKeyFrame, Self::PacketLoss, Self::QueueFull, Self::Stopped];

    /// The label of the reason in metrics and logs.
    fn label(self) -> &'static str {
        match self {
            Self::NoKeyFrame => "no_key_frame",
            Self::PacketLoss => "packet_loss",
            Self::QueueFull => "queue_full",
            Self::Stopped => "stopped",
        }
    }
}

impl From<DropReason> for Left {
    fn from(reason: DropReason) -> Self {
        match reason {
            DropReason::NoKeyFrameYet => Self::NoKeyFrame,
            DropReason::PacketLoss | DropReason::DecodeError => Self::PacketLoss,
            DropReason::DecoderSlow => Self::QueueFull,
        }
    }
}

impl Counts {
    pub(crate) fn new(registry: &Metrics) -> Self {
        let dropped = |reason| registry.counter_with(&metrics::UNITS_DROPPED, &[reason]);
        Self {
            units: ["video", "audio", "metadata"].map(|kind| registry.counter_with(&metrics::UNITS, &[kind])),
            dropped: Left::ALL.map(|reason| dropped(reason.label())),
        }
    }

    fn dropped(&self, reason: Left) -> &Counter {
        &self.dropped[reason as usize]
    }
}

/// Queues messages for the publisher.
#[derive(Clone)]
pub(crate) struct PacketSender {
    queue: Arc<BoundedQueue<Waiting>>,
    counts: Counts,
    lost: Arc<[RepeatedSum<LossSpan>; Left::ALL.len()]>,
}

impl PacketSender {
    /// Queues a message. Never waits: returns whether the queue had room.
    pub(crate) fn offer(&self, kind: Kind, captured: f64, unit: AccessUnitData) -> bool {
        let bytes = unit.data.len();
        match self.queue.try_push(Waiting { captured, unit }, bytes) {
            Ok(()) => {
                self.counts.units[kind as usize].inc();
                return true;
            }
            Err(PushError::Closed(_)) => self.drop(Left::Stopped, captured),
            Err(PushError::Full(_) | PushError::Oversized(_)) => self.drop(Left::QueueFull, captured),
        }
        false
    }

    /// Counts and reports a unit that is left out. Before the first key frame nothing is lost.
    pub(crate) fn drop(&self, reason: Left, captured: f64) {
        self.counts.dropped(reason).inc();
        if reason == Left::NoKeyFrame {
            return;
        }
        self.lost[reason as usize].add(
            |lost| *lost = lost.merge(LossSpan::one(captured)),
            move |LossSpan { count, from, to }| {
                let (from, to, reason) = (Utc(from), Utc(to), reason.label());
                error!(units = count, %from, %to, reason, "access units lost, up to the next key frame");
            },
        );
    }
}
