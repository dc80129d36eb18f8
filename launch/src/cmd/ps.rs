//! `msight ps`: the graphs that run on this machine, and how their nodes stand.

use std::path::PathBuf;

use anyhow::{Result, bail};
use jiff::SignedDuration;
use serde_json::json;

use super::say;
use super::which::Which;
use crate::running::{Answer, Ask, Running, Standing};

/// Shows how the nodes of a running graph stand; all graphs where there is no compose file
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A compose file of the graph, as with -f
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    which: Which,

    /// All graphs of this user that run on this machine
    #[arg(short, long)]
    all: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the graph, or all of them.
///
/// # Errors
/// The graph that is meant does not run.
pub async fn run(mut args: Args) -> Result<()> {
    args.which.file.append(&mut args.files);
    let is_one = !args.all && args.which.name()?.is_some();
    let graphs = if is_one { vec![args.which.running().await?] } else { Running::all().await };
    let mut shown = Vec::new();
    for graph in &graphs {
        match graph.ask(&Ask::States).await {
            Ok(Answer::States(standings)) => shown.push((graph, standings)),
            Ok(_) => bail!("{} is of another version of this program", graph.about.name),
            // It has ended just now.
            Err(error) if is_one => return Err(error),
            Err(_) => {}
        }
    }
    if args.json {
        let graphs = shown.iter().map(|(graph, nodes)| {
            let mut value = json!(graph.about);
            value["nodes"] = json!(nodes);
            value
        });
        return say(format_args!("{:#}\n", json!(graphs.collect::<Vec<_>>())));
    }
    if shown.is_empty() {
        return say("no graph is running\n");
    }
    let texts = shown.iter().map(|(graph, standings)| text(graph, standings));
    say(texts.collect::<Vec<_>>().join("\n"))
}

fn text(graph: &Running, standings: &[Standing]) -> String {
    let about = &graph.about;
    let place = if about.background { "in the background" } else { "in the foreground" };
    let mut text = format!("{}: {}, process {}, {place}\n", about.name, about.folder.display(), about.pid);
    let rows = standings.iter().map(|one| {
        let seconds = SignedDuration::from_secs(one.seconds as i64);
        [
            one.node.clone(),
            one.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            one.starts.to_string(),
            one.metrics.map(|address| address.to_string()).unwrap_or_default(),
            format!("{seconds:#}"),
            one.text.clone(),
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
