//! The loop of a source: what it gives is published, and an error opens it again.

use std::marker::PhantomData;
use std::pin::pin;
use std::time::Duration;

use anyhow::Result;
use msight_bus::{Backoff, OutageLimit, OutageLine, Topic};
use msight_contract::traffic;
use msight_proto::Message;
use tokio::time::{Instant, timeout};
use tracing::{debug, error, info, warn};

use super::role::Role;
use super::session::Session;
use crate::Source;
use crate::fault::Mark;
use crate::flags::{CommonFlags, Kind};
use crate::port::Direction;
use crate::resources::Resources;

/// The time that a source has to release what it holds.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The kind of node that [`Source`] is.
pub(crate) struct SourceRole<S>(PhantomData<fn(S)>);

impl<S: Source> Role for SourceRole<S> {
    type Node = S;
    const KIND: Kind = Kind::Source;
    const TAKES: &'static [&'static str] = &[];
    const PUBLISHES: Option<&'static str> = Some(S::Out::TYPE);
    const NEEDS_PUBLISH_TOPIC: bool = S::NEEDS_PUBLISH_TOPIC;

    async fn run(flags: CommonFlags, args: S::Args, resources: Resources) -> Result<()> {
        // All that a source counts is of its one sensor.
        let sensor = flags.sensor_name.clone().unwrap_or_default();
        let resources = Resources { metrics: resources.metrics.labelled("sensor", &sensor), ..resources };
        start_published_age(&flags, &resources, &sensor)?;
        let Some(session) = Session::begin::<Self>(flags, resources).await? else { return Ok(()) };
        let outcome = match session.unless_stopped(S::open(args.clone(), &session.cx)).await {
            Ok(Some(source)) => feed(source, args, &session).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let time = session.cx.grace();
        session.end(outcome, time).await
    }
}

/// The age of the last published message counts from the start of the node, so that an absent camera is noticed: on `-pt`,
/// and without it on every further output.
fn start_published_age(flags: &CommonFlags, resources: &Resources, sensor: &str) -> Result<()> {
    let start = |resources: &Resources| {
        resources.metrics.elapsed_with(&traffic::PUBLISHED_LAST, &[sensor]);
    };
    if flags.publish_topic.is_some() {
        start(resources);
        return Ok(());
    }
    for topic in flags.further(Direction::Out) {
        start(&resources.of_topic(&Topic::new(topic)?));
    }
    Ok(())
}

async fn feed<S: Source>(mut source: S, args: S::Args, session: &Session) -> Result<()> {
    // Of `-pt`. Without it, only the source itself publishes, on its further outputs.
    let out = session.publisher();
    // Of its further inputs. It ends before the source does.
    let end = session.unfinished.until_the_end();
    let reopened = session.resources.metrics.counter(&traffic::SOURCE_REOPENED);
    let mut gap = session.cx.remaining_gap();
    let mut delays = ReopenDelays::default();
    let mut outages = Outages::default();
    loop {
        let mut error = loop {
            // A source that has given a sample works: if it breaks, it is opened again soon.
            let works_again = async {
                session.activity().works().await;
                delays.reset();
                outages.end();
            };
            let next = beside(works_again, source.next());
            let Some(next) = session.unless_stopped(next).await.transpose() else {
                drop(end);
                close(source).await;
                return Ok(());
            };
            match next {
                Ok(Some(sample)) => {
                    session.activity().work_seen();
                    if let Some(out) = out.as_ref().filter(|_| gap.passes())
                        && let Err(error) = out.publish(sample).await
                    {
                        error!("message lost: {error:#}");
                    }
                }
                Ok(None) => {
                    info!("the source has ended");
                    return Ok(());
                }
                Err(error) => break error,
            }
        };
        // The old instance releases its connection before there is a new one.
        close(source).await;
        source = loop {
            if Mark::of(&error) == Some(Mark::Fatal) {
                return Err(error);
            }
            let delay = delays.after(&error);
            session.activity().fail(&error);
            outages.report(&error, delay);
            let pause = async {
                tokio::time::sleep(delay).await;
                Ok(())
            };
            if session.unless_stopped(pause).await?.is_none() {
                return Ok(());
            }
            reopened.inc();
            match session.unless_stopped(S::open(args.clone(), &session.cx)).await {
                Ok(Some(source)) => break source,
                Ok(None) => return Ok(()),
                Err(again) => error = again,
            }
        };
    }
}

/// What `work` gives; until then, `first` runs as well, and goes first.
async fn beside<T>(first: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        () = first => work.await,
        done = &mut work => done,
    }
}

/// Gives the source a moment to release what it holds.
async fn close<S: Source>(source: S) {
    let _ = timeout(CLOSE_TIMEOUT, source.close()).await;
}

/// What the log has of the failures of a source: each cause once for an outage, and a line every 30 s.
#[derive(Default)]
struct Outages {
    lines: OutageLimit,
    /// The causes that were logged since the source last worked.
    causes: Vec<String>,
}

impl Outages {
    /// More causes in one outage are logged every 30 s only.
    const MAX_CAUSES: usize = 8;

    fn report(&mut self, error: &anyhow::Error, delay: Duration) {
        let (cause, now) = (format!("{error:#}"), Instant::now().into_std());
        let is_another =
            self.lines.is_down() && self.causes.len() < Self::MAX_CAUSES && !self.causes.contains(&cause);
        let line = if is_another { self.lines.failed_otherwise(now) } else { self.lines.failed(now) };
        let seconds = delay.as_secs_f64();
        match line {
            Some(OutageLine { attempts: 0 | 1, .. }) => warn!("{cause}; trying again in {seconds:.1} s"),
            Some(OutageLine { outages, attempts, .. }) => {
                warn!(outages, attempts, "{cause}; trying again in {seconds:.1} s");
            }
            None => debug!("{cause}; trying again in {seconds:.1} s"),
        }
        if line.is_some() && !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }

    fn end(&mut self) {
        if !self.lines.is_down() {
            return;
        }
        self.causes.clear();
        if let Some(line) = self.lines.recovered(Instant::now().into_std()) {
            info!("the source works again after {:.1} s", line.lasted.as_secs_f64());
        }
    }
}

/// How long to wait before a source is opened again.
struct ReopenDelays {
    broken: Backoff,
    refused: Backoff,
}

impl Default for ReopenDelays {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            broken: Backoff::new(Duration::from_millis(500), seconds(30)),
            // Jitter halves a delay at most: these are 30 s to 5 min.
            refused: Backoff::new(seconds(60), seconds(300)),
        }
    }
}

impl ReopenDelays {
    fn after(&mut self, error: &anyhow::Error) -> Duration {
        match Mark::of(error) {
            Some(Mark::Refused) => self.refused.delay(),
            _ => self.broken.delay(),
        }
    }

    fn reset(&mut self) {
        self.broken.reset();
        self.refused.reset();
    }
}
