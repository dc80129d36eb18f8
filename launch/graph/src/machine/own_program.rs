//! The file of this program.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Where this program is, to be started again as something else.
///
/// # Errors
/// The system does not say.
pub fn own_program() -> Result<PathBuf> {
    std::env::current_exe().context("this program does not know where it is")
}
