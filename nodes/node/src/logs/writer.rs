//! Writes log lines on a thread of its own.
//!
//! Standard error may be a pipe that its reader does not empty, or a terminal that is stopped. Writing to it then waits,
//! and whatever logs would wait with it: the frame path, `/healthz`, and the handler of signals.

use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::time::Duration;

use msight_bus::Limits;
use tracing_subscriber::fmt::MakeWriter;

use crate::line_queue::{LineSender, Received, spawn_writer};

/// The lines that wait while standard error takes none: some thousand, and no more memory than a small segment.
const LINES: Limits = Limits::new(4096, 1 << 20);

/// Beyond them, room for the reports of [`write_report`], which a reader needs more than lines.
const LINES_AND_REPORTS: Limits = Limits::new(LINES.max_items + 1024, LINES.max_bytes + (1 << 20));

/// The writer of the process.
static WRITER: OnceLock<LineWriter> = OnceLock::new();

/// The sending end: takes lines without waiting.
#[derive(Debug, Clone)]
pub(super) struct LineWriter(LineSender<Vec<u8>>);

impl LineWriter {
    /// Starts the thread that writes to `sink`. `report` makes the line that says how many lines were left out.
    pub(super) fn start(
        mut sink: impl io::Write + Send + 'static,
        report: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let lines =
            spawn_writer("logs", LINES_AND_REPORTS, move |received: Received<Vec<u8>>| match received {
                Received::Line(line) => sink.write_all(&line),
                Received::LeftOut(count) => sink.write_all(report(count).as_bytes()),
            })?;
        Ok(Self(lines))
    }

    /// Makes this the writer of the process, which [`flush`] waits for.
    pub(super) fn install(&self) {
        let _ = WRITER.set(self.clone());
    }

    fn push(&self, line: Vec<u8>) {
        let bytes = line.len();
        self.0.push(line, bytes);
    }
}

/// Waits up to `patience` until the lines of this process are written. Call it before the process exits.
pub fn flush(patience: Duration) {
    if let Some(writer) = WRITER.get() {
        writer.0.flush(patience);
    }
}

/// Writes a line for a program that reads the log, after the lines that were logged before it. Never waits. It is kept
/// where a log line is left out, unless a thousand others wait already.
pub fn write_report(line: &str) {
    let line = format!("{line}\n").into_bytes();
    match WRITER.get() {
        Some(writer) => writer.push(line),
        // Before the log is there, as it is written then.
        None => drop(io::stderr().write_all(&line)),
    }
}

/// How many lines of this process were left out, since standard error took none.
pub fn lines_left_out() -> u64 {
    WRITER.get().map_or(0, |writer| writer.0.left_out())
}

/// `tracing_subscriber` writes each line in one call.
impl io::Write for &LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push_within(line.to_vec(), line.len(), LINES);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A pipe whose reader takes a line only when told to.
    struct StuckPipe {
        permits: Receiver<()>,
        taken: Sender<String>,
    }

    impl io::Write for StuckPipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // Without a sender the pipe flows.
            let _ = self.permits.recv();
            self.taken.send(String::from_utf8_lossy(line).into_owned()).map_err(io::Error::other)?;
            Ok(line.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// In one call, as `tracing_subscriber` does.
    fn log(mut writer: &LineWriter, line: &str) {
        writer.write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn a_full_pipe_holds_up_no_one_and_the_gap_is_reported_in_its_place() {
        let (permit, permits) = channel();
        let (taken, lines) = channel();
        let writer =
            LineWriter::start(StuckPipe { permits, taken }, |count| format!("{count} left out\n")).unwrap();
        let sent = 6000;
        for number in 0..sent {
            log(&writer, &format!("line {number}\n"));
        }
        assert!(!writer.0.flush(Duration::ZERO), "the pipe is full");
        // A report has room where a line has none.
        writer.push(b"report\n".to_vec());
        let left_out = writer.0.left_out();
        assert!(left_out >= sent - 4097, "{left_out}");
        drop(permit);
        assert!(writer.0.flush(Duration::from_secs(60)), "the pipe flows");
        log(&writer, "after\n");
        drop(writer);
        let mut written = Vec::new();
        while written.last().is_none_or(|line| line != "after\n") {
            written.push(lines.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        let count = |line: &String| line.strip_suffix(" left out\n")?.parse::<u64>().ok();
        let reported: u64 = written.iter().filter_map(count).sum();
        assert_eq!(reported, left_out);
        let passed = written.iter().filter(|line| line.starts_with("line ")).count() as u64;
        assert_eq!(passed + left_out, sent);
        assert_eq!(written[0], "line 0\n");
        assert!(written.contains(&"report\n".to_owned()));
    }

    #[test]
    fn a_line_that_cannot_be_written_counts_as_left_out() {
        struct FullDisk;
        impl io::Write for FullDisk {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let writer = LineWriter::start(FullDisk, |_| String::new()).unwrap();
        log(&writer, "lost\n");
        assert!(writer.0.flush(Duration::from_secs(60)));
        assert_eq!(writer.0.left_out(), 1);
    }
}
