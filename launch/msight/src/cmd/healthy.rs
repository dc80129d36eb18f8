//! `msight healthy`: a node's health as an exit status, for containers without curl.

use std::net::SocketAddr;

use anyhow::{Result, anyhow};
use msight_node::flags::listen_addr;

use msight_supervise::scrape;

/// Check the health of a node: exit status 0, or 1 with the reason
///
/// For the health checks of containers. A node is healthy while its process answers, even if it waits for its camera
/// or its bucket, so that a restart of unhealthy containers never loses segments in memory.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Address of the node's --metrics
    #[arg(value_name = "ADDR", env = "MSIGHT_METRICS", value_parser = listen_addr)]
    metrics: SocketAddr,

    /// Check readiness instead: the node is working and waits for nothing
    #[arg(long)]
    ready: bool,
}

/// Asks the node once.
///
/// # Errors
/// The node is unhealthy, or does not answer within 5 s.
pub async fn run(args: Args) -> Result<()> {
    // A node that listens on 0.0.0.0 can be reached at that address: Linux connects to this machine.
    let answer = match args.ready {
        true => scrape::readiness(args.metrics).await,
        false => scrape::liveness(args.metrics).await,
    };
    answer.map_err(|reason| anyhow!(reason))
}
