//! Reads the log lines of a job, in the format of the node kit or as plain text, and keeps the last ones.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use msight_node::notify::Notification;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::sync::{mpsc, watch};

use super::reported::Reported;

/// The maximum length of a line; longer lines are split.
const MAX_BYTES: u64 = 64 * 1024;

/// The number of lines kept to tell why a job has ended.
const TAIL: usize = 20;

/// A line of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The job that wrote it.
    pub job: Arc<str>,
    /// The log level, if known: `INFO`, `WARNING`, `ERROR` …
    pub level: Option<String>,
    /// The text, without control characters.
    pub text: String,
}

impl Line {
    /// Parses a line: JSON as logged by nodes of the kit, or plain text.
    fn read(job: &Arc<str>, line: &str) -> Self {
        let plain = || Self { job: job.clone(), level: None, text: printable(line) };
        let Ok(Value::Object(logged)) = serde_json::from_str::<Value>(line) else { return plain() };
        let text = |key: &str| logged.get(key).and_then(Value::as_str);
        let (Some(level), Some(message)) = (text("level"), text("message")) else { return plain() };
        let fields = logged.get("fields").and_then(Value::as_object).map(listed).unwrap_or_default();
        Self { job: job.clone(), level: Some(printable(level)), text: printable(message) + &fields }
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        matches!(self.level.as_deref(), Some("ERROR" | "CRITICAL"))
    }
}

fn listed(fields: &Map<String, Value>) -> String {
    let listed = fields.iter().map(|(name, value)| match value {
        Value::String(text) => format!(" {}={:?}", printable(name), printable(text)),
        value => format!(" {}={value}", printable(name)),
    });
    listed.collect()
}

/// A job may log text from a camera, which must not control the terminal.
fn printable(text: &str) -> String {
    text.trim_end().chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

/// The time limit for the last lines of a program: a child of it may hold the pipe open.
pub(crate) const LAST_LINES: Duration = Duration::from_millis(500);

/// Receives the lines of a job and forwards them for display.
#[derive(Debug)]
pub(crate) struct Journal {
    job: Arc<str>,
    tail: Mutex<VecDeque<Line>>,
    reported: watch::Sender<Reported>,
    shown: mpsc::Sender<Line>,
    left_out: AtomicU64,
}

impl Journal {
    /// A journal that forwards its lines to `shown`. Lines that do not fit are dropped and counted: a blocked
    /// terminal must not block a node.
    pub(crate) fn new(job: &str, shown: mpsc::Sender<Line>) -> Arc<Self> {
        let (tail, reported) = (Mutex::default(), watch::Sender::default());
        Arc::new(Self { job: job.into(), tail, reported, shown, left_out: AtomicU64::new(0) })
    }

    /// A journal with another name that forwards to the same place.
    pub(crate) fn beside(&self, job: &str) -> Arc<Self> {
        Self::new(job, self.shown.clone())
    }

    /// Reads lines to the end of the stream.
    pub(crate) async fn follow(self: Arc<Self>, stream: impl AsyncRead + Unpin) {
        lines(stream, |line| self.take(line)).await;
    }

    /// Takes a line.
    pub(crate) fn take(&self, text: &str) {
        let line = Line::read(&self.job, text);
        if line.text.is_empty() {
            return;
        }
        {
            let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line.clone());
        }
        self.show(line);
    }

    /// Adds a line of the supervisor.
    pub(crate) fn note(&self, level: &str, text: String) {
        self.show(Line { job: self.job.clone(), level: Some(level.to_owned()), text });
    }

    fn show(&self, line: Line) {
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            let text = format!("{left_out} lines dropped here: the display is too slow");
            let said = Line { job: self.job.clone(), level: Some("WARNING".into()), text };
            if self.shown.try_send(said).is_err() {
                self.left_out.fetch_add(left_out + 1, Ordering::Relaxed);
                return;
            }
        }
        if self.shown.try_send(line).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Clears the lines of an earlier run.
    pub(crate) fn begin(&self) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.reported.send_replace(Reported::default());
    }

    /// Takes a report.
    pub(crate) fn report(&self, report: &Notification) {
        self.reported.send_modify(|reported| reported.update(report, Instant::now()));
    }

    /// What the job has reported since its start.
    pub(crate) fn reported(&self) -> watch::Receiver<Reported> {
        self.reported.subscribe()
    }

    /// The exit status of a program and its last error.
    pub(crate) fn end_of(&self, status: ExitStatus) -> String {
        let words = self.last_words().map(|words| format!(": {words}")).unwrap_or_default();
        format!("{status}{words}")
    }

    /// The reason for the job's end: its last error, or its last line if its lines have no levels.
    fn last_words(&self) -> Option<String> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let plain = || tail.back().filter(|line| line.level.is_none());
        tail.iter().rev().find(|line| line.is_error()).or_else(plain).map(|line| line.text.clone())
    }
}

/// Passes each line of the stream to `take`.
pub(crate) async fn lines(stream: impl AsyncRead + Unpin, take: impl Fn(&str)) {
    let mut stream = BufReader::new(stream);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match (&mut stream).take(MAX_BYTES).read_until(b'\n', &mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => take(&String::from_utf8_lossy(&bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (Arc<Journal>, mpsc::Receiver<Line>) {
        let (shown, lines) = mpsc::channel(3);
        (Journal::new("camera", shown), lines)
    }

    #[tokio::test]
    async fn lines_of_the_kit_are_read_and_others_kept_as_they_are() {
        let (journal, mut lines) = journal();
        let said = "{\"level\":\"ERROR\",\"message\":\"no camera\",\"fields\":{\"url\":\"rtsp://c\",\"tries\":3}}\n\
                    plain \x1b[31mred\n\n{\"not\":\"ours\"}";
        journal.clone().follow(said.as_bytes()).await;
        let line = lines.recv().await.unwrap();
        assert_eq!(
            (line.level.as_deref(), line.text.as_str()),
            (Some("ERROR"), "no camera tries=3 url=\"rtsp://c\"")
        );
        assert_eq!(lines.recv().await.unwrap().text, "plain [31mred");
        assert_eq!(lines.recv().await.unwrap().text, "{\"not\":\"ours\"}");
        assert_eq!(journal.last_words().unwrap(), "no camera tries=3 url=\"rtsp://c\"");
        journal.begin();
        assert_eq!(journal.last_words(), None);
    }

    #[tokio::test]
    async fn dropped_lines_are_counted() {
        let (journal, mut lines) = journal();
        journal.clone().follow("1\n2\n3\n4\n5\n".as_bytes()).await;
        while lines.try_recv().is_ok() {}
        journal.follow("6\n".as_bytes()).await;
        assert!(lines.recv().await.unwrap().text.starts_with("2 lines dropped"));
        assert_eq!(lines.recv().await.unwrap().text, "6");
    }

    #[tokio::test]
    async fn a_line_without_end_takes_no_memory() {
        let (journal, mut lines) = journal();
        journal.follow(tokio::io::repeat(b'x').take(MAX_BYTES * 2 + 1)).await;
        assert_eq!(lines.recv().await.unwrap().text.len(), MAX_BYTES as usize);
    }
}
