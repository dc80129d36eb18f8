//! A node whose command line is parsed, and how it runs with all that its flags ask for.

use std::time::Instant;

use anyhow::Result;
use msight_bus::{Backoff, BoxFuture, Connection, Error, OutageLimit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, info, warn};

use crate::Local;
use crate::flags::CommonFlags;
use crate::health::{self, Health};
use crate::logs;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::readiness;
use crate::resources::Resources;

/// Runs a node whose flags are parsed.
pub(crate) type Run = Box<dyn FnOnce(CommonFlags, Resources) -> BoxFuture<'static, Result<()>> + Send>;

/// A node that is ready to run: [`Entry::prepare`](crate::Entry::prepare) has parsed its command line.
pub struct PreparedNode {
    pub(crate) flags: CommonFlags,
    pub(crate) run: Run,
}

/// The process that a [`PreparedNode`] runs in.
#[derive(Clone)]
pub struct HostProcess {
    /// Where topics and registry are; `None` connects to the Redis server of the node's flags and variables.
    pub connection: Option<Connection>,
    /// The topics that the nodes of the process share.
    pub local: Option<Local>,
    /// The device's name.
    pub device: String,
    /// Cancel it to stop the node as a first signal does.
    pub stop: CancellationToken,
    /// Where the node reports readiness and the address of its metrics.
    pub supervisor: Notifier,
}

impl PreparedNode {
    /// The node's name.
    pub fn name(&self) -> &str {
        &self.flags.name
    }

    /// Runs the node until `host.stop` is cancelled or it ends by itself, with metrics where its flags ask for them.
    /// Its log lines carry its name, and its metrics are its own.
    ///
    /// # Errors
    /// The node has failed, with the status that [`exit_code`](crate::exit_code) has for the error.
    pub async fn run(self, host: HostProcess) -> Result<()> {
        let span = logs::node_span(self.name());
        // The end of one node does not stop the others.
        let stop = host.stop.child_token();
        self.run_alone(HostProcess { stop, ..host }).instrument(span).await
    }

    /// As [`run`](Self::run), in a process that has no other node.
    pub(crate) async fn run_alone(self, host: HostProcess) -> Result<()> {
        let Self { flags, run } = self;
        let HostProcess { connection, local, device, stop, supervisor } = host;
        let (metrics, health) = (Metrics::default().labelled("node", &flags.name), Health::default());
        let served = stop.child_token();
        let _serving = served.clone().drop_guard();
        let mut served_on = None;
        if let Some(address) = flags.metrics {
            let address = health::serve(address, metrics.clone(), health.clone(), served).await?;
            info!("metrics at http://{address}/metrics");
            served_on = Some(address);
        }
        health.set_reason("waiting for the bus");
        let report = readiness::report(health.clone(), served_on, stop.clone(), supervisor);
        let _reporting = AbortOnDropHandle::new(tokio::spawn(report.in_current_span()));
        let connection = match connection {
            Some(connection) => connection,
            None => match connect(flags.redis_url.as_deref(), &stop).await? {
                Some(connection) => connection,
                None => return Ok(()),
            },
        };
        let Connection { bus, registry } = connection;
        run(flags, Resources { bus, registry, local, device, metrics, health, stop }).await
    }
}

/// Bus and registry, as soon as they answer; `None` when the node is stopped meanwhile.
async fn connect(url: Option<&str>, stop: &CancellationToken) -> Result<Option<Connection>> {
    let mut backoff = Backoff::reconnecting();
    let mut outage = OutageLimit::default();
    loop {
        match msight_bus::connect(url).await {
            Ok(connection) => {
                if let Some(line) = outage.recovered(Instant::now()) {
                    let bus = connection.bus.describe();
                    info!(bus, "connected after {:.1} s", line.lasted.as_secs_f64());
                }
                return Ok(Some(connection));
            }
            Err(error @ Error::Unavailable { .. }) => {
                if outage.failed(Instant::now()).is_some() {
                    warn!("{error}; retrying");
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(backoff.delay()) => {}
        }
    }
}
