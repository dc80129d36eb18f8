//! Nothing is left behind, however the bench ends.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

/// Waits for the end of its input, which comes when the bench is gone, and then ends its whole process group and
/// itself. `$1` is the bench's folder.
const SCRIPT: &str = r#"read -r _; rm -rf -- "$1"; kill -KILL 0"#;

/// A shell that outlives the bench by a moment, also after `kill -9`. The programs that the bench starts belong to
/// its process group, so that a Ctrl-C in the terminal reaches the bench alone, which stops them in order.
pub(super) struct Guard {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    /// Starts to watch over `folder` and whatever joins the group.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "msight-bench-guard"])
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
    pub(super) fn group(&self) -> i32 {
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
