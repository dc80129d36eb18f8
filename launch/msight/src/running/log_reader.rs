//! Reads the log of a graph in the background while it is being written.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::LogRecord;
use super::registration::log_of;

/// Reads a log from its beginning, across the change of files.
#[derive(Debug)]
pub(crate) struct LogReader {
    path: PathBuf,
    open: Option<BufReader<File>>,
    /// The start of an incomplete line.
    part: Vec<u8>,
}

impl LogReader {
    /// Opens the log of the graph with this name.
    ///
    /// # Errors
    /// This graph has no log.
    pub(crate) fn of(graph: &str) -> io::Result<Self> {
        log_of(graph).map(Self::of_file)
    }

    pub(super) fn of_file(path: PathBuf) -> Self {
        let before = File::open(path.with_extension("1")).ok();
        Self { path, open: before.map(BufReader::new), part: Vec::new() }
    }

    /// Passes all records since the last call to `each`.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn read(&mut self, mut each: impl FnMut(LogRecord)) -> io::Result<()> {
        loop {
            // If the current file is another one, the open one is complete.
            let now = File::open(&self.path).ok();
            if let Some(file) = &mut self.open {
                while file.read_until(b'\n', &mut self.part)? > 0 {
                    if self.part.last() == Some(&b'\n') {
                        // Skip incomplete records, which a full disk can cause.
                        if let Ok(record) = serde_json::from_slice(&self.part) {
                            each(record);
                        }
                        self.part.clear();
                    }
                }
            }
            let Some(now) = now else { return Ok(()) };
            if let Some(open) = &self.open
                && open.get_ref().metadata()?.ino() == now.metadata()?.ino()
            {
                return Ok(());
            }
            self.open = Some(BufReader::new(now));
            self.part.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(text: &str) -> String {
        format!("{{\"at\":\"2026-01-01T00:00:00Z\",\"job\":\"a\",\"text\":{text:?}}}\n")
    }

    fn read(reader: &mut LogReader) -> Vec<String> {
        let mut texts = Vec::new();
        reader.read(|record| texts.push(record.text)).unwrap();
        texts
    }

    #[test]
    fn what_is_said_later_follows_across_files_and_half_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(path.with_extension("1"), line("1")).unwrap();
        let second = line("3");
        let (begun, rest) = second.split_at(20);
        fs::write(&path, line("2") + begun).unwrap();
        let mut reader = LogReader::of_file(path.clone());
        assert_eq!(read(&mut reader), ["1", "2"]);
        assert_eq!(read(&mut reader), [""; 0]);
        fs::write(&path, line("2") + begun + rest + "no record\n").unwrap();
        assert_eq!(read(&mut reader), ["3"]);
        fs::rename(&path, path.with_extension("1")).unwrap();
        fs::write(&path, line("4")).unwrap();
        assert_eq!(read(&mut reader), ["4"]);
    }
}
