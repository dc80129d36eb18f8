//! The incoming side: messages of a topic, as samples, until the node is stopped.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use msight_bus::{Backoff, Error, OutageLimit, SubscriptionStats, Topic};
use msight_contract::traffic;
use msight_proto::{AccessUnitData, DecodeError, ImageData, Message, Receipt, Sample, unix_now};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::Gap;
use crate::accept::Accept;
use crate::dropped::DroppedBySensor;
use crate::fault::Mark;
use crate::flags::CommonFlags;
use crate::logs::Repeated;
use crate::metrics::{Counter, Gauge, Histogram, Metrics};
use crate::resources::Resources;

use super::activity::Activity;
use super::incoming::{Arrival, Incoming, Unusable};
use super::unfinished::{EndGuard, Unfinished};

/// The queue of one topic, and what is counted of it.
pub(crate) struct Inlet {
    incoming: Incoming,
    queue: Arc<QueueMetrics>,
    /// `None` for a further input, whose messages say nothing of the node's own work.
    activity: Option<Activity>,
    gap: Gap,
    stop: CancellationToken,
    grace: Duration,
    /// When everything must be done, once stopping has begun.
    deadline: Option<Instant>,
    stop_on_error: bool,
    age: Histogram,
    metrics: Metrics,
    left_out: Counter,
    unfinished: Unfinished,
    lost: Counter,
    /// The receipt of the sample that [`watch`](Self::watch) waits for. It outlives the node's panic.
    in_work: Option<Receipt>,
    bad: Bad,
    failed: Counter,
    failures: Repeated,
}

impl Inlet {
    /// Subscribes, waiting for the bus as long as it takes; `None` when the node is stopped meanwhile.
    pub(super) async fn open(
        topic: &Topic,
        flags: &CommonFlags,
        gap: Gap,
        setting: &Resources,
        activity: Option<Activity>,
        unfinished: &Unfinished,
    ) -> Result<Option<Self>> {
        let mut backoff = Backoff::reconnecting();
        let mut outage = OutageLimit::default();
        let incoming = loop {
            match Incoming::open(topic, flags, setting).await {
                Ok(incoming) => break incoming,
                Err(error @ (Error::Invalid(_) | Error::Refused { .. })) => return Err(error.into()),
                Err(error) => {
                    if outage.failed(Instant::now().into_std()).is_some() {
                        warn!("{error}; trying again");
                    }
                }
            }
            tokio::select! {
                biased;
                () = setting.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(backoff.delay()) => {}
            }
        };
        info!(%topic, "subscribed");
        if let Some(activity) = &activity {
            activity.work_seen();
        }
        let metrics = &setting.metrics;
        metrics.declare(&traffic::RECEIVED_LAST);
        let queue = Arc::new(QueueMetrics::new(metrics));
        let (shown, subscription) = (queue.clone(), incoming.monitor());
        metrics.collect_with(move || subscription.stats().map(|stats| shown.set(&stats)).is_some());
        Ok(Some(Self {
            incoming,
            queue,
            activity,
            gap,
            stop: setting.stop.clone(),
            grace: flags.grace(),
            deadline: None,
            stop_on_error: flags.stop_on_error(),
            age: metrics.histogram(&traffic::RECEIVED_AGE),
            metrics: metrics.clone(),
            left_out: metrics.counter(&traffic::GAP_LEFT_OUT),
            unfinished: unfinished.clone(),
            lost: metrics.counter(&traffic::UNFINISHED),
            in_work: None,
            bad: Bad::new(metrics),
            failed: metrics.counter(&traffic::FAILED),
            failures: Repeated::new(),
        }))
    }

    /// Reports what the queue drops, and counts it by sensor.
    pub(super) fn report_dropped(&self, dropped: DroppedBySensor) {
        self.incoming.report_dropped(dropped);
    }

    /// The next sample. After the signal to stop, what is queued already still comes, in the time of
    /// `--grace`; then `None`.
    ///
    /// # Errors
    /// A message that cannot be used, where `--action-on-error stop` asks for it.
    pub(crate) async fn next<A: Accept>(&mut self) -> Result<Option<Sample<A>>> {
        loop {
            // A node may work for long without ever waiting, and the runtime has one worker: heartbeats, signals and
            // what goes out get their turn between two samples.
            tokio::task::yield_now().await;
            let Some(arrival) = self.next_arrival().await else { return Ok(None) };
            if let Some(sample) = self.take(arrival)? {
                return Ok(Some(sample));
            }
        }
    }

    /// The next sample if one waits already.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(crate) fn try_next<A: Accept>(&mut self) -> Result<Option<Sample<A>>> {
        while let Some(arrival) = self.incoming.try_recv() {
            if let Some(sample) = self.take(arrival)? {
                return Ok(Some(sample));
            }
        }
        Ok(None)
    }

    /// Counts what has arrived, and unpacks it; `None` where it is left out or cannot be used.
    fn take<A: Accept>(&mut self, arrival: Arrival) -> Result<Option<Sample<A>>> {
        if let Some(activity) = &self.activity {
            activity.work_seen();
        }
        if !self.gap.passes() {
            self.left_out.inc();
            arrival.skip();
            return Ok(None);
        }
        match arrival.open::<A>() {
            Ok(sample) => {
                // Clocks of two devices differ; nothing is younger than now.
                let age = unix_now() - sample.head.capture_timestamp;
                self.age.observe(Duration::try_from_secs_f64(age).unwrap_or_default());
                let sensor = sample.head.sensor_name.as_deref().unwrap_or_default();
                self.metrics.elapsed_with(&traffic::RECEIVED_LAST, &[sensor]).restart();
                Ok(Some(self.unfinished.watch(sample, &self.lost)))
            }
            Err(unusable) => {
                self.bad.count(&unusable, self.incoming.topic());
                if self.stop_on_error { Err(unusable.error.into()) } else { Ok(None) }
            }
        }
    }

    /// Counts what still waits as lost. It stays unacknowledged.
    pub(super) fn abandon(&mut self) {
        self.begin_to_stop();
        self.incoming.abandon();
        // From now on there may be no scrape any more, and the log has the numbers.
        self.metrics.set_together(|| self.queue.set(&self.incoming.stats()));
    }

    async fn next_arrival(&mut self) -> Option<Arrival> {
        if self.deadline.is_none() {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => self.begin_to_stop(),
                arrival = self.incoming.recv() => return arrival,
            }
        }
        if self.time_to_read().is_zero() { None } else { self.incoming.try_recv() }
    }

    fn begin_to_stop(&mut self) {
        self.deadline.get_or_insert_with(|| Instant::now() + self.grace);
        self.incoming.close();
    }

    /// What is left of `--grace`; all of it before stopping begins.
    pub(super) fn time_left(&self) -> Duration {
        self.deadline.map_or(self.grace, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// A half of the time is for what is queued, the other for finishing.
    fn time_to_read(&self) -> Duration {
        self.time_left().saturating_sub(self.grace / 2)
    }

    /// See [`Unfinished::until_the_end`].
    pub(super) fn until_the_end(&self) -> EndGuard {
        self.unfinished.until_the_end()
    }

    /// Waits for the work on a sample, and says what its outcome means: an error to end with, or one to count
    /// before going on. Work that does not end is given up when it is time to stop; its message then stays
    /// unacknowledged.
    pub(super) async fn watch(
        &mut self,
        receipt: Option<Receipt>,
        work: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        self.in_work = receipt;
        tokio::pin!(work);
        let outcome = tokio::select! {
            outcome = &mut work => outcome,
            () = self.stop.cancelled() => {
                self.begin_to_stop();
                tokio::time::timeout(self.time_to_read(), work).await.unwrap_or_else(|_| {
                    self.in_work.iter().for_each(Receipt::abandon);
                    Err(anyhow!("sample lost: processing did not end within --grace"))
                })
            }
        };
        self.in_work = None;
        let Err(error) = outcome else { return Ok(()) };
        self.failed.inc();
        if self.stop_on_error || Mark::of(&error) == Some(Mark::Fatal) {
            return Err(error);
        }
        self.failures.count(move |times| warn!(times, "sample skipped: {error:#}"));
        Ok(())
    }
}

impl Drop for Inlet {
    /// After a panic of the node, which shares its process with others.
    fn drop(&mut self) {
        self.abandon();
    }
}

/// What the queue of the subscription counts, as metrics: it has arrived, and then was dropped, taken or abandoned, or
/// waits. All numbers are those of the queue at one moment, so that they agree in each scrape.
struct QueueMetrics {
    arrived: Counter,
    dropped: Counter,
    taken: Counter,
    taken_bytes: Counter,
    abandoned: Counter,
    disconnects: Counter,
    waiting: Gauge,
    waiting_bytes: Gauge,
}

impl QueueMetrics {
    fn new(metrics: &Metrics) -> Self {
        Self {
            arrived: metrics.counter(&traffic::QUEUE_ARRIVED),
            dropped: metrics.counter(&traffic::QUEUE_DROPPED),
            taken: metrics.counter(&traffic::RECEIVED),
            taken_bytes: metrics.counter(&traffic::RECEIVED_BYTES),
            abandoned: metrics.counter(&traffic::ABANDONED),
            disconnects: metrics.counter(&traffic::BUS_DISCONNECTS),
            waiting: metrics.gauge(&traffic::QUEUE_MESSAGES),
            waiting_bytes: metrics.gauge(&traffic::QUEUE_BYTES),
        }
    }

    fn set(&self, stats: &SubscriptionStats) {
        self.arrived.raise_to(stats.received);
        self.dropped.raise_to(stats.dropped);
        self.taken.raise_to(stats.taken());
        self.taken_bytes.raise_to(stats.taken_bytes());
        self.abandoned.raise_to(stats.abandoned);
        self.disconnects.raise_to(stats.disconnects);
        self.waiting.set(stats.queued.cast_signed());
        self.waiting_bytes.set(stats.queued_bytes.cast_signed());
    }
}

/// What to do about a message that does not fit.
fn next_step(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::WrongType { expected, found }
            if *expected == AccessUnitData::TYPE && found == ImageData::TYPE =>
        {
            "; subscribe to the topic that the source publishes with --packet-topic"
        }
        _ => "",
    }
}

/// Messages that are not samples of the wanted type.
struct Bad {
    malformed: Counter,
    other_type: Counter,
    too_large: Counter,
    repeated: Repeated,
}

impl Bad {
    fn new(metrics: &Metrics) -> Self {
        let counter = |reason| metrics.counter_with(&traffic::BAD_MESSAGES, &[reason]);
        Self {
            malformed: counter("malformed"),
            other_type: counter("other type"),
            too_large: counter("too large"),
            repeated: Repeated::new(),
        }
    }

    fn count(&self, unusable: &Unusable, topic: &Topic) {
        let Unusable { error, message } = unusable;
        match error {
            DecodeError::WrongType { .. } => &self.other_type,
            DecodeError::TooLarge { .. } => &self.too_large,
            _ => &self.malformed,
        }
        .inc();
        let bytes = message.as_ref().map(|message| message.len());
        let begins = message
            .as_ref()
            .map(|message| -> String { message.iter().take(32).map(|byte| format!("{byte:02x}")).collect() });
        let (topic, error) = (topic.clone(), format!("{error}{}", next_step(error)));
        self.repeated.count(move |times| warn!(%topic, times, bytes, begins, "message skipped: {error}"));
    }
}
