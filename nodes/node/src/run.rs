//! The life of a node: registered, opened, running, drained, gone. The three loops are here, once for all
//! nodes.

mod inlet;
mod membership;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use msight_bus::{Backoff, Topic};
use msight_proto::Message;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{Instrument as _, error, info, warn};

use self::inlet::Inlet;
use self::membership::{Membership, Pulse};
use crate::context::{Context, Inner};
use crate::entry::Setting;
use crate::fault::Mark;
use crate::flags::{CommonFlags, Kind};
use crate::publisher::{Outbox, Publisher, WhenFull};
use crate::{Processor, Sink, Source};

/// Runs a source: what it gives is published; an error opens it again.
pub(crate) async fn source<S: Source>(flags: CommonFlags, args: S::Args, setting: Setting) -> Result<()> {
    let cx = context(&flags, &setting);
    let topic = topic(&flags.publish_topic)?;
    let Some(mut membership) = Membership::join::<S>(&flags, &setting, Kind::Source).await? else {
        return Ok(());
    };
    membership.declare(&topic, S::Out::TYPE).await;
    let outlet = Outlet::open(topic, WhenFull::DropOldest, &setting);
    let outcome = match S::open(args.clone(), &cx).await {
        Ok(source) => {
            membership.running();
            feed(source, args, &cx, &outlet.publisher(), &setting, &membership.pulse()).await
        }
        Err(error) => Err(error),
    };
    let drained = outlet.drain(cx.grace()).await;
    membership.leave().await;
    outcome.and(drained)
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
        let error = loop {
            let next = tokio::select! {
                biased;
                () = setting.stop.cancelled() => return Ok(()),
                next = source.next() => next,
            };
            match next {
                Ok(Some(sample)) => {
                    patience.reset();
                    pulse.beat();
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
        drop(source);
        let mut error = error;
        source = loop {
            if Mark::of(&error) == Some(Mark::Fatal) {
                return Err(error);
            }
            let delay = patience.delay(&error);
            pulse.fail();
            warn!("{error:#}; trying again in {:.1} s", delay.as_secs_f64());
            tokio::select! {
                biased;
                () = setting.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(delay) => {}
            }
            reopened.inc();
            match S::open(args.clone(), cx).await {
                Ok(source) => break source,
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
    let outlet = Outlet::open(topic_out, WhenFull::Wait, &setting);
    let out = outlet.publisher();
    let mut time = cx.grace();
    let outcome = async {
        let mut node = P::open(args, &cx).await?;
        let Some(mut inlet) = Inlet::open(&topic_in, &flags, &cx, &setting, membership.pulse()).await? else {
            return Ok(());
        };
        membership.running();
        let mut outcome = Ok(());
        while outcome.is_ok()
            && let Some(sample) = inlet.next::<P::In>().await
        {
            outcome = inlet.watch(node.process(sample, &out)).await;
        }
        let finished = finish(node.finish(&out), inlet.time_left()).await;
        time = inlet.time_left();
        outcome.and(finished)
    }
    .await;
    let drained = outlet.drain(time).await;
    membership.leave().await;
    outcome.and(drained)
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
        let mut node = S::open(args, &cx).await?;
        let Some(mut inlet) = Inlet::open(&topic, &flags, &cx, &setting, membership.pulse()).await? else {
            return Ok(());
        };
        membership.running();
        let mut outcome = Ok(());
        while outcome.is_ok()
            && let Some(sample) = inlet.next::<S::In>().await
        {
            outcome = inlet.watch(node.consume(sample)).await;
        }
        outcome.and(finish(node.finish(), inlet.time_left()).await)
    }
    .await;
    membership.leave().await;
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
        stopping: setting.stop.clone(),
    })
}

/// The checked name of a topic. The command line requires the flags of the node's kind.
fn topic(name: &Option<String>) -> Result<Topic> {
    Ok(Topic::new(name.as_deref().unwrap_or_default())?)
}

async fn finish(finish: impl Future<Output = Result<()>>, time: Duration) -> Result<()> {
    match timeout(time, finish).await {
        Ok(outcome) => outcome.context("while finishing"),
        Err(_) => Err(anyhow!("not finished within the time of --grace; what was under way is lost")),
    }
}

/// The outgoing side: the queue, and the task that empties it into the bus.
struct Outlet {
    outbox: Arc<Outbox>,
    delivery: JoinHandle<()>,
}

impl Outlet {
    fn open(topic: Topic, when_full: WhenFull, setting: &Setting) -> Self {
        let outbox = Outbox::new(topic, when_full, &setting.metrics);
        let delivery = tokio::spawn(outbox.clone().deliver(setting.bus.clone()).in_current_span());
        Self { outbox, delivery }
    }

    fn publisher<M: Message>(&self) -> Publisher<M> {
        Publisher::new(self.outbox.clone())
    }

    /// Waits until the bus has everything, as long as `time` allows.
    async fn drain(self, time: Duration) -> Result<()> {
        let drained = timeout(time, self.outbox.empty()).await;
        self.delivery.abort();
        match drained {
            Ok(()) => Ok(()),
            Err(_) => Err(anyhow!(
                "{} messages are lost: the bus did not take them within the time of --grace",
                self.outbox.len()
            )),
        }
    }
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
            refused: Backoff::new(seconds(30), seconds(300)),
        }
    }
}

impl Patience {
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
