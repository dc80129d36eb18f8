//! Counts the frames at each step, beginning with the cameras.

use std::time::{Duration, Instant};

use anyhow::Result;

use msight_camera::Camera;
use msight_contract::traffic;
use msight_node::Entry;
use msight_supervise::scrape::{Counters, Lost};

/// The time limit for programs to start and for frames to arrive.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(30);

/// CPU milliseconds per frame.
pub(super) fn cpu_ms_per_frame(cpu: Duration, frames: u64) -> f64 {
    cpu.as_secs_f64() * 1e3 / frames.max(1) as f64
}

/// The counters of frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Frames {
    /// Sent by the cameras.
    pub(super) sent: u64,
    /// Received by the sources.
    pub(super) received: u64,
    pub(super) published: u64,
    /// Received by the aggregator.
    pub(super) arrived: u64,
    pub(super) encoded: u64,
    /// Skipped on purpose, such as frames of a camera that is faster than --fps.
    pub(super) left_out: Vec<Lost>,
    pub(super) lost: Vec<Lost>,
}

impl Frames {
    /// Frames that the cameras have sent.
    pub(super) fn of(cameras: &[Camera]) -> Self {
        let mut frames = Self::default();
        for (number, camera) in cameras.iter().enumerate() {
            let stats = camera.stats();
            frames.sent += stats.frames_sent;
            if stats.frames_dropped > 0 {
                let (by, counter) = (format!("camera-{}", number + 1), "client_too_slow".to_owned());
                frames.lost.push(Lost { by, counter, reason: None, count: stats.frames_dropped });
            }
        }
        frames
    }

    /// Adds the counters of the source with this name.
    pub(super) fn add_source(&mut self, name: &str, counters: &Counters) {
        self.received += counters.total(&msight_rtsp_source::metrics::RECEIVED);
        self.published += counters.total(&traffic::PUBLISHED);
        self.add_skipped_and_lost(name, counters, &msight_rtsp_source::ENTRY);
    }

    /// Adds the counters of the aggregator.
    pub(super) fn add_aggregator(&mut self, name: &str, counters: &Counters) {
        self.arrived = counters.total(&traffic::RECEIVED);
        self.encoded = counters.total(&msight_image_to_video::metrics::ENCODED);
        self.add_skipped_and_lost(name, counters, &msight_image_to_video::ENTRY);
    }

    /// Adds the counters of the pusher.
    pub(super) fn add_pusher(&mut self, name: &str, counters: &Counters) {
        self.lost.extend(counters.lost(name, &msight_s3_pusher::ENTRY.describe().metrics));
    }

    fn add_skipped_and_lost(&mut self, name: &str, counters: &Counters, node: &Entry) {
        let declared = node.describe().metrics;
        self.left_out.extend(counters.skipped(name, &declared));
        self.lost.extend(counters.lost(name, &declared));
    }

    /// The difference since `begin`: frames that were lost before would otherwise count as in progress.
    pub(super) fn since(&self, begin: &Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(begin.sent),
            received: self.received.saturating_sub(begin.received),
            published: self.published.saturating_sub(begin.published),
            arrived: self.arrived.saturating_sub(begin.arrived),
            encoded: self.encoded.saturating_sub(begin.encoded),
            left_out: Lost::since(&self.left_out, &begin.left_out),
            lost: Lost::since(&self.lost, &begin.lost),
        }
    }

    /// Frames that were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost.iter().map(|lost| lost.count).sum()
    }

    /// Frames that were skipped on purpose.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.iter().map(|left_out| left_out.count).sum()
    }

    /// Frames that were sent and are not encoded yet.
    pub(super) fn in_progress(&self) -> u64 {
        self.sent.saturating_sub(self.encoded + self.left_out())
    }

    /// The final counters of frozen cameras, when all frames in progress have arrived.
    pub(super) async fn settled(now: impl AsyncFn() -> Result<Self>) -> Result<Self> {
        let begun = Instant::now();
        let mut before = None;
        loop {
            let frames = now().await?;
            // Dropped frames never arrive: stop when the counters no longer change.
            let is_still = before.as_ref() == Some(&frames) && begun.elapsed() > Duration::from_secs(2);
            if frames.in_progress() == 0 || is_still || begun.elapsed() > TIME_LIMIT {
                return Ok(frames);
            }
            before = Some(frames);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
