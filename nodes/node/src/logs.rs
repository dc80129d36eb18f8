//! Log lines on stderr: for people on a terminal, as JSON for collectors.
//!
//! The text form is MSight's, `2026-11-20 10:43:33,737 - <device> - <node> - <LEVEL> :: <text>` in local time,
//! followed by the event's fields as `key=value`. Text from outside is escaped, so that no sensor name can forge a line or
//! move the cursor.

mod format;
mod repeated;
mod repeated_sum;
mod writer;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::format::{Lines, NodeNames, Shape};
pub use self::repeated::Repeated;
pub use self::repeated_sum::RepeatedSum;
use self::writer::LineWriter;
pub use self::writer::{flush, lines_left_out, write_report};

/// The minimum log level, by Python's names. A more verbose level is the lesser one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Decisions, also those of the libraries underneath.
    Debug,
    /// Life cycle, one line per segment or upload.
    #[default]
    Info,
    /// Failures that the node recovers from by itself.
    Warning,
    /// Data lost or help needed.
    Error,
    /// The same as `Error`, the highest level here.
    Critical,
}

impl Level {
    /// Reads one of Python's names, in any case.
    ///
    /// # Errors
    ///
    /// The message for the user, with the valid names and the places the name can come from.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name.to_ascii_uppercase().as_str() {
            "DEBUG" => Ok(Self::Debug),
            "INFO" => Ok(Self::Info),
            "WARNING" | "WARN" => Ok(Self::Warning),
            "ERROR" => Ok(Self::Error),
            "CRITICAL" | "FATAL" => Ok(Self::Critical),
            _ => Err(format!(
                "unknown logging level: '{name}'; set --logging-level or MSIGHT_LOGGING_LEVEL to DEBUG, INFO, WARNING, \
                 ERROR or CRITICAL"
            )),
        }
    }

    /// The filter of this level, in the syntax of [`EnvFilter`].
    fn directives(self) -> String {
        let quiet =
            |level: &str| FOLDED.iter().fold(level.to_owned(), |all, library| all + "," + library + "=off");
        match self {
            Self::Debug => "debug".to_owned(),
            // The info lines of libraries are debug lines for an operator of nodes. The libraries are listed, so that
            // the lines of every custom node pass, whatever its crate's name.
            Self::Info => LIBRARIES.iter().fold(quiet("info"), |all, library| all + "," + library + "=warn"),
            Self::Warning => quiet("warn"),
            Self::Error | Self::Critical => quiet("error"),
        }
    }
}

/// Target prefixes of libraries whose failures our own lines report: once for an outage, in words for the user.
const FOLDED: [&str; 3] = ["aws_", "redis::", "s3s::service"];

/// Target prefixes of verbose libraries. The colons keep a node in a crate called `tower_camera` audible.
const LIBRARIES: [&str; 8] =
    ["h2::", "hyper::", "hyper_util::", "retina::", "rustls::", "s3s::", "s3s_fs::", "tower::"];

/// The format of log lines, `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text on a terminal, else JSON.
    Auto,
    /// Text, coloured on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging for the process, on stderr. `device` and `node` are named in every line; lines within
/// [`node_span`] name that span's node instead. `RUST_LOG`, if set, takes precedence over `level`. A panic is logged
/// like an error.
///
/// A thread of its own writes the lines, so that no other thread waits for standard error. Lines that have no room
/// while standard error takes none are counted, and reported when it takes lines again.
///
/// Keep the guard until the process ends.
///
/// # Errors
///
/// When the process has already started logging, or cannot start a thread. An invalid `RUST_LOG` is no error: it is
/// logged, and `level` applies.
pub fn init(device: &str, node: &str, level: Level, format: Format) -> Result<Guard> {
    let terminal = io::stderr().is_terminal();
    let shape = match format {
        Format::Json => Shape::Json,
        Format::Auto if !terminal => Shape::Json,
        // https://no-color.org
        _ => Shape::Text {
            colours: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        },
    };
    let (filter, invalid) = filter(std::env::var("RUST_LOG").ok().as_deref(), level);
    let format = Lines { device: device.to_owned(), node: node.to_owned(), shape };
    let reports = format.clone();
    let writer = LineWriter::start(io::stderr(), move |count| reports.left_out(count))
        .context("cannot start the thread that writes the log")?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer.clone())
        .log_internal_errors(false)
        .event_format(format);
    tracing_subscriber::registry().with(filter).with(NodeNames).with(lines).try_init()?;
    writer.install();
    // The default hook writes to standard error itself, and waits for it.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    if let Some(reason) = invalid {
        tracing::warn!(%reason, "invalid RUST_LOG ignored; write a list of target=level, such as info,retina=debug");
    }
    Ok(Guard(()))
}

/// Writes the last lines when it is dropped, at the end of the process.
#[derive(Debug)]
#[must_use = "the last lines are written when it is dropped"]
pub struct Guard(());

impl Drop for Guard {
    fn drop(&mut self) {
        flush(Duration::from_secs(1));
    }
}

/// The span of one node among several in a process: the lines within it carry its name. Instrument the node's
/// tasks with it, and enter it on its threads.
pub fn node_span(name: &str) -> Span {
    // At the highest level, so that no filter removes the span and with it the name from the remaining lines.
    tracing::error_span!(target: "msight_node", "node", node = name)
}

fn filter(rust_log: Option<&str>, level: Level) -> (EnvFilter, Option<String>) {
    let by_level = || EnvFilter::new(level.directives());
    match rust_log.filter(|directives| !directives.trim().is_empty()).map(EnvFilter::try_new) {
        None => (by_level(), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (by_level(), Some(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
