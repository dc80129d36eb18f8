//! When a session last gave something that can be used.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use msight_media::Kind;

/// When a session last gave a unit: for the time-out between two.
pub(crate) struct Progress {
    began: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
    /// Whether only units of video count: sound and metadata do not show that the picture comes.
    needs_video: std::sync::atomic::AtomicBool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), needs_video: false.into() }
    }

    /// The session has a track of video.
    pub(crate) fn require_video(&self) {
        self.needs_video.store(true, Ordering::Relaxed);
    }

    /// A unit of this kind came.
    pub(crate) fn unit(&self, kind: Kind) {
        if kind == Kind::Video || !self.needs_video.load(Ordering::Relaxed) {
            self.restart();
        }
    }

    /// Counts from now on.
    pub(crate) fn restart(&self) {
        self.last.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// When it last happened.
    pub(crate) fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}
