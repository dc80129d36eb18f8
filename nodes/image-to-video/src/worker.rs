//! The thread of one sensor: takes its frames from a queue, and publishes its segments.

use crate::counts::{Counts, Dropped, Lost};
use crate::ending::Ending;
use crate::queue::{Closed, Popped, Queue};
use crate::recording::Segment;
use crate::sensor::Sensor;
use crate::settings::Settings;
use anyhow::Context as _;
use msight_node::{Context, Publisher};
use msight_proto::{Image, ImageData, Sample, VideoData, unix_now};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio_util::sync::CancellationToken;
use tracing::{Span, debug, error, info};

/// A frame on its way to a thread; in a box, because a queue that is closed hands it back.
pub(crate) type Frame = Box<Sample<ImageData>>;

/// How log lines name a sensor, which may have no name.
pub(crate) fn label(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or("(none)")
}

/// What all threads share.
#[derive(Clone)]
pub(crate) struct Shared {
    /// The node around them.
    pub(crate) cx: Context,
    /// How they work.
    pub(crate) settings: Settings,
    /// What they count.
    pub(crate) counts: Arc<Counts>,
    /// Cancelled when the node is gone: what still waits is not published any more.
    pub(crate) abandoned: CancellationToken,
}

/// The node's end of a sensor's thread.
pub(crate) struct Worker {
    queue: Arc<Queue<Frame>>,
    /// Frames that may wait.
    max_frames: usize,
    ended: oneshot::Receiver<()>,
    /// When the last frame came.
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
        let queue = Arc::new(Queue::new());
        let (alive, ended) = oneshot::channel();
        let sensor = Sensor::new(label(&name).to_owned(), shared.settings, Arc::clone(&shared.counts));
        let thread = Thread {
            name,
            sensor: sensor.context("cannot set up a decoder")?,
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
            .context(
                "cannot start a thread for a sensor; the system's limit on threads or memory is reached",
            )?;
        Ok(Self { queue, max_frames: shared.settings.sensor_queue, ended, last: Instant::now() })
    }

    /// Hands a frame over; never waits. Returns how many older ones it pushed out of a queue of `max_bytes`.
    ///
    /// # Errors
    /// The thread has ended; the frame is handed back.
    pub(crate) fn send(&mut self, frame: Frame, max_bytes: usize) -> Result<usize, Closed<Frame>> {
        self.last = Instant::now();
        let bytes = frame.body.image.as_ref().map_or(0, Image::memory);
        self.queue.push(frame, bytes, self.max_frames, max_bytes)
    }

    /// Lets the thread work off what waits, publish its open segment and end.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    /// Waits until the thread has ended, once. Nothing is lost when the future is dropped before.
    pub(crate) async fn ended(&mut self) {
        // The other end is never sent to: it is gone when the thread is.
        let _ = (&mut self.ended).await;
    }

    /// Whether the thread has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.ended.try_recv(), Err(TryRecvError::Empty))
    }

    /// Whether the thread has ended or is about to.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Ends the thread; what waits is lost. Returns how many frames these were.
    pub(crate) fn abandon(&self) -> usize {
        self.queue.abandon()
    }
}

/// What the thread owns.
struct Thread {
    name: Option<String>,
    sensor: Sensor,
    shared: Shared,
    out: Publisher<VideoData>,
    queue: Arc<Queue<Frame>>,
    runtime: Handle,
    _alive: oneshot::Sender<()>,
}

impl Drop for Thread {
    /// Also after a panic: frames that wait for a thread that is gone would wait for ever.
    fn drop(&mut self) {
        let lost = self.queue.abandon();
        if lost > 0 {
            self.shared.counts.dropped(Dropped::Stopped, lost);
            error!(sensor = label(&self.name), frames = lost, "frames lost: the sensor's thread has failed");
        }
    }
}

impl Thread {
    fn run(mut self) {
        let mut ended = Vec::new();
        let mut idle = false;
        loop {
            let patience = if idle { self.shared.settings.forget } else { self.sensor.patience() };
            match self.queue.pop(patience) {
                Popped::Item(frame) => {
                    idle = false;
                    self.sensor.frame(*frame, &mut ended);
                    ended.drain(..).for_each(|segment| self.publish(segment));
                }
                Popped::Quiet if !idle => {
                    idle = true;
                    if let Some(segment) = self.sensor.quiet() {
                        self.publish(segment);
                    }
                }
                Popped::Quiet if self.queue.close_if_empty() => {
                    debug!(sensor = label(&self.name), "forgotten");
                    return;
                }
                Popped::Quiet => {}
                Popped::Closed => {
                    if let Some(segment) = self.sensor.finish(Ending::Stop) {
                        self.publish(segment);
                    }
                    return;
                }
            }
        }
    }

    /// Publishes a segment, and waits while the bus is behind: meanwhile the sensor's queue decides what is
    /// dropped.
    fn publish(&self, segment: Segment) {
        self.shared.counts.segment(segment.ending);
        let (frames, seconds, ending) = (segment.units.len(), segment.seconds(), segment.ending.as_str());
        let capture_timestamps: Vec<f64> = segment.units.iter().map(|unit| unit.time).collect();
        let (from, to) = (capture_timestamps[0], capture_timestamps[frames - 1]);
        let lost = |why, bytes: Option<usize>, reason: &dyn Display| {
            self.shared.counts.lost(why);
            error!(sensor = label(&self.name), frames, bytes, from, to, "segment lost: {reason}");
        };
        let video = match segment.to_mp4() {
            Ok(video) => video,
            Err(error) => return lost(Lost::Mux, None, &error),
        };
        let bytes = video.len();
        let body = VideoData {
            video: Some(video),
            detection_results: None,
            frame_ids: Some(segment.units.iter().map(|unit| unit.frame.head.frame_id).collect()),
            capture_timestamps: Some(capture_timestamps),
        };
        let head = self.shared.cx.head(self.name.clone(), unix_now());
        let message = Sample::new(head, body).with_receipt(segment.receipt());
        // The message waits with its own copy of the video.
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
                seconds,
                bytes,
                from,
                to,
                reason = ending,
                "segment"
            ),
            Some(Err(error)) => lost(Lost::Publish, Some(bytes), &format_args!("{error:#}")),
            None => lost(Lost::Stopped, Some(bytes), &"the node was stopped before it was published"),
        }
    }
}
