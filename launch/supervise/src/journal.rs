//! Reads the log lines of a job, in the format of the node kit or as plain text, and keeps the last ones.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use msight_bus::Limits;
use msight_node::line_queue::{LineReceiver, LineSender, Received, line_queue};
use msight_node::notify::Notification;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::sync::watch;

use super::reported::Reported;

/// The maximum length of a line; longer lines are split.
const MAX_BYTES: u64 = 64 * 1024;

/// The number of lines kept to tell why a job has ended.
const TAIL: usize = 20;

/// The lines of all jobs that wait to be received.
pub(crate) const LINES: Limits = Limits::new(4096, 8 << 20);

/// The job of a line about missing lines.
const LAUNCHER: &str = "msight";

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

/// The lines of all jobs, in the order in which they came.
#[derive(Debug)]
pub struct JobLines(LineReceiver<Line>);

impl JobLines {
    /// The end of journals, and the lines that they forward.
    pub(crate) fn new(limits: Limits) -> (LineSender<Line>, Self) {
        let (sender, lines) = line_queue(limits);
        (sender, Self(lines))
    }

    /// Waits for the next line; `None` when all jobs are over.
    pub async fn recv(&mut self) -> Option<Line> {
        self.0.recv().await.map(received)
    }

    /// The next line, if one waits.
    pub fn try_recv(&mut self) -> Option<Line> {
        self.0.try_recv().map(received)
    }

    /// Whether no line waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A line, or the report that lines are missing here.
fn received(received: Received<Line>) -> Line {
    match received {
        Received::Line(line) => line,
        Received::LeftOut(count) => Line {
            job: LAUNCHER.into(),
            level: Some("WARNING".to_owned()),
            text: format!("{count} lines dropped here: the display is too slow"),
        },
    }
}

/// The time limit for the last lines of a program: a child of it may hold the pipe open.
pub(crate) const LAST_LINES: Duration = Duration::from_millis(500);

/// Receives the lines of a job and forwards them for display.
#[derive(Debug)]
pub(crate) struct Journal {
    job: Arc<str>,
    tail: Mutex<VecDeque<Line>>,
    reported: watch::Sender<Reported>,
    shown: LineSender<Line>,
}

impl Journal {
    /// A journal that forwards its lines to `shown`.
    pub(crate) fn new(job: &str, shown: LineSender<Line>) -> Arc<Self> {
        let (tail, reported) = (Mutex::default(), watch::Sender::default());
        Arc::new(Self { job: job.into(), tail, reported, shown })
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
        let bytes = size_of::<Line>() + line.text.len();
        self.shown.push(line, bytes);
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

    fn journal() -> (Arc<Journal>, JobLines) {
        let (shown, lines) = JobLines::new(Limits::new(3, 1 << 20));
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
        for text in ["1", "2", "3"] {
            assert_eq!(lines.recv().await.unwrap().text, text);
        }
        journal.follow("6\n".as_bytes()).await;
        assert!(lines.recv().await.unwrap().text.starts_with("2 lines dropped"));
        assert_eq!(lines.recv().await.unwrap().text, "6");
        assert_eq!(lines.recv().await, None);
    }

    #[tokio::test]
    async fn a_line_without_end_takes_no_memory() {
        let (journal, mut lines) = journal();
        journal.follow(tokio::io::repeat(b'x').take(MAX_BYTES * 2 + 1)).await;
        assert_eq!(lines.recv().await.unwrap().text.len(), MAX_BYTES as usize);
    }
}
