//! What a graph in the background says, kept in files of bounded size.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::handoff::Handoff;
use msight_supervise::Line;

/// The most bytes of a file; there are two, the older one of which is replaced when the newer is full.
const MOST_BYTES: u64 = 8 << 20;

/// How long the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Lines that may wait to be written.
const MOST_LINES: usize = 4096;

/// A line of the log, as its file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// When it was said (RFC 3339).
    pub(crate) at: Timestamp,
    /// Who said it.
    pub(crate) job: String,
    /// How bad it is, where that is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<String>,
    /// What was said.
    pub(crate) text: String,
}

/// Keeps lines. A disk that is slow or full does not hold up the graph: what cannot be kept is counted, and said where it
/// would stand.
#[derive(Debug)]
pub(crate) struct Recorder {
    lines: Handoff<Record>,
}

impl Recorder {
    /// Appends to this file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn new(path: PathBuf) -> Result<Self> {
        Self::with(path, MOST_BYTES)
    }

    fn with(path: PathBuf, most_bytes: u64) -> Result<Self> {
        let pages = Pages::open(path, most_bytes)?;
        Ok(Self { lines: Handoff::new(MOST_LINES, move |lines| write(pages, lines)) })
    }

    /// Keeps a line of a job.
    pub(crate) fn line(&mut self, line: &Line) {
        self.keep(&line.job, line.level.clone(), line.text.clone());
    }

    /// Keeps a word of the launcher itself.
    pub(crate) fn note(&mut self, text: &str) {
        self.keep("msight", None, text.to_owned());
    }

    fn keep(&mut self, job: &str, level: Option<String>, text: String) {
        let at = Timestamp::now();
        let record = Record { at, job: job.to_owned(), level, text };
        self.lines.put(record, |count| missing(at, count, "they came faster than the disk takes them"));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // A disk that hangs does not hold up the end.
        self.lines.end(LAST_LINES);
    }
}

fn missing(at: Timestamp, count: u64, why: &str) -> Record {
    let text = format!("{count} lines are left out here: {why}");
    Record { at, job: "msight".to_owned(), level: Some("WARNING".to_owned()), text }
}

fn write(mut pages: Pages, lines: Receiver<Record>) {
    let mut failed: Option<(u64, io::Error)> = None;
    for record in lines {
        if let Some((count, error)) = &failed {
            let said = missing(record.at, *count, &error.to_string());
            if pages.append(&said).is_ok() {
                failed = None;
            }
        }
        let outcome = match &failed {
            None => pages.append(&record),
            Some(_) => Err(io::ErrorKind::StorageFull.into()),
        };
        if let Err(error) = outcome {
            failed = Some(match failed {
                Some((count, first)) => (count + 1, first),
                None => (1, error),
            });
        }
    }
}

/// The file that is written, and the one before it.
struct Pages {
    path: PathBuf,
    file: File,
    bytes: u64,
    most_bytes: u64,
    /// A line of which only the beginning could be written.
    is_torn: bool,
}

impl Pages {
    fn open(path: PathBuf, most_bytes: u64) -> Result<Self> {
        let file = append_to(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let bytes = file.metadata().map_or(0, |found| found.len());
        Ok(Self { path, file, bytes, most_bytes, is_torn: bytes > 0 })
    }

    fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut text = if self.is_torn { "\n".to_owned() } else { String::new() };
        text += &serde_json::to_string(record)?;
        text.push('\n');
        if self.bytes > 0 && self.bytes + text.len() as u64 > self.most_bytes {
            match fs::rename(&self.path, self.path.with_extension("1")) {
                // Somebody has removed it, or no new one could be made the last time.
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
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::running::Replay;

    #[test]
    fn the_newest_lines_are_kept_in_two_files_of_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut recorder = Recorder::with(path.clone(), 4000).unwrap();
        for number in 0..500 {
            recorder.note(&format!("line {number}"));
        }
        drop(recorder);
        let sizes = ["log", "log.1"].map(|name| fs::metadata(folder.path().join(name)).unwrap().len());
        assert!(sizes.iter().all(|bytes| *bytes <= 4000), "{sizes:?}");
        let mut replay = Replay::of_file(path);
        let mut kept = Vec::new();
        replay.read(|record| kept.push(record.text)).unwrap();
        let expected: Vec<String> = (500 - kept.len()..500).map(|number| format!("line {number}")).collect();
        assert!(kept.len() > 40);
        assert_eq!(kept, expected);
    }

    #[test]
    fn a_log_that_somebody_has_removed_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut pages = Pages::open(path.clone(), 200).unwrap();
        let record = missing(Timestamp::now(), 1, "why");
        pages.append(&record).unwrap();
        fs::remove_file(&path).unwrap();
        for _ in 0..3 {
            pages.append(&record).unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() > 0);
    }

    #[test]
    fn a_line_that_was_torn_does_not_tear_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "{\"at\":\"2026-01-01T00:").unwrap();
        let mut recorder = Recorder::with(path.clone(), 4000).unwrap();
        recorder.note("whole");
        drop(recorder);
        let mut texts = Vec::new();
        Replay::of_file(path).read(|record| texts.push(record.text)).unwrap();
        assert_eq!(texts, ["whole"]);
    }
}
