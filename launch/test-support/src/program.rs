//! A program as a process of its own: its log, its metrics, its signals, its end.

use std::cell::Cell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use msight_contract::Notification;
use tempfile::{NamedTempFile, TempDir};

use crate::wait::polled;

/// How long docker waits between the request to stop and the end by force.
const GRACE: Duration = Duration::from_secs(10);

/// A process that is killed when this is dropped. If the test fails, its log is shown.
pub struct Program {
    /// What messages of a test call it.
    pub name: String,
    process: Child,
    log: NamedTempFile,
    /// What it reports to arrives here (sd_notify(3)).
    reports: UnixDatagram,
    /// The folder of that socket.
    _folder: TempDir,
    metrics: Cell<Option<SocketAddr>>,
}

impl Program {
    /// Starts a command whose stderr is its log.
    pub fn start(name: &str, command: Command) -> Self {
        let log = NamedTempFile::new().expect("a log file");
        let stderr = log.reopen().expect("the log file");
        Self::start_with(name, command, log, stderr.into())
    }

    /// Starts a command whose log goes elsewhere.
    pub fn start_logging_to(name: &str, command: Command, stderr: Stdio) -> Self {
        Self::start_with(name, command, NamedTempFile::new().expect("a log file"), stderr)
    }

    fn start_with(name: &str, mut command: Command, log: NamedTempFile, stderr: Stdio) -> Self {
        command.stdin(Stdio::null()).stderr(stderr);
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("notify");
        let reports = UnixDatagram::bind(&socket).expect("a socket");
        reports.set_nonblocking(true).expect("a socket that does not wait");
        command.env(msight_contract::SOCKET, socket);
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { name: name.to_owned(), process, log, reports, _folder: folder, metrics: Cell::new(None) }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        let mut bytes = Vec::new();
        self.log.reopen().and_then(|mut log| log.read_to_end(&mut bytes)).expect("its log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Lines of the log that hold this text.
    pub fn lines(&self, text: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// Waits until it has logged a line with this text, and gives the line.
    pub async fn says(&mut self, text: &str) -> String {
        let what = format!("{} says {text:?}", self.name);
        polled(&what, || {
            // Its state first: what it logs before it ends is in the log then.
            let is_running = self.is_running();
            // A line is whole when its end is written.
            let log = self.log();
            let line = log.split_inclusive('\n').find(|line| line.contains(text) && line.ends_with('\n'));
            assert!(line.is_some() || is_running, "{} has ended before it said {text:?}", self.name);
            line.map(|line| line.trim_end().to_owned())
        })
        .await
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("its status").is_none()
    }

    /// Sends a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("kill");
        assert!(sent.success(), "kill {signal} {}", self.name);
    }

    /// Waits for its end, and gives its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let what = format!("{} ends", self.name);
        polled(&what, || (!self.is_running()).then_some(())).await;
        self.process.wait().expect("its status").code()
    }

    /// Asks it to stop as docker does. It must end well within docker's patience.
    pub async fn stop(&mut self) {
        let asked = Instant::now();
        self.signal("-TERM");
        assert_eq!(self.ended().await, Some(0), "{}", self.name);
        assert!(asked.elapsed() < GRACE, "{} took {:?} to stop", self.name, asked.elapsed());
    }

    /// Where it serves its metrics, if it has reported that.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        let mut datagram = [0; Notification::MAX_BYTES];
        while let Ok(bytes) = self.reports.recv(&mut datagram) {
            let report = Notification::parse(&datagram[..bytes]);
            self.metrics.set(report.metrics.or(self.metrics.get()));
        }
        self.metrics.get()
    }

    /// Waits until it reports where it serves its metrics.
    pub async fn serves_metrics(&mut self) -> SocketAddr {
        let what = format!("{} reports where its metrics are", self.name);
        polled(&what, || {
            assert!(self.is_running(), "{} has ended before it served metrics", self.name);
            self.metrics_address()
        })
        .await
    }

    /// The answer to a request to `--metrics`, if it listens.
    pub fn get(&self, path: &str) -> Option<String> {
        let address = self.metrics_address()?;
        let mut connection = TcpStream::connect(address).ok()?;
        connection.set_read_timeout(Some(GRACE)).ok()?;
        write!(connection, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The sum of the series of a metric, `name` or `name{label="value"}`; 0 without a series.
    pub fn count(&self, series: &str) -> u64 {
        let metrics = self.get("/metrics").unwrap_or_else(|| panic!("{} serves no metrics", self.name));
        sum(&metrics, series)
    }

    /// Waits until the sum of a metric's series, as in [`count`](Self::count), is at least this.
    pub async fn reaches(&mut self, series: &str, least: u64) {
        let what = format!("{}: {series} is {least} or more", self.name);
        polled(&what, || {
            assert!(self.is_running(), "{} has ended before {series} was {least}", self.name);
            self.get("/metrics").filter(|metrics| sum(metrics, series) >= least).map(drop)
        })
        .await;
    }

    /// The sum of a counter's series, without `msight_` and `_total`, in the line that the node logs at its end.
    pub fn counted(&self, name: &str) -> u64 {
        let said = self.lines(":: stopped");
        let line = said.last().unwrap_or_else(|| panic!("{} has not said that it stopped", self.name));
        let counts = line.split_once("counts=").expect("counts").1.trim_matches('"');
        let counts = counts.split(", ").filter_map(|count| count.rsplit_once(' '));
        let of_name = counts.filter(|(series, _)| series.split('{').next() == Some(name));
        of_name.map(|(_, count)| count.parse::<u64>().expect("a number")).sum()
    }

    /// A file of the process in `/proc`, as text.
    pub fn proc(&self, file: &str) -> String {
        let bytes = fs::read(format!("/proc/{}/{file}", self.pid())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    }

    /// The most memory that it has used so far, in bytes (`VmHWM`).
    pub fn peak_memory(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a Linux with VmHWM");
        let kib = line.trim().trim_end_matches("kB").trim();
        kib.parse::<u64>().expect("a number") << 10
    }
}

impl Drop for Program {
    #[expect(clippy::print_stderr, reason = "a test that fails shows what its programs logged")]
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- the log of {}:\n{}", self.name, self.log());
        }
    }
}

/// The sum of a metric's series in the text that Prometheus reads.
fn sum(metrics: &str, series: &str) -> u64 {
    let (name, label) = series.split_once('{').unwrap_or((series, ""));
    let label = label.trim_end_matches('}');
    let lines = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let values = lines.filter(|line| line.contains(label)).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<u64>().ok()).sum()
}
