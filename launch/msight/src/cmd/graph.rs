//! `msight graph`: a picture of a graph.

use std::io::IsTerminal as _;

use anyhow::Result;
use msight_node::Entry;

use super::files::Files;
use super::{say, say_aside};
use msight_compose::Severity;
use msight_graph::{Format, draw};

/// Draws a graph: its nodes, the topics between them, and the servers around them
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,

    /// How to draw it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// Runs the command. What is wrong with the graph is said beside the picture of what could be read.
///
/// # Errors
/// Standard output cannot be written.
pub async fn run(args: Args, entries: &[Entry]) -> Result<()> {
    let read = args.files.read(entries, false).await?;
    for finding in read.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        say_aside(format_args!("{}\n", finding.render(std::io::stderr().is_terminal())));
    }
    say(draw(&read.graph, args.format))
}
