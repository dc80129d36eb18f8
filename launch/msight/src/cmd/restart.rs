//! `msight restart`: stops a node of a running graph and starts it again.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::which::Which;
use super::{say, say_aside};
use crate::running::{Answer, Ask, Kind};

/// Stops nodes of a running graph and starts them again, with the command lines that the graph was started with
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The nodes, by the names of their services
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<String>,

    #[command(flatten)]
    which: Which,
}

/// Restarts one after the other, and says how each stands then.
///
/// # Errors
/// The graph does not run.
pub async fn run(args: Args) -> Result<ExitCode> {
    let running = args.which.running().await?;
    let mut outcome = ExitCode::SUCCESS;
    for node in args.nodes {
        match running.ask(&Ask::Restart(node)).await? {
            Answer::States(standings) => {
                for one in standings {
                    if one.state.is_failure() || one.state == Kind::Resting {
                        outcome = ExitCode::FAILURE;
                    }
                    say(format_args!("{}: {}\n", one.node, one.text))?;
                }
            }
            Answer::No(why) => {
                outcome = ExitCode::FAILURE;
                say_aside(format_args!("error: {why}\n"));
            }
            Answer::Stopping => bail!("{} is of another version of this program", running.about.name),
        }
    }
    Ok(outcome)
}
