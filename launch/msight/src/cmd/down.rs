//! `msight down`: stops a running graph.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::interval;

use super::graph_selector::GraphSelector;
use super::print_err;
use crate::running::{Answer, Kind, Request, RunningGraph, StopError};

/// The interval of status requests.
const ASK: Duration = Duration::from_millis(200);

/// Stop a running graph, sources first, so that the last segments are uploaded
///
/// Prints the errors that nodes log while they stop, such as lost segments, and exits with status 1 if there are any.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Compose file of the graph, as with -f
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    selector: GraphSelector,
}

/// Stops the graph and waits for its end. If it is not running, that is printed and is not an error.
///
/// # Errors
/// No graph is selected.
pub async fn run(mut args: Args) -> Result<ExitCode> {
    args.selector.file.append(&mut args.files);
    let name = args.selector.one().await?;
    let Some(running) = RunningGraph::of(&name).await else {
        print_err(format_args!("graph {name} is not running\n"));
        return Ok(ExitCode::SUCCESS);
    };
    let over = running.stop().await.with_context(|| format!("cannot ask graph {name} to stop"))?;
    print_err(format_args!("stopping {name} (process {}), sources first\n", running.about.pid));
    tokio::pin!(over);
    let mut tick = interval(ASK);
    let mut said = HashMap::new();
    loop {
        tokio::select! {
            () = &mut over => break,
            _ = tick.tick() => {}
        }
        let Ok(Answer::States(statuses)) = running.ask(&Request::States).await else { continue };
        for one in statuses {
            let is_news = said.insert(one.node.clone(), one.state) != Some(one.state);
            if is_news && matches!(one.state, Kind::Stopping | Kind::Ended) {
                print_err(format_args!("{}: {}\n", one.node, one.text));
            }
        }
    }
    let Some(ending) = running.ending() else {
        // The launcher was killed, or a second signal ended it.
        print_err(format_args!("{name} has ended without a report; unfinished work may be lost\n"));
        return Ok(ExitCode::FAILURE);
    };
    let Some(summary) = ending.summary() else {
        print_err(format_args!("{name} has stopped\n"));
        return Ok(ExitCode::SUCCESS);
    };
    for StopError { job, text } in &ending.errors {
        print_err(format_args!("{job}: ERROR {text}\n"));
    }
    print_err(format_args!("{name} has stopped; {summary}\n"));
    Ok(ExitCode::FAILURE)
}
