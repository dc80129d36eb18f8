//! Access units on `--packet-topic`, as the camera encoded them.
//!
//! ```text
//! tracks of a session ─▶ gate ─▶ queue ─▶ publisher
//! (relay's task)         (one a track)    (a task of its own, which waits for the bus)
//! ```

use std::sync::Arc;

use msight_media::{DropReason, Kind};
use msight_node::metrics::{Counter, Metrics};
use msight_node::queue::{BoundedQueue, Limits};
use msight_node::{Context, Output, Publisher};
use msight_proto::{AccessUnitData, Sample};
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
        PacketSender { queue: self.queue.clone(), counts: self.counts.clone() }
    }

    /// Publishes what still waits.
    pub(crate) async fn close(self) {
        self.queue.close();
        let _ = self.publishing.await;
    }
}

async fn publish(queue: Arc<BoundedQueue<Waiting>>, publisher: Publisher<AccessUnitData>, cx: Context) {
    while let Some(Waiting { captured, unit }) = queue.pop().await {
        let head = cx.head(cx.sensor_name().map(str::to_owned), captured);
        if let Err(error) = publisher.publish(Sample::new(head, unit)).await {
            error!("access unit lost: {error:#}");
        }
    }
}

/// The metrics of access units.
#[derive(Clone)]
pub(crate) struct Counts {
    units: [Counter; 3],
    dropped: [Counter; 3],
}

impl Counts {
    pub(crate) fn new(registry: &Metrics) -> Self {
        let dropped = |reason| registry.counter_with(&metrics::UNITS_DROPPED, &[reason]);
        Self {
            units: ["video", "audio", "metadata"].map(|kind| registry.counter_with(&metrics::UNITS, &[kind])),
            dropped: [dropped("no_key_frame"), dropped("packet_loss"), dropped("queue_full")],
        }
    }

    fn dropped(&self, reason: DropReason) -> &Counter {
        &self.dropped[match reason {
            DropReason::NoKeyFrameYet => 0,
            DropReason::DecoderSlow => 2,
            _ => 1,
        }]
    }
}

/// Queues messages for the publisher.
#[derive(Clone)]
pub(crate) struct PacketSender {
    queue: Arc<BoundedQueue<Waiting>>,
    counts: Counts,
}

impl PacketSender {
    /// Queues a message. Never waits: returns whether the queue had room.
    pub(crate) fn offer(&self, kind: Kind, captured: f64, unit: AccessUnitData) -> bool {
        let bytes = unit.data.len();
        let is_queued = self.queue.try_push(Waiting { captured, unit }, bytes).is_ok();
        if is_queued {
            self.counts.units[kind as usize].inc();
        } else {
            self.dropped(DropReason::DecoderSlow);
        }
        is_queued
    }

    /// Counts a unit that is left out.
    pub(crate) fn dropped(&self, reason: DropReason) {
        self.counts.dropped(reason).inc();
    }
}
