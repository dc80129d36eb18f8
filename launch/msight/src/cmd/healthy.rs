//! `msight healthy`: a node's health as an exit status, where there is no curl.

use std::net::SocketAddr;

use anyhow::{Result, anyhow};
use msight_node::flags::listen_addr;

use msight_supervise::scrape;

/// Asks a node whether it works: exit status 0, or 1 with the reason
///
/// For the health checks of containers. A node works as long as its process answers, be it that it waits for its camera
/// or its bucket: what restarts containers that are not healthy must not end a node that has segments in hand.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The address of the node's --metrics
    #[arg(value_name = "ADDR", env = "MSIGHT_METRICS", value_parser = listen_addr)]
    metrics: SocketAddr,

    /// Ask whether it does its work now, and is waiting for nothing
    #[arg(long)]
    ready: bool,
}

/// Asks once.
///
/// # Errors
/// The node is not well, or does not answer within 5 s.
pub async fn run(args: Args) -> Result<()> {
    // What listens on all addresses, 0.0.0.0, is reached by that as well: Linux takes it for this machine.
    let answer = match args.ready {
        true => scrape::readiness(args.metrics).await,
        false => scrape::liveness(args.metrics).await,
    };
    answer.map_err(|reason| anyhow!(reason))
}
