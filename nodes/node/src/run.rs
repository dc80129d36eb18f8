//! The life of a node: registered, opened, running, drained, gone. The three loops are here, once for all
//! nodes.

mod incoming;
mod inlet;
mod membership;
mod outlet;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use msight_bus::{Backoff, Topic};
use msight_proto::{Message, Sample};
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use self::inlet::Inlet;
use self::membership::{Membership, Pulse};
use self::outlet::Outlet;
use crate::context::{Context, Inner};
use crate::entry::Setting;
use crate::fault::Mark;
use crate::flags::{CommonFlags, Kind};
use crate::local::Reach;
use crate::outbox::WhenFull;
use crate::{Processor, Publisher, Sink, Source};

/// Runs a source: what it gives is published; an error opens it again.
pub(crate) async fn source<S: Source>(flags: CommonFlags, args: S::Args, setting: Setting) -> Result<()> {
    let cx = context(&flags, &setting);
    let topic = topic(&flags.publish_topic)?;
    let Some(mut membership) = Membership::join::<S>(&flags, &setting, Kind::Source).await? else {
        return Ok(());
    };
    membership.declare(&topic, S::Out::TYPE).await;
    let outlet = Outlet::open(topic, WhenFull::DropOldest, &setting).await;
    let outcome = match unless_stopped(&setting, S::open(args.clone(), &cx)).await {
        Ok(Some(source)) => feed(source, args, &cx, &outlet.publisher(), &setting, &membership.pulse()).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let drained = outlet.drain(cx.grace()).await;
    let left = membership.leave().await;
    stopped(both(both(outcome, drained), left), &setting)
}

/// Gives the source a second to let go of what it holds.
async fn close<S: Source>(source: S) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let _ = tokio::time::timeout(PATIENCE, source.close()).await;
}

async fn feed<S: Source>(
    mut source: S,
    args: S::Args,
    cx: &Context,
    out: &Publisher<S::Out>,
    setting: &Setting,
    pulse: &Pulse,
) -> Result<()> {
    let reopened = setting
        .metrics
        .counter("msight_source_reopened_total", "Times the source was opened again after an error.");
    let mut gap = cx.remaining_gap();
    let mut patience = Patience::default();
    loop {
        let opened = Instant::now();
        let mut error = loop {
            let Some(next) = unless_stopped(setting, source.next()).await.transpose() else {
                close(source).await;
                return Ok(());
            };
            match next {
                Ok(Some(sample)) => {
                    pulse.beat();
                    if opened.elapsed() > Patience::PROVEN {
                        patience.reset();
                    }
                    if gap.passes()
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
        // The old instance lets go of its connection before there is a new one.
        close(source).await;
        source = loop {
            if Mark::of(&error) == Some(Mark::Fatal) {
                return Err(error);
            }
            let delay = patience.delay(&error);
            pulse.fail(&error);
            warn!("{error:#}; trying again in {:.1} s", delay.as_secs_f64());
            let pause = async {
                tokio::time::sleep(delay).await;
                Ok(())
            };
            if unless_stopped(setting, pause).await?.is_none() {
                return Ok(());
            }
            reopened.inc();
            match unless_stopped(setting, S::open(args.clone(), cx)).await {
                Ok(Some(source)) => break source,
                Ok(None) => return Ok(()),
                Err(again) => error = again,
            }
        };
    }
}

/// Runs a processor: what arrives is worked on; what comes of it is published.
pub(crate) async fn processor<P: Processor>(
    flags: CommonFlags,
    args: P::Args,
    setting: Setting,
) -> Result<()> {
    let cx = context(&flags, &setting);
    let (topic_in, topic_out) = (topic(&flags.subscribe_topic)?, topic(&flags.publish_topic)?);
    let Some(mut membership) = Membership::join::<P>(&flags, &setting, Kind::Processor).await? else {
        return Ok(());
    };
    membership.declare(&topic_out, P::Out::TYPE).await;
    membership.declare(&topic_in, P::In::TYPE).await;
    let outlet = Outlet::open(topic_out, WhenFull::Wait, &setting).await;
    let mut time = cx.grace();
    let outcome = async {
        let Some(node) = unless_stopped(&setting, P::open(args, &cx)).await? else { return Ok(()) };
        let Some(mut inlet) = Inlet::open(&topic_in, &flags, &cx, &setting, membership.pulse()).await? else {
            return Ok(());
        };
        let outcome = drive(&mut inlet, Processing { node, out: outlet.publisher() }).await;
        time = inlet.time_left();
        outcome
    }
    .await;
    let drained = outlet.drain(time).await;
    let left = membership.leave().await;
    stopped(both(both(outcome, drained), left), &setting)
}

/// Runs a sink: what arrives is worked on.
pub(crate) async fn sink<S: Sink>(flags: CommonFlags, args: S::Args, setting: Setting) -> Result<()> {
    let cx = context(&flags, &setting);
    let topic = topic(&flags.subscribe_topic)?;
    let Some(mut membership) = Membership::join::<S>(&flags, &setting, Kind::Sink).await? else {
        return Ok(());
    };
    membership.declare(&topic, S::In::TYPE).await;
    let outcome = async {
        let Some(node) = unless_stopped(&setting, S::open(args, &cx)).await? else { return Ok(()) };
        let Some(mut inlet) = Inlet::open(&topic, &flags, &cx, &setting, membership.pulse()).await? else {
            return Ok(());
        };
        drive(&mut inlet, Consuming(node)).await
    }
    .await;
    let left = membership.leave().await;
    stopped(both(outcome, left), &setting)
}

/// A node in the loop over incoming samples.
trait Work: Send {
    type In: Message;
    fn work(&mut self, sample: Sample<Self::In>) -> impl Future<Output = Result<()>> + Send;
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send;
}

struct Processing<P: Processor> {
    node: P,
    out: Publisher<P::Out>,
}

impl<P: Processor> Work for Processing<P> {
    type In = P::In;
    fn work(&mut self, sample: Sample<P::In>) -> impl Future<Output = Result<()>> + Send {
        self.node.process(sample, &self.out)
    }
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send {
        self.node.finish(&self.out)
    }
}

struct Consuming<S: Sink>(S);

impl<S: Sink> Work for Consuming<S> {
    type In = S::In;
    fn work(&mut self, sample: Sample<S::In>) -> impl Future<Output = Result<()>> + Send {
        self.0.consume(sample)
    }
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send {
        self.0.finish()
    }
}

/// Works on sample after sample until it is time to stop or an error says so, and lets the node finish.
async fn drive<W: Work>(inlet: &mut Inlet, mut node: W) -> Result<()> {
    let outcome = loop {
        let outcome = match inlet.next::<W::In>().await {
            Ok(Some(sample)) => inlet.watch(node.work(sample)).await,
            Ok(None) => break Ok(()),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            break outcome;
        }
    };
    inlet.abandon();
    let finished = match timeout(inlet.time_left(), node.finish()).await {
        Ok(finished) => finished.context("while finishing"),
        Err(_) => Err(anyhow!("not finished within the time of --grace; what was under way is lost")),
    };
    both(outcome, finished)
}

/// What the future gives, or `None` when it is time to stop before.
async fn unless_stopped<T>(setting: &Setting, future: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    tokio::select! {
        biased;
        () = setting.stop.cancelled() => Ok(None),
        outcome = future => outcome.map(Some),
    }
}

/// The first error of two; the second is said, since only one can be returned.
fn both(first: Result<()>, second: Result<()>) -> Result<()> {
    match (first, second) {
        (Err(first), Err(second)) => {
            error!("{second:#}");
            Err(first)
        }
        (first, second) => first.and(second),
    }
}

/// Says of a node that has ended well what it has done.
fn stopped(outcome: Result<()>, setting: &Setting) -> Result<()> {
    if outcome.is_ok() {
        info!(counts = setting.metrics.totals(), "stopped");
    }
    outcome
}

fn context(flags: &CommonFlags, setting: &Setting) -> Context {
    Context::new(Inner {
        name: flags.name.clone(),
        device: setting.device.clone(),
        sensor_name: flags.sensor_name.clone(),
        gap: flags.gap(),
        gap_taken: false.into(),
        grace: flags.grace(),
        metrics: setting.metrics.clone(),
        health: setting.health.clone(),
        stopping: setting.stop.clone(),
        hands_over: hands_over(flags, setting),
    })
}

/// Whether what is published goes to the nodes of this process as it is.
fn hands_over(flags: &CommonFlags, setting: &Setting) -> bool {
    let topic = topic(&flags.publish_topic);
    setting.local.as_ref().zip(topic.ok()).is_some_and(|(local, topic)| local.reach(&topic) != Reach::Bus)
}

/// The checked name of a topic. The command line requires the flags of the node's kind.
fn topic(name: &Option<String>) -> Result<Topic> {
    Ok(Topic::new(name.as_deref().unwrap_or_default())?)
}

/// How long to wait before a source is opened again.
struct Patience {
    broken: Backoff,
    refused: Backoff,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            broken: Backoff::new(Duration::from_millis(500), seconds(30)),
            // Jitter halves a delay at most: these are 30 s to 5 min.
            refused: Backoff::new(seconds(60), seconds(300)),
        }
    }
}

impl Patience {
    /// A source that has given samples for so long works; one that breaks sooner is asked less and less often.
    const PROVEN: Duration = Duration::from_secs(10);

    fn delay(&mut self, error: &anyhow::Error) -> Duration {
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
