//! `msight restart`: restarts nodes of a running graph.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::graph_selector::GraphSelector;
use super::{print, print_err};
use crate::running::{Answer, Kind, Request};

/// Restart nodes of a running graph, with the command lines that the graph was started with
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Service names of the nodes
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<String>,

    #[command(flatten)]
    selector: GraphSelector,
}

/// Restarts the nodes one by one and prints their states.
///
/// # Errors
/// The graph is not running.
pub async fn run(args: Args) -> Result<ExitCode> {
    let running = args.selector.running().await?;
    let mut outcome = ExitCode::SUCCESS;
    for node in args.nodes {
        match running.ask(&Request::Restart(node)).await? {
            Answer::States(statuses) => {
                for one in statuses {
                    if one.state.is_failure() || one.state == Kind::Resting {
                        outcome = ExitCode::FAILURE;
                    }
                    print(format_args!("{}: {}\n", one.node, one.text))?;
                }
            }
            Answer::No(why) => {
                outcome = ExitCode::FAILURE;
                print_err(format_args!("error: {why}\n"));
            }
            Answer::Stopping => bail!("graph {} was started by another msight version", running.about.name),
        }
    }
    Ok(outcome)
}
