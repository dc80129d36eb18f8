//! Stores the log of a graph in the background in files of limited size.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use msight_bus::Limits;
use msight_node::line_queue::{LineSender, Received, spawn_writer};
use serde::{Deserialize, Serialize};

use super::folder::private;
use msight_supervise::Line;

/// The maximum size of a file. There are two; the older one is replaced when the newer one is full.
const MAX_BYTES: u64 = 8 << 20;

/// The time limit for writing the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The lines that wait to be written while the disk takes none.
const LINES: Limits = Limits::new(4096, 8 << 20);

/// A line of the log, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogRecord {
    /// The time of the line (RFC 3339).
    pub(crate) at: Timestamp,
    /// The job that wrote it.
    pub(crate) job: String,
    /// The log level, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<String>,
    /// The text.
    pub(crate) text: String,
}

/// Stores log lines. A slow or full disk does not block the graph: dropped lines are counted and reported in their
/// place.
#[derive(Debug)]
pub(crate) struct LogWriter {
    lines: LineSender<LogRecord>,
}

impl LogWriter {
    /// Stores lines in this file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn new(path: PathBuf) -> Result<Self> {
        Self::with(path, MAX_BYTES)
    }

    fn with(path: PathBuf, max_bytes: u64) -> Result<Self> {
        let mut files = LogFiles::open(path, max_bytes)?;
        let mut failure = None;
        let lines = spawn_writer("log", LINES, move |received| {
            let outcome = match received {
                Received::Line(record) => files.append(&record),
                Received::LeftOut(count) => {
                    let failure: Option<String> = failure.take();
                    files.append(&missing(count, failure.as_deref()))
                }
            };
            if let Err(error) = &outcome {
                failure = Some(error.to_string());
            }
            outcome
        });
        Ok(Self { lines: lines.context("cannot start the thread that writes the log")? })
    }

    /// Stores a line of a job.
    pub(crate) fn line(&mut self, line: &Line) {
        self.keep(&line.job, line.level.clone(), line.text.clone());
    }

    /// Stores a line of the launcher.
    pub(crate) fn note(&mut self, text: &str) {
        self.keep("msight", None, text.to_owned());
    }

    fn keep(&mut self, job: &str, level: Option<String>, text: String) {
        let at = Timestamp::now();
        let bytes = text.len() + size_of::<LogRecord>();
        self.lines.push(LogRecord { at, job: job.to_owned(), level, text }, bytes);
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        // A disk that hangs must not block the exit.
        self.lines.flush(LAST_LINES);
    }
}

/// The record of missing lines. Without a failure of the disk there was no room for them.
fn missing(count: u64, failure: Option<&str>) -> LogRecord {
    let text = format!("{count} lines dropped here: {}", failure.unwrap_or("the disk is too slow"));
    LogRecord { at: Timestamp::now(), job: "msight".to_owned(), level: Some("WARNING".to_owned()), text }
}

/// The current file and the previous one.
struct LogFiles {
    path: PathBuf,
    file: File,
    bytes: u64,
    max_bytes: u64,
    /// Whether the last line may be incomplete.
    is_torn: bool,
}

impl LogFiles {
    fn open(path: PathBuf, max_bytes: u64) -> Result<Self> {
        let file = append_to(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let bytes = file.metadata().map_or(0, |found| found.len());
        Ok(Self { path, file, bytes, max_bytes, is_torn: bytes > 0 })
    }

    fn append(&mut self, record: &LogRecord) -> io::Result<()> {
        let mut text = if self.is_torn { "\n".to_owned() } else { String::new() };
        text += &serde_json::to_string(record)?;
        text.push('\n');
        if self.bytes > 0 && self.bytes + text.len() as u64 > self.max_bytes {
            match fs::rename(&self.path, self.path.with_extension("1")) {
                // The file was removed, or could not be created the last time.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
            self.file = append_to(&self.path)?;
            self.bytes = 0;
        }
        self.is_torn = true;
        self.file.write_all(text.as_bytes())?;
        self.is_torn = false;
        self.bytes += text.len() as u64;
        Ok(())
    }
}

fn append_to(path: &std::path::Path) -> io::Result<File> {
    private(path, OpenOptions::new().append(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::running::LogReader;

    #[test]
    fn the_newest_lines_are_kept_in_two_files_of_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut writer = LogWriter::with(path.clone(), 4000).unwrap();
        for number in 0..500 {
            writer.note(&format!("line {number}"));
        }
        drop(writer);
        let sizes = ["log", "log.1"].map(|name| fs::metadata(folder.path().join(name)).unwrap().len());
        assert!(sizes.iter().all(|bytes| *bytes <= 4000), "{sizes:?}");
        let mut reader = LogReader::of_file(path);
        let mut kept = Vec::new();
        reader.read(|record| kept.push(record.text)).unwrap();
        let expected: Vec<String> = (500 - kept.len()..500).map(|number| format!("line {number}")).collect();
        assert!(kept.len() > 40);
        assert_eq!(kept, expected);
    }

    #[test]
    fn a_removed_log_is_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut files = LogFiles::open(path.clone(), 200).unwrap();
        let record = missing(1, None);
        files.append(&record).unwrap();
        fs::remove_file(&path).unwrap();
        for _ in 0..3 {
            files.append(&record).unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() > 0);
    }

    #[test]
    fn a_line_that_was_torn_does_not_tear_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "{\"at\":\"2026-01-01T00:").unwrap();
        let mut writer = LogWriter::with(path.clone(), 4000).unwrap();
        writer.note("whole");
        drop(writer);
        let mut texts = Vec::new();
        LogReader::of_file(path).read(|record| texts.push(record.text)).unwrap();
        assert_eq!(texts, ["whole"]);
    }
}
