//! Access units on `--packet-topic`, as the camera encoded them.
//!
//! ```text
//! tracks of a session ─▶ gate ─▶ queue ─▶ publisher
//! (relay's task)         (one a track)    (a task of its own, which waits for the bus)
//! ```

use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use msight_media::{Admission, Codec, DecodingTimes, DropReason, KeyFrameGate, ParameterSets, Sps, h265};
use msight_node::metrics::{Counter, Metrics};
use msight_node::queue::{BoundedQueue, Limits};
use msight_node::{Context, Output, Publisher};
use msight_proto::{AccessUnitData, Sample};
use msight_rtp::{Format, Track};
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use crate::metrics;

/// The further output.
pub(crate) const OUTPUT: Output<AccessUnitData> = Output::new(
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

    /// The tracks of a new session.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn session(&self) -> Result<PacketSession> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|error| anyhow!("{error}")).context("no random session id")?;
        let session = format!("{:016x}", u64::from_be_bytes(id)).into();
        Ok(PacketSession {
            session,
            queue: self.queue.clone(),
            counts: self.counts.clone(),
            tracks: Vec::new(),
        })
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

/// The tracks of one session.
pub(crate) struct PacketSession {
    session: Arc<str>,
    queue: Arc<BoundedQueue<Waiting>>,
    counts: Counts,
    /// The kinds of the tracks so far.
    tracks: Vec<&'static str>,
}

impl PacketSession {
    /// The way of one track's units.
    pub(crate) fn track(&mut self, track: &Track) -> PacketSender {
        let codec = track.format.codec();
        let kind = codec.kind();
        self.tracks.push(kind.name());
        let number = self.tracks.iter().filter(|other| **other == kind.name()).count();
        let name = if number == 1 { kind.name().to_owned() } else { format!("{}{number}", kind.name()) };
        PacketSender {
            name,
            codec,
            rate: track.clock_rate,
            channels: channels(&track.format),
            session: self.session.clone(),
            sequence: 0,
            after_loss: false,
            gate: KeyFrameGate::new(),
            decoding: None,
            sets: None,
            size: None,
            queue: self.queue.clone(),
            units: self.counts.units[kind as usize].clone(),
            counts: self.counts.clone(),
        }
    }
}

/// Number of channels, where the description states it.
fn channels(format: &Format) -> Option<u32> {
    match format {
        Format::L16 { channels } => Some((*channels).into()),
        Format::Pcma | Format::Pcmu => Some(1),
        // The packets are stereo, whatever the sound is (RFC 7587, section 7).
        Format::Opus => Some(2),
        _ => None,
    }
}

/// One unit of a track.
pub(crate) struct TrackUnit<'a> {
    pub(crate) unit: &'a msight_rtp::Unit,
    /// Presentation time, in ticks of the track.
    pub(crate) pts: i64,
    /// Capture time, seconds since 1970.
    pub(crate) captured: f64,
}

/// Queues the units of one track that can be decoded.
pub(crate) struct PacketSender {
    name: String,
    codec: Codec,
    rate: u32,
    channels: Option<u32>,
    session: Arc<str>,
    sequence: u64,
    /// Units were left out since the last one.
    after_loss: bool,
    gate: KeyFrameGate,
    decoding: Option<DecodingTimes>,
    /// The parameter sets of the last unit.
    sets: Option<Arc<ParameterSets>>,
    /// Width and height of the pictures, where their parameter sets state them.
    size: Option<(u32, u32)>,
    queue: Arc<BoundedQueue<Waiting>>,
    units: Counter,
    counts: Counts,
}

impl PacketSender {
    /// Queues a unit. Never waits: when the queue is full, units up to the next key frame are dropped, because none of them
    /// could be decoded.
    pub(crate) fn offer(&mut self, track: &TrackUnit<'_>) {
        let TrackUnit { unit, pts, captured } = *track;
        let needs_sets = matches!(self.codec, Codec::H264 | Codec::H265);
        if unit.after_loss {
            self.after_loss |= self.sequence > 0;
            self.gate.close(DropReason::PacketLoss);
        }
        if let Admission::Drop { reason, .. } =
            self.gate.admit(unit.key && (unit.parameter_sets.is_some() || !needs_sets))
        {
            return self.counts.dropped(reason).inc();
        }
        let are_changed = self.sets != unit.parameter_sets;
        let has_new_sets = unit.key || are_changed;
        self.sets.clone_from(&unit.parameter_sets);
        if are_changed {
            self.apply_parameter_sets(&unit.data);
        }
        // Sound and metadata are decoded when they are presented.
        let dts = self.decoding.as_mut().map_or(pts, |decoding| decoding.next(pts));
        let sets = self.sets.as_ref().filter(|_| has_new_sets);
        let data = AccessUnitData {
            track: self.name.clone(),
            codec: self.codec.name().to_owned(),
            key: unit.key,
            pts,
            dts,
            rate: self.rate,
            sequence: self.sequence,
            session: self.session.to_string(),
            after_loss: self.after_loss,
            parameter_sets: sets.map(|sets| sets.all().to_vec()),
            size: unit
                .size
                .or(self.size)
                .filter(|_| has_new_sets)
                .map(|(width, height)| vec![height.into(), width.into()]),
            channels: self.channels,
            data: unit.data.clone(),
        };
        let bytes = data.data.len();
        if self.queue.try_push(Waiting { captured, unit: data }, bytes).is_err() {
            self.after_loss = true;
            self.gate.close(DropReason::DecoderSlow);
            return self.counts.dropped(DropReason::DecoderSlow).inc();
        }
        self.after_loss = false;
        self.sequence += 1;
        self.units.inc();
    }

    /// Reads the size and the reordering of the pictures from the parameter sets of a unit.
    fn apply_parameter_sets(&mut self, unit: &[u8]) {
        let Some(sets) = &self.sets else { return };
        let described = match self.codec {
            Codec::H264 => sets
                .h264_sps_of(unit)
                .and_then(|sps| Sps::parse(sps).ok())
                .map(|sps| ((sps.width, sps.height), sps.reorder_depth, sps.fps)),
            Codec::H265 => sets
                .all()
                .iter()
                .find_map(|set| h265::Sps::parse(set).ok())
                .map(|sps| ((sps.width, sps.height), sps.reorder_depth, sps.fps)),
            _ => None,
        };
        let Some((size, depth, fps)) = described else { return };
        self.size = Some(size);
        match &mut self.decoding {
            Some(decoding) => decoding.set_depth(depth),
            None => {
                self.decoding = NonZeroU32::new(self.rate).map(|rate| DecodingTimes::new(depth, rate, fps));
            }
        }
    }
}
