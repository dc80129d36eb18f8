//! `msight ps`: lists running graphs and the states of their nodes.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::SignedDuration;
use serde_json::json;

use super::graph_selector::GraphSelector;
use super::{print, print_json};
use crate::running::GraphStatus;
use msight_compose::terminal::cell;

/// Show the nodes of a running graph; without a compose file, those of all running graphs
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Compose file of the graph, as with -f
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    selector: GraphSelector,

    /// Show all running graphs of this user
    #[arg(short, long)]
    all: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the graph, or all of them.
///
/// # Errors
/// The selected graph is not running.
pub async fn run(mut args: Args) -> Result<()> {
    args.selector.file.append(&mut args.files);
    let graphs = match args.all || args.selector.name()?.is_none() {
        true => GraphStatus::all().await?,
        false => {
            let graph = args.selector.running().await?;
            let name = graph.about.name.clone();
            vec![GraphStatus::of(graph).await?.with_context(|| format!("{name} is not running any more"))?]
        }
    };
    if args.json {
        return print_json(&json!(graphs));
    }
    if graphs.is_empty() {
        return print("no graph is running\n");
    }
    print(graphs.iter().map(text).collect::<Vec<_>>().join("\n"))
}

fn text(GraphStatus { about, nodes }: &GraphStatus) -> String {
    let place = if about.background { "in the background" } else { "in the foreground" };
    let mut text = format!("{}: {}, process {}, {place}\n", about.name, about.folder.display(), about.pid);
    let rows = nodes.iter().map(|one| {
        let seconds = SignedDuration::from_secs(one.seconds as i64);
        [
            cell(&one.node),
            one.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            one.starts.to_string(),
            one.metrics.map(|address| address.to_string()).unwrap_or_default(),
            format!("{seconds:#}"),
            cell(&one.text),
        ]
    });
    let head = ["NODE", "PID", "STARTS", "METRICS", "FOR", "STATE"].map(str::to_owned);
    let rows: Vec<[String; 6]> = [head].into_iter().chain(rows).collect();
    let widths: [usize; 6] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text += &format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}
