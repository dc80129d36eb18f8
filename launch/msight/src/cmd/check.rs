//! `msight check`: reports problems of a graph before it runs.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Result;
use msight_node::Entry;

use super::files::{CONTAINER_LIMIT, Files};
use super::{print, print_err};
use msight_compose::Severity;

/// Check a graph before it runs
///
/// Reports all problems at once, each with file, line and what to do: unknown programs and flags, topics without a
/// publisher, message types that differ, duplicate node names, missing variables, cycles, and messages that would
/// crash a Python node. Exits with status 1 if there are errors; warnings and notes do not change the status.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,
}

/// Runs the command.
///
/// # Errors
/// Standard output cannot be written.
pub async fn run(args: Args, entries: &[Entry]) -> Result<ExitCode> {
    let read = args.files.read(entries, false).await?;
    let colour = std::io::stderr().is_terminal();
    // Limits of containers matter to processes only, so `msight up` reports them.
    for finding in read.findings.iter().filter(|finding| finding.code != CONTAINER_LIMIT) {
        print_err(format_args!("{}\n", finding.render(colour)));
    }
    let count = |severity| read.findings.iter().filter(|one| one.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (nodes, servers) = (read.graph.nodes.len() + read.graph.unreadable.len(), read.graph.servers.len());
    let graph = format!("{}, {}", plural(nodes, "node"), plural(servers, "server"));
    print(format_args!("{graph}: {}, {}\n", plural(errors, "error"), plural(warnings, "warning")))?;
    Ok(if errors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
