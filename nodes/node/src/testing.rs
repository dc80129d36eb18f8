//! Nodes in tests: the real node under the real runner, on a memory bus of its own; and how to wait for what a
//! node does.

mod gated_bus;
pub mod in_process;

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use msight_bus::{Connection, Overflow, QueueConfig, Receivers, Subscription, Topic};
use msight_proto::{Message, Sample, decode, encode};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::metrics::Metrics;
use crate::resources::Resources;
use crate::{Entry, Local, Output, Processor, Sink, Source, processor, sink, source};

pub use self::gated_bus::GatedBus;

/// The device that nodes under test run on.
pub const DEVICE: &str = "test-device";

/// How long [`until`] waits: far longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

const IN: &str = "in";
const OUT: &str = "out";

/// Runs a source with the given flags until it has published `count` samples, and returns these.
///
/// # Errors
/// Those of the node, or that it ended before.
pub async fn run_source<S: Source>(flags: &[&str], count: usize) -> Result<Vec<Sample<S::Out>>> {
    let bench = Bench::new(None);
    let published = bench.listen().await?;
    let args = [&["-n", "test", "-pt", OUT, "-sn", "sensor"], flags].concat();
    bench.run_source::<S, S::Out>(&args, published, count).await
}

/// Runs a source with a topic for a further output until it has published `count` samples there, and returns these. It has
/// no topic of `-pt`, unless the flags name one.
///
/// # Errors
/// Those of the node, or that it ended before.
pub async fn run_source_with<S: Source, M: Message>(
    output: &Output<M>,
    flags: &[&str],
    count: usize,
) -> Result<Vec<Sample<M>>> {
    let bench = Bench::new(None);
    let (flag, published) = bench.listen_to(output).await?;
    let args = [&["-n", "test", "-sn", "sensor", flag.as_str()], flags].concat();
    bench.run_source::<S, M>(&args, published, count).await
}

/// As [`run_source`], with a topic for a further output as well; gives what was published there too.
///
/// # Errors
/// Those of the node, or that it ended before.
pub async fn run_source_with_both<S: Source, M: Message>(
    output: &Output<M>,
    flags: &[&str],
    count: usize,
) -> Result<(Vec<Sample<S::Out>>, Vec<Sample<M>>)> {
    let bench = Bench::new(None);
    let (flag, mut further) = bench.listen_to(output).await?;
    let published = bench.listen().await?;
    let args = [&["-n", "test", "-pt", OUT, "-sn", "sensor", flag.as_str()], flags].concat();
    let samples = bench.run_source::<S, S::Out>(&args, published, count).await?;
    Ok((samples, drain(&mut further)?))
}

/// Runs a source with the given flags until `end` is ready, and returns all that it published.
///
/// # Errors
/// Those of the node, or that it ended before.
pub async fn run_source_until<S: Source>(
    flags: &[&str],
    end: impl Future<Output = ()>,
) -> Result<Vec<Sample<S::Out>>> {
    let mut bench = Bench::new(None);
    let mut published = bench.listen().await?;
    bench.start(&source::<S>(), &[&["-n", "test", "-pt", OUT, "-sn", "sensor"], flags].concat());
    tokio::select! {
        () = end => bench.stop().await?,
        outcome = bench.ended() => {
            outcome?;
            return Err(anyhow!("the source has ended before it was stopped"));
        }
    }
    drain(&mut published)
}

/// Runs a processor with the given flags on the given samples, stops it, and returns all that it published.
///
/// # Errors
/// Those of the node.
pub async fn run_processor<P: Processor>(
    flags: &[&str],
    samples: &[Sample<impl Message>],
) -> Result<Vec<Sample<P::Out>>> {
    Bench::new(None).run_processor::<P>(flags, samples).await
}

/// As [`run_processor`], with a topic for a further output as well; gives what was published there too.
///
/// # Errors
/// Those of the node.
pub async fn run_processor_with<P: Processor, M: Message>(
    output: &Output<M>,
    flags: &[&str],
    samples: &[Sample<impl Message>],
) -> Result<(Vec<Sample<P::Out>>, Vec<Sample<M>>)> {
    let bench = Bench::new(None);
    let (flag, mut further) = bench.listen_to(output).await?;
    let made = bench.run_processor::<P>(&[&[flag.as_str()], flags].concat(), samples).await?;
    Ok((made, drain(&mut further)?))
}

/// Runs a sink with the given flags on the given samples, and stops it.
///
/// # Errors
/// Those of the node.
pub async fn run_sink<S: Sink>(flags: &[&str], samples: &[Sample<impl Message>]) -> Result<()> {
    let mut bench = Bench::new(None);
    bench.start(&sink::<S>(), &[&["-n", "test", "-st", IN], flags].concat());
    bench.feed(samples).await?;
    bench.stop().await
}

/// Waits until something is so, which is asked for every 10 ms.
///
/// ```no_run
/// # use msight_node::metrics::{Metric, Unit};
/// # const FRAMES: Metric = Metric::count("frames_total", Unit::Frames, "Frames");
/// # async fn example(metrics: msight_node::metrics::Metrics) {
/// let frames = metrics.counter(&FRAMES);
/// msight_node::testing::until("ten frames", async || frames.get() >= 10).await;
/// # }
/// ```
///
/// # Panics
/// When it is not so within [`PATIENCE`]; `what` is named then.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A queue that drops nothing.
fn everything() -> QueueConfig {
    QueueConfig { max_items: usize::MAX, max_bytes: usize::MAX, overflow: Overflow::DropNewest }
}

/// The samples that have been published so far.
fn drain<M: Message>(published: &mut Subscription) -> Result<Vec<Sample<M>>> {
    std::iter::from_fn(|| published.try_recv()).map(|delivery| Ok(decode(&delivery.payload)?)).collect()
}

struct Bench {
    resources: Resources,
    node: Option<JoinHandle<Result<()>>>,
}

impl Bench {
    fn new(local: Option<Local>) -> Self {
        let Connection { bus, registry } = Connection::memory();
        let resources = Resources {
            bus,
            registry,
            local,
            device: DEVICE.to_owned(),
            metrics: Metrics::default(),
            health: Health::default(),
            stop: CancellationToken::new(),
        };
        Self { resources, node: None }
    }

    async fn listen(&self) -> Result<Subscription> {
        Ok(self.resources.bus.subscribe(&Topic::new(OUT)?, everything()).await?)
    }

    /// Subscribes to a topic for a further output. Returns the argument that names the topic, too.
    async fn listen_to<M: Message>(&self, output: &Output<M>) -> Result<(String, Subscription)> {
        let port = output.port();
        let topic = Topic::new(port.name())?;
        let published = self.resources.bus.subscribe(&topic, everything()).await?;
        Ok((format!("{}={topic}", port.flag), published))
    }

    fn start(&mut self, entry: &Entry, flags: &[&str]) {
        let mut args: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        // Nothing is dropped here, and stopping takes as long as it takes.
        args.extend(["--queue-size=1000000", "--queue-bytes=1GiB", "--grace=120"].map(str::to_owned));
        let (entry, resources) = (*entry, self.resources.clone());
        self.node = Some(tokio::spawn(async move { entry.run(args, resources).await }));
    }

    async fn run_source<S: Source, M: Message>(
        mut self,
        flags: &[&str],
        mut published: Subscription,
        count: usize,
    ) -> Result<Vec<Sample<M>>> {
        self.start(&source::<S>(), flags);
        let mut samples = Vec::new();
        while samples.len() < count {
            tokio::select! {
                Some(delivery) = published.recv() => samples.push(decode(&delivery.payload)?),
                outcome = self.ended() => {
                    outcome?;
                    samples.extend(drain(&mut published)?);
                    if samples.len() < count {
                        return Err(anyhow!("the source has ended after {} of {count} samples", samples.len()));
                    }
                }
            }
        }
        samples.truncate(count);
        self.stop().await?;
        Ok(samples)
    }

    async fn run_processor<P: Processor>(
        mut self,
        flags: &[&str],
        samples: &[Sample<impl Message>],
    ) -> Result<Vec<Sample<P::Out>>> {
        let mut published = self.listen().await?;
        self.start(&processor::<P>(), &[&["-n", "test", "-st", IN, "-pt", OUT], flags].concat());
        self.feed(samples).await?;
        self.stop().await?;
        drain(&mut published)
    }

    /// Publishes the samples; the first one as soon as the node is subscribed.
    async fn feed<M: Message>(&mut self, samples: &[Sample<M>]) -> Result<()> {
        let topic = Topic::new(IN)?;
        for sample in samples {
            let payload = encode(sample)?;
            while self.resources.bus.publish(&topic, payload.clone()).await? == Receivers::Known(0) {
                if self.node.as_ref().is_some_and(JoinHandle::is_finished) {
                    return self.ended_early().await;
                }
                tokio::task::yield_now().await;
            }
        }
        // Also without samples a node is opened before it is stopped.
        self.until_ready().await;
        Ok(())
    }

    /// Waits until the node takes samples, or has ended.
    async fn until_ready(&self) {
        while self.resources.health.unready().is_some()
            && !self.node.as_ref().is_none_or(JoinHandle::is_finished)
        {
            tokio::task::yield_now().await;
        }
    }

    /// The error of a node that has ended before it was stopped.
    async fn ended_early<T>(&mut self) -> Result<T> {
        self.ended().await.and_then(|()| Err(anyhow!("the node has ended before it was stopped")))
    }

    async fn stop(&mut self) -> Result<()> {
        self.resources.stop.cancel();
        self.ended().await
    }

    /// Waits for the node's end. Nothing is lost when the future is dropped before.
    async fn ended(&mut self) -> Result<()> {
        let Some(node) = &mut self.node else { return Ok(()) };
        let outcome = node.await;
        self.node = None;
        outcome?
    }
}
