//! The files of segments, and what is reported while they cannot be written.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use msight_node::health::Health;
use msight_spool::Spool;
use tracing::{error, info};

use crate::container::Container;
use crate::origin::Origin;
use crate::sink::Sink;

/// Bytes with which a failed disk is tried.
const PROBE: usize = 256 << 10;

/// Makes the files of segments. Clones share their state.
#[derive(Clone)]
pub(crate) struct Files {
    spool: Option<Spool>,
    container: Container,
    health: Health,
    /// The disk failed at the last attempt.
    is_failing: Arc<AtomicBool>,
    /// It has failed since the latest probe.
    has_failed: Arc<AtomicBool>,
    /// A segment waits unfinished in the folder.
    has_unfinished: Arc<AtomicBool>,
}

impl Files {
    /// `spool`: the folder of `--spool`.
    pub(crate) fn new(spool: Option<Spool>, container: Container, health: Health) -> Self {
        Self {
            spool,
            container,
            health,
            is_failing: Arc::default(),
            has_failed: Arc::default(),
            has_unfinished: Arc::default(),
        }
    }

    /// The folder of `--spool`.
    pub(crate) fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// A file for a new segment.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn create(&self, origin: &Origin) -> io::Result<Sink> {
        match &self.spool {
            None => Ok(Sink::memory()),
            Some(spool) => {
                let sensor = origin.sensor.as_deref();
                spool.create(sensor, origin.start, self.container.extension()).map(Sink::Spool)
            }
        }
    }

    /// The disk failed. The node is blocked until it works again.
    pub(crate) fn failed(&self, reason: &str) {
        let Some(spool) = &self.spool else { return };
        self.has_failed.store(true, Ordering::Relaxed);
        let folder = spool.root().display();
        let text = format!("cannot write to the spool folder {folder}: {reason}");
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            error!("{text}; video is lost until it can be written again; free or mount its disk");
        }
        self.health.set_blocked(Some(text));
    }

    /// The disk took something.
    pub(crate) fn worked(&self) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            info!("recording again: the spool folder can be written");
            self.health.set_blocked(None);
        }
    }

    /// Tries a failed disk again while no sensor writes to it. Blocks.
    pub(crate) fn probe(&self) {
        let has_failed = self.has_failed.swap(false, Ordering::Relaxed);
        let Some(spool) = self.spool.as_ref().filter(|_| self.is_failing.load(Ordering::Relaxed)) else {
            return;
        };
        if !has_failed && spool.probe(PROBE).is_ok() {
            self.worked();
        }
    }

    /// A segment stays unfinished in the folder.
    pub(crate) fn leave_unfinished(&self) {
        self.has_unfinished.store(true, Ordering::Relaxed);
    }

    /// Whether unfinished segments may be finished now; the answer is given once.
    pub(crate) fn take_unfinished(&self) -> bool {
        !self.is_failing.load(Ordering::Relaxed) && self.has_unfinished.swap(false, Ordering::Relaxed)
    }
}
