//! How a graph ended: the errors that its nodes logged while they stopped, for `msight down`.

use std::fs;
use std::path::Path;

use msight_supervise::Line;
use serde::{Deserialize, Serialize};

/// The maximum number of errors that are kept; the others are counted.
const MAX_ERRORS: usize = 50;

/// The errors of a stop. They tell what is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// The process of the launcher.
    pid: u32,
    /// The first errors.
    pub(crate) errors: Vec<StopError>,
    /// The number of further ones.
    pub(crate) more: u64,
}

/// An error that a node logged while its graph stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StopError {
    pub(crate) job: String,
    pub(crate) text: String,
}

impl Ending {
    /// The ending of the graph of this process, without errors so far.
    pub(crate) fn new() -> Self {
        Self { pid: std::process::id(), errors: Vec::new(), more: 0 }
    }

    /// Keeps a line if it is an error.
    pub(crate) fn take(&mut self, line: &Line) {
        if !line.is_error() {
            return;
        }
        match self.errors.len() < MAX_ERRORS {
            true => self.errors.push(StopError { job: line.job.to_string(), text: line.text.clone() }),
            false => self.more += 1,
        }
    }

    /// The number of errors, in words; `None` if there is no error.
    pub(crate) fn summary(&self) -> Option<String> {
        match self.errors.len() as u64 + self.more {
            0 => None,
            1 => Some("1 error while it stopped".to_owned()),
            count => Some(format!("{count} errors while it stopped")),
        }
    }

    /// The ending that the launcher with this process has written.
    pub(super) fn read(path: &Path, pid: u32) -> Option<Self> {
        let ending: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        Some(ending).filter(|ending| ending.pid == pid)
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::write_json;
    use super::*;

    fn line(level: &str) -> Line {
        Line { job: "pusher".into(), level: Some(level.to_owned()), text: "3 segments are lost".to_owned() }
    }

    #[test]
    fn errors_of_a_stop_reach_the_reader_in_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ending.json");
        let mut ending = Ending::new();
        ending.take(&line("WARNING"));
        assert_eq!(ending.summary(), None);
        (0..MAX_ERRORS + 2).for_each(|_| ending.take(&line("ERROR")));
        assert!(ending.summary().unwrap().starts_with("52 errors"));
        write_json(&path, &ending).unwrap();
        assert_eq!(Ending::read(&path, std::process::id()), Some(ending));
        assert_eq!(Ending::read(&path, 0), None, "of an earlier graph");
    }
}
