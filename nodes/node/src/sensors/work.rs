//! What a node does for one sensor.

use super::ThreadPublisher;
use crate::Accept;
use crate::metrics::Metric;
use anyhow::Result;
use msight_proto::{LossSpan, Message, Sample};
use std::time::Duration;

/// The work on the samples of one sensor, in a thread of its own.
pub trait SensorWork: Sized + Send + 'static {
    /// The type of the messages that the node takes, or an enum of several types.
    type In: Accept;
    /// The type of the messages that the node publishes.
    type Out: Message;
    /// What the sensors of a node have in common, such as settings and counters.
    type Shared: Clone + Send + 'static;

    /// The name of the threads, of at most 15 bytes.
    const THREAD: &'static str;

    /// The metric of samples without a sensor name.
    const UNNAMED: Metric;

    /// Begins the work on a sensor, before its first sample.
    ///
    /// # Errors
    /// What the work needs cannot be set up. The node skips the sample, and tries again with the next one.
    fn open(sensor: Option<String>, shared: &Self::Shared, out: ThreadPublisher<Self::Out>) -> Result<Self>;

    /// Works on a sample. `dropped_before` samples of the sensor were dropped by full queues since the one before.
    fn sample(&mut self, sample: Sample<Self::In>, dropped_before: u64);

    /// Time without a sample after which [`timed_out`](Self::timed_out) is called. It is asked for again after every call.
    fn timeout(&self) -> Duration;

    /// No sample has come for [`timeout`](Self::timeout).
    fn timed_out(&mut self) -> AfterTimeout;

    /// No more samples come: the node stops, or the sensor makes room for another one.
    fn finish(&mut self);

    /// Counts a sample without a sensor name.
    fn count_unnamed(shared: &Self::Shared);

    /// Counts samples that were lost before the work had them.
    fn count_lost(shared: &Self::Shared, why: SensorLoss, samples: u64);

    /// Reports such losses in a line of the log.
    fn report_lost(sensor: &str, lost: LossSpan, why: SensorLoss);
}

/// What happens to an idle sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterTimeout {
    /// It is kept.
    Keep,
    /// It is forgotten, unless a sample has come meanwhile.
    Forget,
}

/// Why samples were lost before a sensor's work had them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SensorLoss {
    /// The sensor's thread is too slow, and they were the oldest ones in its queue.
    TooSlow,
    /// So many other sensors are active, as many as there may be.
    TooManySensors {
        /// Number of active sensors.
        active: usize,
    },
    /// They still waited when the node stopped.
    Stopped,
    /// They still waited when the sensor's thread panicked.
    Failed,
}
