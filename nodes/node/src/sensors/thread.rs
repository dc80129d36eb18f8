//! The thread of one sensor: takes samples from its queue.

use super::{AfterTimeout, SensorLoss, SensorWork, ThreadPublisher, label};
use crate::logs::RepeatedSum;
use crate::queue::{BoundedQueue, Limits, Popped, PushError};
use anyhow::{Context as _, Result};
use msight_proto::{LossSpan, Receipt, Sample};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tracing::{Span, debug};

/// A sample on its way to a thread.
pub(super) struct Queued<M> {
    /// Boxed, because a closed queue returns it.
    pub(super) sample: Box<Sample<M>>,
    /// Samples of its sensor that the node's queue dropped before it.
    pub(super) dropped_before: u64,
}

impl<M> Queued<M> {
    pub(super) fn captured(&self) -> f64 {
        self.sample.head.capture_timestamp
    }
}

/// The node's end of a sensor's thread.
pub(super) struct Thread<W: SensorWork> {
    name: Option<String>,
    queue: Arc<BoundedQueue<Queued<W::In>>>,
    shared: W::Shared,
    max_samples: usize,
    too_slow: RepeatedSum<LossSpan>,
    /// Samples that this queue dropped, or the node's queue before these, and that the thread does not know of as yet.
    evicted: Arc<AtomicU64>,
    ended: oneshot::Receiver<()>,
    /// Time of the last sample.
    pub(super) last: Instant,
}

impl<W: SensorWork> Thread<W> {
    /// Starts the thread of a sensor.
    ///
    /// # Errors
    /// The thread or its work cannot be set up.
    pub(super) fn start(
        name: Option<String>,
        max_samples: usize,
        shared: &W::Shared,
        out: ThreadPublisher<W::Out>,
    ) -> Result<Self> {
        let queue = Arc::new(BoundedQueue::new(limits(max_samples, usize::MAX)));
        let (alive, ended) = oneshot::channel();
        let evicted = Arc::new(AtomicU64::new(0));
        let running = Running::<W> {
            name: name.clone(),
            work: W::open(name.clone(), shared, out)?,
            shared: shared.clone(),
            queue: Arc::clone(&queue),
            evicted: Arc::clone(&evicted),
            _alive: alive,
        };
        // Log lines name the node by its span.
        let span = Span::current();
        std::thread::Builder::new()
            .name(W::THREAD.into())
            .spawn(move || span.in_scope(|| running.run()))
            .context("cannot start a thread for a sensor; raise the system's limit on threads or memory")?;
        Ok(Self {
            name,
            queue,
            shared: shared.clone(),
            max_samples,
            too_slow: RepeatedSum::new(),
            evicted,
            ended,
            last: Instant::now(),
        })
    }

    /// The sensor's name in log lines.
    pub(super) fn sensor(&self) -> &str {
        label(self.name.as_deref())
    }

    /// Queues a sample of `bytes` without waiting. Samples that it pushes out of the queue of `max_bytes` are lost.
    ///
    /// # Errors
    /// The thread has ended; the sample is returned.
    pub(super) fn send(
        &mut self,
        queued: Queued<W::In>,
        bytes: usize,
        max_bytes: usize,
    ) -> Result<(), Queued<W::In>> {
        self.last = Instant::now();
        self.queue.set_limits(limits(self.max_samples, max_bytes));
        let evicted = self.queue.force_push(queued, bytes).map_err(PushError::into_item)?;
        if !evicted.is_empty() {
            let lost: LossSpan = evicted.iter().map(Queued::captured).collect();
            W::count_lost(&self.shared, SensorLoss::TooSlow, lost.count);
            let dropped_before: u64 = evicted.iter().map(|queued| queued.dropped_before).sum();
            self.evicted.fetch_add(lost.count + dropped_before, Ordering::Relaxed);
            let sensor = self.sensor().to_owned();
            let line = move |lost| W::report_lost(&sensor, lost, SensorLoss::TooSlow);
            self.too_slow.add(|sum| *sum = sum.merge(lost), line);
        }
        Ok(())
    }

    /// Lets the thread drain its queue, finish its work and end.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Waits until the thread has ended. To be awaited once; cancel safe.
    pub(super) async fn ended(&mut self) {
        // The thread sends nothing: the channel closes when it ends.
        let _ = (&mut self.ended).await;
    }

    /// Whether the thread has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.ended.try_recv(), Err(TryRecvError::Empty))
    }

    /// Whether the thread has ended or is ending.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Ends the thread without its queue. Returns the samples of the queue, which stay unacknowledged.
    pub(super) fn abandon(&self) -> LossSpan {
        abandon(&self.queue)
    }
}

/// Closes a queue and takes its samples, without an acknowledgement. Returns which these are.
fn abandon<M>(queue: &BoundedQueue<Queued<M>>) -> LossSpan {
    queue.close();
    let samples = std::iter::from_fn(|| queue.try_pop());
    let lose = |queued: Queued<M>| {
        queued.sample.receipt().iter().for_each(Receipt::abandon);
        queued.captured()
    };
    samples.map(lose).collect()
}

/// A single sample may exceed its sensor's share of the memory.
fn limits(max_samples: usize, max_bytes: usize) -> Limits {
    Limits::new(max_samples, max_bytes).admitting_any_size()
}

/// The thread's own state.
struct Running<W: SensorWork> {
    name: Option<String>,
    work: W,
    shared: W::Shared,
    queue: Arc<BoundedQueue<Queued<W::In>>>,
    evicted: Arc<AtomicU64>,
    _alive: oneshot::Sender<()>,
}

impl<W: SensorWork> Running<W> {
    fn run(mut self) {
        loop {
            match self.queue.blocking_pop_timeout(self.work.timeout()) {
                Popped::Item(queued) => {
                    let dropped_before = self.evicted.swap(0, Ordering::Relaxed) + queued.dropped_before;
                    self.work.sample(*queued.sample, dropped_before);
                }
                Popped::TimedOut => {
                    if self.work.timed_out() == AfterTimeout::Forget && self.queue.close_if_empty() {
                        debug!(sensor = label(self.name.as_deref()), "sensor forgotten");
                        return;
                    }
                }
                Popped::Closed => return self.work.finish(),
            }
        }
    }
}

impl<W: SensorWork> Drop for Running<W> {
    /// Also after a panic: samples in the queue would wait forever.
    fn drop(&mut self) {
        let lost = abandon(&self.queue);
        if lost.count > 0 {
            W::count_lost(&self.shared, SensorLoss::Failed, lost.count);
            W::report_lost(label(self.name.as_deref()), lost, SensorLoss::Failed);
        }
    }
}
