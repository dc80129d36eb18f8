//! The nodes of the demo as tasks of this process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use msight_bus::Bus;
use msight_node::health::Health;
use msight_node::metrics::{Counter, Metrics};
use msight_node::{Entry, Setting};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a node may take until it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A node and its command line.
pub(super) struct Job {
    entry: Entry,
    name: &'static str,
    args: Vec<String>,
}

impl Job {
    pub(super) fn new(entry: Entry, name: &'static str) -> Self {
        Self { entry, name, args: vec!["-n".into(), name.into()] }
    }

    pub(super) fn with<const COUNT: usize>(mut self, args: [&str; COUNT]) -> Self {
        self.args.extend(args.map(str::to_owned));
        self
    }
}

/// Source, aggregator and pusher at work.
pub(super) struct Graph {
    /// From the source to the pusher.
    nodes: Vec<Running>,
    metrics: Metrics,
}

struct Running {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

/// What the nodes have done so far.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// Frames that the source has published.
    pub(super) published: Counter,
    /// Frames that the aggregator has taken.
    pub(super) taken: Counter,
    /// Segments that the aggregator has published.
    pub(super) segments: Counter,
    /// Segments that are in the bucket.
    pub(super) uploaded: Counter,
    /// Their bytes.
    pub(super) bytes: Counter,
}

impl Graph {
    /// Starts the nodes, the last one first: who subscribes must be there when the first message comes.
    ///
    /// # Errors
    /// A node does not start, or `interrupted` was cancelled before all did. Those that had started are stopped
    /// then, and hold no names any more.
    pub(super) async fn start(
        jobs: &[Job; 3],
        bus: &Arc<dyn Bus>,
        device: &str,
        interrupted: &CancellationToken,
    ) -> Result<Self> {
        let mut graph = Self { nodes: Vec::new(), metrics: Metrics::default() };
        for job in jobs.iter().rev() {
            let (health, stop) = (Health::default(), CancellationToken::new());
            let setting = Setting {
                bus: bus.clone(),
                local: None,
                device: device.to_owned(),
                metrics: graph.metrics.clone(),
                health: health.clone(),
                stop: stop.clone(),
            };
            let (entry, args) = (job.entry, job.args.clone());
            let task = tokio::spawn(async move { entry.run(args, setting).await });
            let node = Running { name: job.name, stop, task };
            // The source is not waited for: a camera may take its time, and the progress says so.
            let started = if graph.nodes.len() + 1 < jobs.len() {
                tokio::select! {
                    started = node.until_ready(&health) => started,
                    () = interrupted.cancelled() => Err(anyhow!("interrupted before all nodes were ready")),
                }
            } else {
                Ok(())
            };
            graph.nodes.insert(0, node);
            if let Err(error) = started {
                // What the node itself says tells more than that it was not ready.
                graph.stop().await?;
                return Err(error);
            }
        }
        Ok(graph)
    }

    pub(super) fn counts(&self) -> Counts {
        let [source, aggregator, pusher] =
            [0, 1, 2].map(|place| self.metrics.labelled("node", self.nodes[place].name));
        Counts {
            published: source.counter("msight_published_total", "Messages that the bus has taken."),
            taken: aggregator.counter("msight_received_total", "Messages taken from the queue."),
            segments: aggregator.counter("msight_published_total", "Messages that the bus has taken."),
            uploaded: pusher.counter("msight_segments_uploaded_total", "Segments stored with their sidecar"),
            bytes: pusher.counter("msight_uploaded_bytes_total", "Bytes of the videos stored"),
        }
    }

    /// Returns when a node has ended by itself, which is an error for all but the source: a camera's stream may
    /// be over.
    pub(super) async fn ended(&mut self) -> Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            if let Some(place) = self.nodes.iter().position(|node| node.task.is_finished()) {
                let node = self.nodes.remove(place);
                let name = node.name;
                node.end().await?;
                return if place == 0 { Ok(()) } else { Err(anyhow!("the node {name} has ended by itself")) };
            }
        }
    }

    /// Stops one node after the other, from the source on: each has finished what the one before it sent.
    pub(super) async fn stop(self) -> Result<()> {
        let mut outcome = Ok(());
        for node in self.nodes {
            node.stop.cancel();
            outcome = outcome.and(node.end().await);
        }
        outcome
    }
}

impl Running {
    async fn until_ready(&self, health: &Health) -> Result<()> {
        let deadline = tokio::time::Instant::now() + START_TIMEOUT;
        while let Some(reason) = health.unready() {
            if self.task.is_finished() || tokio::time::Instant::now() > deadline {
                return Err(anyhow!("the node {} does not start: {reason}", self.name));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn end(self) -> Result<()> {
        let name = self.name;
        let outcome =
            self.task.await.with_context(|| format!("the node {name} has failed; please report this"))?;
        outcome.with_context(|| format!("the node {name}"))
    }
}
