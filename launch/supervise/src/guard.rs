//! Kills all started processes when the launcher ends, however it ends.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

use super::report_socket::forget_supervisor;

/// Waits for the end of its input, which means that its parent has ended, and then kills its process group. `$1` is a
/// folder to remove, if any.
const SCRIPT: &str = r#"read -r _; [ -z "$1" ] || rm -rf -- "$1"; kill -KILL 0"#;

/// A shell that outlives this process briefly, also after `kill -9`. Programs started in its process group are killed
/// with it. Ctrl-C in the terminal reaches only this process, which stops the programs in order.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    /// Starts the guard of a new process group.
    ///
    /// # Errors
    /// There is no shell, or no process can be created.
    pub fn new() -> Result<Self> {
        Self::start("")
    }

    /// Also removes a folder at the end.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_folder(folder: &Path) -> Result<Self> {
        Self::start(folder)
    }

    fn start(folder: impl AsRef<std::ffi::OsStr>) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "msight-guard"]).arg(folder).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        forget_supervisor(&mut command);
        let mut shell = command.spawn().context("cannot start sh")?;
        let input = shell.stdin.take();
        Ok(Self { shell, input })
    }

    /// The process group to join.
    pub fn group(&self) -> i32 {
        self.shell.id().cast_signed()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Closing its input ends it.
        drop(self.input.take());
        let _ = self.shell.wait();
    }
}
