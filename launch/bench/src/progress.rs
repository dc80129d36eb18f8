//! Prints the progress of the bench to standard error.

use std::fmt;
use std::io::{self, Write as _};
use std::time::Instant;

/// Prints the current step with the elapsed time.
pub(super) struct Progress(Instant);

impl Progress {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    pub(super) fn say(&self, what: impl fmt::Display) {
        let line = format!("{:6.1} s  {what}\n", self.0.elapsed().as_secs_f64());
        // Errors are ignored: progress is not essential.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// Cameras in words.
pub(super) fn counted(cameras: u16) -> String {
    if cameras == 1 { "1 camera".to_owned() } else { format!("{cameras} cameras") }
}
