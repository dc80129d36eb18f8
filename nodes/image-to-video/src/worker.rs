//! The work of one sensor's thread: frames in, published segments out.

use crate::blocked_copies::BlockedCopies;
use crate::counts::{Counts, Dropped, Lost};
use crate::ending::Ending;
use crate::incoming::Incoming;
use crate::losses::report;
use crate::metrics;
use crate::segment::EndedSegment;
use crate::sensor::Sensor;
use crate::settings::Settings;
use anyhow::Context as _;
use msight_node::Context;
use msight_node::metrics::Metric;
use msight_node::sensors::{AfterTimeout, NotPublished, SensorLoss, SensorWork, ThreadPublisher, label};
use msight_proto::{LossSpan, Sample, Utc, VideoData, unix_now};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info};

/// Shared by all threads.
#[derive(Clone)]
pub(crate) struct Shared {
    /// The node around them.
    pub(crate) cx: Context,
    /// Their settings.
    pub(crate) settings: Settings,
    /// The node's metrics.
    pub(crate) counts: Arc<Counts>,
    /// The sensors of which nothing can be copied.
    pub(crate) blocked_copies: BlockedCopies,
}

/// Encodes the frames of one sensor.
pub(crate) struct Worker {
    name: Option<String>,
    sensor: Sensor,
    shared: Shared,
    out: ThreadPublisher<VideoData>,
    /// The open segment was published because no frame came.
    is_idle: bool,
    /// Why nothing can be copied, as the node's health has it.
    blocked_copy: Option<String>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.blocked_copy.is_some() {
            self.shared.blocked_copies.set(self.label(), None);
        }
    }
}

impl SensorWork for Worker {
    type In = Incoming;
    type Out = VideoData;
    type Shared = Shared;
    const THREAD: &'static str = "encoder";
    const UNNAMED: Metric = metrics::UNNAMED;

    fn open(name: Option<String>, shared: &Shared, out: ThreadPublisher<VideoData>) -> anyhow::Result<Self> {
        let sensor =
            Sensor::new(label(name.as_deref()).to_owned(), shared.settings, Arc::clone(&shared.counts))
                .context("cannot set up the JPEG decoder")?;
        Ok(Self { name, sensor, shared: shared.clone(), out, is_idle: false, blocked_copy: None })
    }

    fn sample(&mut self, frame: Sample<Incoming>, dropped_before: u64) {
        self.is_idle = false;
        self.sensor.lost_before(dropped_before);
        self.publish_ended(|sensor, ended| sensor.frame(frame, ended));
    }

    fn timeout(&self) -> Duration {
        if self.is_idle { self.shared.settings.forget } else { self.sensor.idle_timeout() }
    }

    fn timed_out(&mut self) -> AfterTimeout {
        if std::mem::replace(&mut self.is_idle, true) {
            return AfterTimeout::Forget;
        }
        self.publish_ended(Sensor::idle);
        AfterTimeout::Keep
    }

    fn finish(&mut self) {
        self.publish_ended(|sensor, ended| sensor.finish(Ending::Stop, ended));
    }

    fn count_unnamed(shared: &Shared) {
        shared.counts.unnamed();
    }

    fn count_lost(shared: &Shared, why: SensorLoss, frames: u64) {
        let why = match why {
            SensorLoss::TooSlow => Dropped::TooSlow,
            SensorLoss::TooManySensors { .. } => Dropped::Sensors,
            SensorLoss::Stopped | SensorLoss::Failed => Dropped::Stopped,
        };
        shared.counts.dropped(why, frames);
    }

    fn report_lost(sensor: &str, lost: LossSpan, why: SensorLoss) {
        let reason = match why {
            SensorLoss::TooSlow => {
                "frames come faster than the node encodes them and the bus accepts segments; if the bus is fine, lower \
                 --fps"
            }
            SensorLoss::TooManySensors { active } => {
                let reason = format!("{active} other sensors are active; raise --max-sensors");
                return report(sensor, lost, reason);
            }
            SensorLoss::Stopped => "the node stopped before they were encoded",
            SensorLoss::Failed => "the sensor's thread failed",
        };
        report(sensor, lost, reason);
    }
}

impl Worker {
    fn label(&self) -> &str {
        label(self.name.as_deref())
    }

    /// Publishes the segments that end with this work.
    fn publish_ended(&mut self, work: impl FnOnce(&mut Sensor, &mut Vec<EndedSegment>)) {
        let mut ended = Vec::new();
        work(&mut self.sensor, &mut ended);
        if self.sensor.blocked_copy() != self.blocked_copy.as_deref() {
            self.blocked_copy = self.sensor.blocked_copy().map(str::to_owned);
            self.shared.blocked_copies.set(self.label(), self.blocked_copy.as_deref());
        }
        ended.into_iter().for_each(|segment| self.publish(segment));
    }

    /// Publishes a segment, and waits while the bus is behind. Meanwhile the sensor's queue fills, and drops frames.
    fn publish(&self, segment: EndedSegment) {
        let copied = segment.is_copied();
        self.shared.counts.segment(segment.ending, copied);
        let (frames, ending) = (segment.frames.len(), segment.ending.as_str());
        // Without such losses the log line has no such fields.
        let some = |frames: u64| (frames > 0).then_some(frames);
        let (lost_before, lost_within) = (some(segment.lost_before()), some(segment.lost_within()));
        let hidden = some(segment.hidden() as u64);
        let duration_s = (segment.seconds() * 1e3).round() / 1e3;
        let capture_timestamps: Vec<f64> = segment.frames.iter().map(|frame| frame.captured).collect();
        let (from, to) = (Utc(capture_timestamps[0]), Utc(capture_timestamps[frames - 1]));
        let lost = |why, bytes: Option<usize>, reason: &dyn Display| {
            self.shared.counts.lost(why);
            error!(sensor = self.label(), frames, bytes, %from, %to, "segment lost: {reason}");
        };
        let video = match segment.to_mp4() {
            Ok(video) => video,
            Err(error) => return lost(Lost::Mux, None, &error),
        };
        let bytes = video.len();
        let body = VideoData {
            video: Some(video),
            detection_results: None,
            frame_ids: Some(segment.frames.iter().map(|frame| frame.message.head.frame_id).collect()),
            capture_timestamps: Some(capture_timestamps),
            video_file: None,
        };
        let head = self.shared.cx.head(self.name.clone(), unix_now());
        let message = Sample::new(head, body).with_receipt(segment.receipt());
        // The message has its own copy of the video.
        drop(segment);
        match self.out.publish(message) {
            Ok(()) => info!(
                sensor = self.label(),
                frames,
                duration_s,
                bytes,
                %from,
                %to,
                lost_before,
                lost_within,
                copied,
                hidden,
                reason = ending,
                "segment published"
            ),
            Err(NotPublished::Refused(error)) => lost(Lost::Publish, Some(bytes), &format_args!("{error:#}")),
            Err(NotPublished::Stopped) => {
                lost(Lost::Stopped, Some(bytes), &"the node stopped before it was published");
            }
        }
    }
}
