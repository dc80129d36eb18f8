//! Nothing is left behind, however the one who started it ends.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

/// Waits for the end of its input, which comes when its parent is gone, and then ends its whole process group and
/// itself. `$1` is a folder to remove, if any.
const SCRIPT: &str = r#"read -r _; [ -z "$1" ] || rm -rf -- "$1"; kill -KILL 0"#;

/// A shell that outlives this process by a moment, also after `kill -9`. Programs that are started into its process
/// group end with it, and so do theirs; and a Ctrl-C in the terminal reaches this process alone, which stops them in
/// order.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    /// Starts to watch over whatever joins the group.
    ///
    /// # Errors
    /// There is no shell, or no room for another process.
    pub fn new() -> Result<Self> {
        Self::start("")
    }

    /// Watches over a folder as well, which is removed at the end.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_folder(folder: &Path) -> Result<Self> {
        Self::start(folder)
    }

    fn start(folder: impl AsRef<std::ffi::OsStr>) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "msight-guard"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start sh")?;
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
        // The end of its input is what it waits for.
        drop(self.input.take());
        let _ = self.shell.wait();
    }
}
