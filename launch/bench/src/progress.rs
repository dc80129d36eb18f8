//! What the bench is doing, on standard error.

use std::fmt;
use std::io::{self, Write as _};
use std::time::Instant;

/// Says what is being done, and since when.
pub(super) struct Progress(Instant);

impl Progress {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    pub(super) fn say(&self, what: impl fmt::Display) {
        let line = format!("{:6.1} s  {what}\n", self.0.elapsed().as_secs_f64());
        // Progress that cannot be shown is not missed.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// Cameras in words.
pub(super) fn counted(cameras: u16) -> String {
    if cameras == 1 { "1 camera".to_owned() } else { format!("{cameras} cameras") }
}
