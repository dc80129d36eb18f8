//! A graph on this machine, without containers: its nodes as processes or together in one, and the servers that they
//! need.
//!
//! What answers already is used; what does not is started, by the program of that name or by what this launcher
//! brings along. Nothing is left out unsaid.

mod answer;
mod names;
mod neighbours;
mod plan;
mod provide;
mod redis;
mod rtsp;
mod s3;
mod together;
mod volumes;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

pub use plan::{Plan, plan};
pub use together::{HOST_NODES, OneProcess};

/// Where this program is, to be started again as something else.
///
/// # Errors
/// The system does not say.
pub fn own_program() -> Result<PathBuf> {
    std::env::current_exe().context("this program does not know where it is")
}
