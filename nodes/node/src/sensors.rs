//! The sensors of one topic, kept apart: a thread with a bounded queue for each, up to a bounded number of sensors.
//!
//! A node that works on the samples of each sensor by themselves, such as one that cuts segments, implements [`SensorWork`]
//! and hands all samples to [`SensorThreads`]. Blocking work, such as encoding or writing files, is at its place there.

mod publisher;
mod thread;
mod work;

pub use self::publisher::{NotPublished, ThreadPublisher};
pub use self::work::{AfterTimeout, SensorLoss, SensorWork};

use self::thread::{Queued, Thread};
use crate::logs::RepeatedSum;
use crate::{Accept as _, Context, Publisher};
use anyhow::{Result, anyhow};
use msight_proto::{LossSpan, Sample};
use std::collections::HashMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Most bytes of samples that wait for all threads together; each sensor has an equal share.
const MAX_WAITING_BYTES: usize = 256 << 20;

/// A sensor that was idle for this long makes room for a new one.
const EVICTABLE: Duration = Duration::from_secs(5);

/// A sensor's name in log lines; sensors may have none.
#[must_use]
pub fn label(name: Option<&str>) -> &str {
    name.unwrap_or("(none)")
}

/// How many sensors there may be, and how many samples of each may wait.
#[derive(Debug, Clone, Copy)]
pub struct SensorLimits {
    /// Most sensors at a time.
    pub sensors: usize,
    /// Most samples of a sensor that wait for its thread.
    pub samples: usize,
}

/// The sensors by name. Samples without a sensor name make one sensor.
pub struct SensorThreads<W: SensorWork> {
    cx: Context,
    limits: SensorLimits,
    shared: W::Shared,
    /// Cancelled when the node is dropped: what the threads still publish is lost.
    abandoned: CancellationToken,
    threads: HashMap<Option<String>, Thread<W>>,
    /// Threads that are ending.
    ending: Vec<Thread<W>>,
    too_many: RepeatedSum<LossSpan>,
    /// A line has reported samples without a sensor name.
    is_unnamed_reported: bool,
}

impl<W: SensorWork> SensorThreads<W> {
    /// Without sensors.
    pub fn new(cx: &Context, limits: SensorLimits, shared: W::Shared) -> Self {
        Self {
            cx: cx.clone(),
            limits,
            shared,
            abandoned: CancellationToken::new(),
            threads: HashMap::new(),
            ending: Vec::new(),
            too_many: RepeatedSum::new(),
            is_unnamed_reported: false,
        }
    }

    /// Queues a sample for its sensor's thread, without waiting. What the thread publishes goes to `out`.
    ///
    /// # Errors
    /// A thread for a new sensor cannot be started.
    pub fn accept(&mut self, sample: Sample<W::In>, out: &Publisher<W::Out>) -> Result<()> {
        let name = sample.head.sensor_name.clone();
        if name.as_deref().is_none_or(str::is_empty) {
            self.count_unnamed();
        }
        let dropped_before = self.cx.take_dropped(name.as_deref());
        let bytes = sample.body.memory();
        let queued = Queued { sample: Box::new(sample), dropped_before };
        let Err(queued) = self.send(&name, queued, bytes) else { return Ok(()) };
        self.threads.retain(|_, thread| !thread.is_closed());
        self.ending.retain_mut(|thread| !thread.has_ended());
        if !self.has_room() {
            self.drop_for_want_of_room(&name, &queued);
            return Ok(());
        }
        let out = ThreadPublisher::new(out.clone(), self.abandoned.clone());
        let thread = Thread::start(name.clone(), self.limits.samples, &self.shared, out)?;
        self.threads.insert(name.clone(), thread);
        // A new thread takes samples, unless it panicked already.
        self.send(&name, queued, bytes)
            .map_err(|_| anyhow!("the thread of sensor {name:?} ended at its start"))
    }

    /// Lets all threads finish their work, and waits until they have ended.
    pub async fn finish(&mut self) {
        self.threads.values().for_each(Thread::close);
        self.ending.extend(self.threads.drain().map(|(_, thread)| thread));
        // If the grace period ends first, the threads that have not ended stay here to be abandoned.
        while let Some(thread) = self.ending.last_mut() {
            thread.ended().await;
            self.ending.pop();
        }
    }

    fn count_unnamed(&mut self) {
        W::count_unnamed(&self.shared);
        if !std::mem::replace(&mut self.is_unnamed_reported, true) {
            warn!(
                "frames without a sensor name: all of them make one sensor, which mixes cameras; give each source a \
                 --sensor-name; reported once, counted in {}",
                W::UNNAMED.name
            );
        }
    }

    fn drop_for_want_of_room(&self, name: &Option<String>, queued: &Queued<W::In>) {
        let why = SensorLoss::TooManySensors { active: self.threads.len() };
        W::count_lost(&self.shared, why, 1);
        let (sensor, lost) = (label(name.as_deref()).to_owned(), LossSpan::one(queued.captured()));
        self.too_many.add(|sum| *sum = sum.merge(lost), move |lost| W::report_lost(&sensor, lost, why));
    }

    /// Sends to the thread of a known sensor.
    ///
    /// # Errors
    /// The sensor has no thread that runs; the sample is returned.
    fn send(
        &mut self,
        name: &Option<String>,
        queued: Queued<W::In>,
        bytes: usize,
    ) -> Result<(), Queued<W::In>> {
        let share = MAX_WAITING_BYTES / self.threads.len().max(1);
        let Some(thread) = self.threads.get_mut(name) else { return Err(queued) };
        thread.send(queued, bytes, share)
    }

    /// Whether there is room for another sensor. If there are too many, the one that was idle longest goes.
    fn has_room(&mut self) -> bool {
        if self.threads.len() < self.limits.sensors {
            return true;
        }
        let quietest = self.threads.iter().min_by_key(|(_, thread)| thread.last);
        let Some(name) =
            quietest.filter(|(_, thread)| thread.last.elapsed() >= EVICTABLE).map(|(name, _)| name.clone())
        else {
            return false;
        };
        debug!(sensor = label(name.as_deref()), "sensor evicted for another one");
        if let Some(thread) = self.threads.remove(&name) {
            thread.close();
            self.ending.push(thread);
        }
        true
    }
}

impl<W: SensorWork> Drop for SensorThreads<W> {
    /// Without [`SensorThreads::finish`], or after it was cancelled: the threads end without the rest of their work.
    fn drop(&mut self) {
        // The queues first: a thread whose publishing is cancelled then finds an empty one.
        let lost: Vec<_> = (self.threads.values().chain(&self.ending))
            .map(|thread| (thread.sensor(), thread.abandon()))
            .filter(|(_, lost)| lost.count > 0)
            .collect();
        self.abandoned.cancel();
        for (sensor, lost) in lost {
            W::count_lost(&self.shared, SensorLoss::Stopped, lost.count);
            W::report_lost(sensor, lost, SensorLoss::Stopped);
        }
    }
}
