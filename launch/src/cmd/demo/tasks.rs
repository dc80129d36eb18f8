//! Nodes as tasks of this process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use msight_bus::Bus;
use msight_node::flags::Kind;
use msight_node::health::Health;
use msight_node::metrics::Metrics;
use msight_node::{Entry, Local, Setting};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a node may take until it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A node and its command line.
pub(super) struct Task {
    entry: Entry,
    name: String,
    args: Vec<String>,
}

impl Task {
    pub(super) fn new(entry: Entry, name: &str) -> Self {
        Self { entry, name: name.to_owned(), args: vec!["-n".into(), name.into()] }
    }

    pub(super) fn with<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// Nodes at work.
pub(super) struct Tasks {
    /// From the sources to the sinks.
    nodes: Vec<Running>,
    metrics: Metrics,
}

struct Running {
    name: String,
    is_source: bool,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Tasks {
    /// Starts the nodes, the last one first: who subscribes must be there when the first message comes. With `local`
    /// they hand samples to each other as they are.
    ///
    /// # Errors
    /// A node does not start, or `interrupted` was cancelled before all did. Those that had started are stopped
    /// then, and hold no names any more.
    pub(super) async fn start(
        wanted: &[Task],
        bus: &Arc<dyn Bus>,
        local: Option<&Local>,
        device: &str,
        interrupted: &CancellationToken,
    ) -> Result<Self> {
        let mut tasks = Self { nodes: Vec::new(), metrics: Metrics::default() };
        for one in wanted.iter().rev() {
            let (health, stop) = (Health::default(), CancellationToken::new());
            let setting = Setting {
                bus: bus.clone(),
                local: local.cloned(),
                device: device.to_owned(),
                metrics: tasks.metrics.clone(),
                health: health.clone(),
                stop: stop.clone(),
            };
            let (entry, args) = (one.entry, one.args.clone());
            let task = tokio::spawn(async move { entry.run(args, setting).await });
            let is_source = entry.describe().kind == Kind::Source;
            let node = Running { name: one.name.clone(), is_source, stop, task };
            // A source is not waited for: a camera may take its time, and the progress says so.
            let started = if !is_source {
                tokio::select! {
                    started = node.until_ready(&health) => started,
                    () = interrupted.cancelled() => Err(anyhow!("interrupted before all nodes were ready")),
                }
            } else {
                Ok(())
            };
            tasks.nodes.insert(0, node);
            if let Err(error) = started {
                // What the node itself says tells more than that it was not ready.
                tasks.stop().await?;
                return Err(error);
            }
        }
        Ok(tasks)
    }

    /// What the nodes count, each with its name as the label `node`.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns when a node has ended by itself, which is an error for all but a source: a camera's stream may
    /// be over.
    pub(super) async fn ended(&mut self) -> Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            if let Some(place) = self.nodes.iter().position(|node| node.task.is_finished()) {
                let node = self.nodes.remove(place);
                let (name, is_source) = (node.name.clone(), node.is_source);
                node.end().await?;
                return if is_source { Ok(()) } else { Err(anyhow!("the node {name} has ended by itself")) };
            }
        }
    }

    /// Stops one node after the other, from the sources on: each has finished what the one before it sent.
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
