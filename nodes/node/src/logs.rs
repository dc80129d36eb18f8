//! Log lines on stderr: for people on a terminal, as JSON for collectors.
//!
//! The text form is MSight's, `2026-11-20 10:43:33,737 - <device> - <node> - <LEVEL> :: <text>` in local time,
//! followed by the event's fields as `key=value`. Whatever comes from outside is escaped, so that no sensor name
//! can forge a line or move the cursor.

mod format;
mod repeated;

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use self::format::{Lines, NodeNames, Shape};
pub use self::repeated::Repeated;

/// The least severe lines to write, by Python's names. The one that writes more is the lesser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Decisions, also those of the libraries underneath.
    Debug,
    /// Life cycle, one line per segment or upload.
    #[default]
    Info,
    /// What went wrong and was mended.
    Warning,
    /// Data lost or help needed.
    Error,
    /// As `Error`: there is nothing above it here.
    Critical,
}

impl Level {
    /// Reads one of Python's names, in any case.
    ///
    /// # Errors
    ///
    /// The message for the user, with the names that exist and the places the name can come from.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name.to_ascii_uppercase().as_str() {
            "DEBUG" => Ok(Self::Debug),
            "INFO" => Ok(Self::Info),
            "WARNING" | "WARN" => Ok(Self::Warning),
            "ERROR" => Ok(Self::Error),
            "CRITICAL" | "FATAL" => Ok(Self::Critical),
            _ => Err(format!(
                "unknown logging level: '{name}' (DEBUG, INFO, WARNING, ERROR or CRITICAL, by --logging-level or \
                 MSIGHT_LOGGING_LEVEL)"
            )),
        }
    }

    /// What passes, in the syntax of [`EnvFilter`].
    fn directives(self) -> String {
        match self {
            Self::Debug => "debug".to_owned(),
            // What libraries call information is debugging to whoever runs a node. Named one by one, so that the
            // lines of a custom node, whatever its crate's name, are seen.
            Self::Info => {
                LIBRARIES.iter().fold("info".to_owned(), |all, library| all + "," + library + "=warn")
            }
            Self::Warning => "warn".to_owned(),
            Self::Error | Self::Critical => "error".to_owned(),
        }
    }
}

/// Beginnings of the targets of the libraries underneath that are talkative. With the colons, so that they do
/// not silence a node in a crate called `tower_camera`.
const LIBRARIES: [&str; 10] = [
    "aws_",
    "h2::",
    "hyper::",
    "hyper_util::",
    "redis::",
    "retina::",
    "rustls::",
    "s3s::",
    "s3s_fs::",
    "tower::",
];

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text, coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for the process, on stderr. `device` and `node` are named in every line; lines within
/// [`node_span`] name that span's node instead. `RUST_LOG`, if set, goes before `level`.
///
/// # Errors
///
/// When the process has already started logging. A `RUST_LOG` that cannot be read is no error: it is said, and
/// `level` applies.
pub fn init(device: &str, node: &str, level: Level, format: Format) -> Result<(), TryInitError> {
    let terminal = io::stderr().is_terminal();
    let shape = match format {
        Format::Json => Shape::Json,
        Format::Auto if !terminal => Shape::Json,
        // https://no-color.org
        _ => Shape::Text {
            colours: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        },
    };
    let (filter, unreadable) = filter(std::env::var("RUST_LOG").ok().as_deref(), level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // On a full disk the line is lost. Saying so on standard error, which is where it failed, would panic.
        .log_internal_errors(false)
        .event_format(Lines { device: device.to_owned(), node: node.to_owned(), shape });
    tracing_subscriber::registry().with(filter).with(NodeNames).with(lines).try_init()?;
    if let Some(reason) = unreadable {
        tracing::warn!(%reason, "RUST_LOG cannot be read and is ignored: it lists target=level, as in info,retina=debug");
    }
    Ok(())
}

/// The span of one node among several in a process: the lines within it carry its name. Instrument the node's
/// tasks with it, and enter it on its threads.
pub fn node_span(name: &str) -> Span {
    // Of the highest level, so that no filter takes the names out of the lines that remain.
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
