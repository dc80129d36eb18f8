//! The process of `msight bench --one-process`: the nodes of a chain together, to be measured from outside.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use msight_bus::{Bus, MemoryBus};
use msight_node::health::{Health, serve};
use msight_node::{Entry, Local, logs, stop_on_signals};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::cmd::tasks::{Task, Tasks};

/// Runs nodes in this process, on its own memory as the bus, until it is asked to stop
#[derive(clap::Args, Clone)]
pub struct HostArgs {
    /// The nodes, from the sources to the sinks
    #[arg(required = true)]
    nodes: Vec<NodeArgs>,
}

/// A node: its program, its name and its arguments, as a JSON array of texts.
#[derive(Clone)]
struct NodeArgs {
    entry: Entry,
    name: String,
    args: Vec<String>,
}

impl FromStr for NodeArgs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<String> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let [program, name, args @ ..] = &parts[..] else { return Err("no program and name".to_owned()) };
        let mut entries = crate::catalog::BUILT_IN.into_iter();
        let entry = entries.find(|entry| entry.program() == program);
        let entry = entry.ok_or_else(|| format!("no node {program}"))?;
        Ok(Self { entry, name: name.clone(), args: args.to_vec() })
    }
}

/// Runs the nodes until a signal, and says where their metrics are when they are ready.
///
/// # Errors
/// A node does not start or fails.
pub async fn host(args: HostArgs) -> Result<()> {
    logs::init("bench", "nodes", logs::Level::Info, logs::Format::Text).context("no logs")?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let task = |node: NodeArgs| Task::new(node.entry, &node.name).with(node.args);
    let tasks: Vec<Task> = args.nodes.into_iter().map(task).collect();
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let mut tasks = Tasks::start(&tasks, &bus, Some(&Local::new()), "bench", &stop).await?;
    let health = Health::default();
    health.set_ready(true);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = serve(any, tasks.metrics().clone(), health, CancellationToken::new()).await?;
    info!("metrics at http://{address}/metrics");
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = tasks.ended() => ended,
    };
    outcome.and(tasks.stop().await)
}
