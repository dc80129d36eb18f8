//! `msight graph`: draws a graph.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Result;
use msight_node::Entry;

use super::files::Files;
use super::{print, print_err};
use msight_compose::{Finding, Severity};
use msight_graph::{Format, draw};

/// Draw a graph: its nodes, topics and servers
///
/// Prints the errors of the graph and the variables that are not set to standard error, and draws what can be read. The name
/// of a required variable that is not set stands for its value, as ${BUCKET}. Exits with status 1 if a compose file
/// cannot be read.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,

    /// Output format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// Draws the graph. Errors are printed to standard error, and the readable part is drawn.
///
/// # Errors
/// Standard output cannot be written.
pub async fn run(args: Args, entries: &[Entry]) -> Result<ExitCode> {
    let read = args.files.read(entries, false).await?;
    let mut printed: Vec<&str> = Vec::new();
    for finding in read.findings.iter().filter(|finding| is_shown(finding)) {
        // A variable is often used in several places.
        if finding.code.starts_with(VARIABLE) && printed.contains(&&*finding.message) {
            continue;
        }
        printed.push(&finding.message);
        print_err(format_args!("{}\n", finding.render(std::io::stderr().is_terminal())));
    }
    print(draw(&read.graph, args.format))?;
    Ok(if read.is_unreadable { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the codes of findings about variables begin with.
const VARIABLE: &str = "variable-";

/// Whether a finding explains what is drawn.
fn is_shown(finding: &Finding) -> bool {
    finding.severity == Severity::Error
        || (finding.severity == Severity::Warning && finding.code.starts_with(VARIABLE))
}
