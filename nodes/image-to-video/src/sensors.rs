//! The active sensors: one thread each, up to a bounded number.

use crate::counts::Dropped;
use crate::losses::{LossLog, report};
use crate::metrics;
use crate::worker::{Frame, Shared, Worker, label};
use anyhow::{Result, anyhow};
use msight_node::Publisher;
use msight_proto::{ImageData, LossSpan, Sample, VideoData};
use std::collections::HashMap;
use std::time::Duration;
use tracing::{debug, warn};

/// Most bytes of frames that wait for all encoders together; each sensor has an equal share.
const MAX_WAITING_BYTES: usize = 256 << 20;

/// A sensor that was idle for this long makes room for a new one.
const EVICTABLE: Duration = Duration::from_secs(5);

/// The sensors by name. Frames without a sensor name make one sensor.
pub(crate) struct Sensors {
    shared: Shared,
    workers: HashMap<Option<String>, Worker>,
    /// Workers that are ending.
    ending: Vec<Worker>,
    too_many: LossLog,
    /// A line has reported frames without a sensor name.
    is_unnamed_reported: bool,
}

impl Sensors {
    /// Without sensors.
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared,
            workers: HashMap::new(),
            ending: Vec::new(),
            too_many: LossLog::default(),
            is_unnamed_reported: false,
        }
    }

    /// Queues a frame for its sensor's thread, without waiting.
    ///
    /// # Errors
    /// A thread for a new sensor cannot be started.
    pub(crate) fn accept(&mut self, frame: Sample<ImageData>, out: &Publisher<VideoData>) -> Result<()> {
        self.shared.counts.frame();
        let name = frame.head.sensor_name.clone();
        if name.as_deref().is_none_or(str::is_empty) {
            self.count_unnamed();
        }
        let dropped_before = self.shared.cx.take_dropped(name.as_deref());
        let frame = Frame { sample: Box::new(frame), dropped_before };
        let Err(frame) = self.send(&name, frame) else { return Ok(()) };
        self.workers.retain(|_, worker| !worker.is_closed());
        self.ending.retain_mut(|worker| !worker.has_ended());
        if !self.has_room() {
            self.shared.counts.dropped(Dropped::Sensors, 1);
            let lost = LossSpan::one(frame.sample.head.capture_timestamp);
            let reason = format!("{} other sensors are active; raise --max-sensors", self.workers.len());
            self.too_many.add(lost, label(&name), reason);
            return Ok(());
        }
        let worker = Worker::start(name.clone(), &self.shared, out)?;
        self.workers.insert(name.clone(), worker);
        // A new thread takes frames, unless it panicked already.
        self.send(&name, frame).map_err(|_| anyhow!("the thread of sensor {name:?} ended at its start"))
    }

    fn count_unnamed(&mut self) {
        self.shared.counts.unnamed();
        if !std::mem::replace(&mut self.is_unnamed_reported, true) {
            warn!(
                "frames without a sensor name: all of them make one sensor, which mixes cameras; give each source a \
                 --sensor-name; reported once, counted in {}",
                metrics::UNNAMED.name
            );
        }
    }

    /// Lets all threads publish their segments, and waits until they have ended.
    pub(crate) async fn finish(&mut self) {
        self.workers.values().for_each(Worker::close);
        self.ending.extend(self.workers.drain().map(|(_, worker)| worker));
        // If the grace period ends first, the workers that have not ended stay here to be abandoned.
        while let Some(worker) = self.ending.last_mut() {
            worker.ended().await;
            self.ending.pop();
        }
    }

    /// Sends to the thread of a known sensor.
    ///
    /// # Errors
    /// The sensor has no thread that runs; the frame is returned.
    fn send(&mut self, name: &Option<String>, frame: Frame) -> Result<(), Frame> {
        let share = MAX_WAITING_BYTES / self.workers.len().max(1);
        let Some(worker) = self.workers.get_mut(name) else { return Err(frame) };
        worker.send(frame, share)
    }

    /// Whether there is room for another sensor. If there are too many, the one that was idle longest goes.
    fn has_room(&mut self) -> bool {
        if self.workers.len() < self.shared.settings.max_sensors {
            return true;
        }
        let quietest = self.workers.iter().min_by_key(|(_, worker)| worker.last);
        let Some(name) =
            quietest.filter(|(_, worker)| worker.last.elapsed() >= EVICTABLE).map(|(name, _)| name.clone())
        else {
            return false;
        };
        debug!(sensor = label(&name), "sensor evicted for another one");
        if let Some(worker) = self.workers.remove(&name) {
            worker.close();
            self.ending.push(worker);
        }
        true
    }
}

impl Drop for Sensors {
    /// Without [`Sensors::finish`], or after it was cancelled: the threads end without their segments.
    fn drop(&mut self) {
        // The queues first: a thread whose publishing is cancelled then finds an empty one.
        let lost: Vec<_> = (self.workers.values().chain(&self.ending))
            .map(|worker| (worker.sensor(), worker.abandon()))
            .filter(|(_, lost)| lost.count > 0)
            .collect();
        self.shared.abandoned.cancel();
        for (sensor, lost) in lost {
            self.shared.counts.dropped(Dropped::Stopped, lost.count);
            report(sensor, lost, "the node stopped before they were encoded");
        }
    }
}
