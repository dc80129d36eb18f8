//! The thread of one sensor: takes frames from its queue and publishes segments.

use crate::counts::{Counts, Dropped, Lost};
use crate::ending::Ending;
use crate::losses::{LossLog, report};
use crate::segmenter::EndedSegment;
use crate::sensor::Sensor;
use crate::settings::Settings;
use anyhow::Context as _;
use msight_node::queue::{BoundedQueue, Limits, Popped, PushError};
use msight_node::{Context, Publisher};
use msight_proto::{Image, ImageData, LossSpan, Receipt, Sample, Utc, VideoData, unix_now};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio_util::sync::CancellationToken;
use tracing::{Span, debug, error, info};

/// A frame on its way to a thread.
pub(crate) struct Frame {
    /// Boxed, because a closed queue returns it.
    pub(crate) sample: Box<Sample<ImageData>>,
    /// Frames of its sensor that the node's queue dropped before it.
    pub(crate) dropped_before: u64,
}

/// A sensor's name in log lines; sensors may have none.
pub(crate) fn label(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or("(none)")
}

/// Shared by all threads.
#[derive(Clone)]
pub(crate) struct Shared {
    /// The node around them.
    pub(crate) cx: Context,
    /// Their settings.
    pub(crate) settings: Settings,
    /// The node's metrics.
    pub(crate) counts: Arc<Counts>,
    /// Cancelled when the node is dropped: segments that wait are not published any more.
    pub(crate) abandoned: CancellationToken,
}

/// The node's end of a sensor's thread.
pub(crate) struct Worker {
    name: Option<String>,
    queue: Arc<BoundedQueue<Frame>>,
    counts: Arc<Counts>,
    /// Most frames that wait.
    max_frames: usize,
    too_slow: LossLog,
    /// Frames that this queue dropped, or the node's queue before these, and that the thread does not know of as yet.
    evicted: Arc<AtomicU64>,
    ended: oneshot::Receiver<()>,
    /// Time of the last frame.
    pub(crate) last: Instant,
}

impl Worker {
    /// Starts the thread of a sensor, which publishes on `out`.
    ///
    /// # Errors
    /// The thread or its JPEG decoder cannot be set up.
    pub(crate) fn start(
        name: Option<String>,
        shared: &Shared,
        out: &Publisher<VideoData>,
    ) -> anyhow::Result<Self> {
        let queue = Arc::new(BoundedQueue::new(limits(shared.settings.sensor_queue, usize::MAX)));
        let (alive, ended) = oneshot::channel();
        let evicted = Arc::new(AtomicU64::new(0));
        let sensor = Sensor::new(label(&name).to_owned(), shared.settings, Arc::clone(&shared.counts));
        let thread = Thread {
            name: name.clone(),
            evicted: Arc::clone(&evicted),
            sensor: sensor.context("cannot set up the JPEG decoder")?,
            shared: shared.clone(),
            out: out.clone(),
            queue: Arc::clone(&queue),
            runtime: Handle::current(),
            _alive: alive,
        };
        // Log lines name the node by its span.
        let span = Span::current();
        std::thread::Builder::new()
            .name("encoder".into())
            .spawn(move || span.in_scope(|| thread.run()))
            .context("cannot start a thread for a sensor; raise the system's limit on threads or memory")?;
        Ok(Self {
            name,
            queue,
            counts: Arc::clone(&shared.counts),
            max_frames: shared.settings.sensor_queue,
            too_slow: LossLog::default(),
            evicted,
            ended,
            last: Instant::now(),
        })
    }

    /// The sensor's name in log lines.
    pub(crate) fn sensor(&self) -> &str {
        label(&self.name)
    }

    /// Queues a frame without waiting. Frames that it pushes out of the queue of `max_bytes` are lost.
    ///
    /// # Errors
    /// The thread has ended; the frame is returned.
    pub(crate) fn send(&mut self, frame: Frame, max_bytes: usize) -> Result<(), Frame> {
        self.last = Instant::now();
        let bytes = frame.sample.body.image.as_ref().map_or(0, Image::memory);
        self.queue.set_limits(limits(self.max_frames, max_bytes));
        let evicted = self.queue.force_push(frame, bytes).map_err(PushError::into_item)?;
        if !evicted.is_empty() {
            let lost: LossSpan = evicted.iter().map(|frame| frame.sample.head.capture_timestamp).collect();
            self.counts.dropped(Dropped::TooSlow, lost.count);
            let dropped_before: u64 = evicted.iter().map(|frame| frame.dropped_before).sum();
            self.evicted.fetch_add(lost.count + dropped_before, Ordering::Relaxed);
            let reason = "frames come faster than the node encodes them and the bus accepts segments; if the bus is \
                          fine, lower --fps";
            self.too_slow.add(lost, self.sensor(), reason);
        }
        Ok(())
    }

    /// Lets the thread drain its queue, publish its open segment and end.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    /// Waits until the thread has ended. To be awaited once; cancel safe.
    pub(crate) async fn ended(&mut self) {
        // The thread sends nothing: the channel closes when it ends.
        let _ = (&mut self.ended).await;
    }

    /// Whether the thread has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.ended.try_recv(), Err(TryRecvError::Empty))
    }

    /// Whether the thread has ended or is ending.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Ends the thread without its queue. Returns the frames of the queue, which stay unacknowledged.
    pub(crate) fn abandon(&self) -> LossSpan {
        abandon(&self.queue)
    }
}

/// Closes a queue and takes its frames, without an acknowledgement. Returns which frames these are.
fn abandon(queue: &BoundedQueue<Frame>) -> LossSpan {
    queue.close();
    let frames = std::iter::from_fn(|| queue.try_pop());
    let lose = |frame: Frame| {
        frame.sample.receipt().iter().for_each(Receipt::abandon);
        frame.sample.head.capture_timestamp
    };
    frames.map(lose).collect()
}

/// A single frame may exceed its sensor's share of the memory.
fn limits(max_frames: usize, max_bytes: usize) -> Limits {
    Limits::new(max_frames, max_bytes).admitting_any_size()
}

/// The thread's own state.
struct Thread {
    name: Option<String>,
    evicted: Arc<AtomicU64>,
    sensor: Sensor,
    shared: Shared,
    out: Publisher<VideoData>,
    queue: Arc<BoundedQueue<Frame>>,
    runtime: Handle,
    _alive: oneshot::Sender<()>,
}

impl Drop for Thread {
    /// Also after a panic: frames in the queue would wait forever.
    fn drop(&mut self) {
        let lost = abandon(&self.queue);
        if lost.count > 0 {
            self.shared.counts.dropped(Dropped::Stopped, lost.count);
            report(label(&self.name), lost, "the sensor's thread failed");
        }
    }
}

impl Thread {
    fn run(mut self) {
        let mut ended = Vec::new();
        let mut idle = false;
        loop {
            let timeout = if idle { self.shared.settings.forget } else { self.sensor.idle_timeout() };
            match self.queue.blocking_pop_timeout(timeout) {
                Popped::Item(frame) => {
                    idle = false;
                    self.sensor.lost_before(self.evicted.swap(0, Ordering::Relaxed) + frame.dropped_before);
                    self.sensor.frame(*frame.sample, &mut ended);
                    ended.drain(..).for_each(|segment| self.publish(segment));
                }
                Popped::TimedOut if !idle => {
                    idle = true;
                    if let Some(segment) = self.sensor.idle() {
                        self.publish(segment);
                    }
                }
                Popped::TimedOut if self.queue.close_if_empty() => {
                    debug!(sensor = label(&self.name), "sensor forgotten");
                    return;
                }
                Popped::TimedOut => {}
                Popped::Closed => {
                    if let Some(segment) = self.sensor.finish(Ending::Stop) {
                        self.publish(segment);
                    }
                    return;
                }
            }
        }
    }

    /// Publishes a segment, and waits while the bus is behind. Meanwhile the sensor's queue fills, and drops frames.
    fn publish(&self, segment: EndedSegment) {
        self.shared.counts.segment(segment.ending);
        let (frames, ending) = (segment.frames.len(), segment.ending.as_str());
        // Without such losses the log line has no such fields.
        let some = |frames: u64| (frames > 0).then_some(frames);
        let (lost_before, lost_within) = (some(segment.lost_before()), some(segment.lost_within()));
        let duration_s = (segment.seconds() * 1e3).round() / 1e3;
        let capture_timestamps: Vec<f64> = segment.frames.iter().map(|frame| frame.unit.captured).collect();
        let (from, to) = (Utc(capture_timestamps[0]), Utc(capture_timestamps[frames - 1]));
        let lost = |why, bytes: Option<usize>, reason: &dyn Display| {
            self.shared.counts.lost(why);
            error!(sensor = label(&self.name), frames, bytes, %from, %to, "segment lost: {reason}");
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
        };
        let head = self.shared.cx.head(self.name.clone(), unix_now());
        let receipt = segment.receipt();
        let message = Sample::new(head, body).with_receipt(receipt.clone());
        // The message has its own copy of the video.
        drop(segment);
        let published = self.runtime.block_on(async {
            tokio::select! {
                published = self.out.publish(message) => Some(published),
                () = self.shared.abandoned.cancelled() => None,
            }
        });
        match published {
            Some(Ok(())) => info!(
                sensor = label(&self.name),
                frames,
                duration_s,
                bytes,
                %from,
                %to,
                lost_before,
                lost_within,
                reason = ending,
                "segment published"
            ),
            Some(Err(error)) => lost(Lost::Publish, Some(bytes), &format_args!("{error:#}")),
            None => {
                receipt.abandon();
                lost(Lost::Stopped, Some(bytes), &"the node stopped before it was published");
            }
        }
    }
}
