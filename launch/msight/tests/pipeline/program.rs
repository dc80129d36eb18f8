//! One program as a process: its log, its metrics, its signals, its end.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use msight_node::testing::until;

/// Docker's patience between the request to stop and the end by force.
const GRACE: Duration = Duration::from_secs(10);

/// A process that is killed when this is dropped. Should the test fail, its log is shown.
pub(crate) struct Program {
    pub(crate) name: String,
    process: Child,
    /// Readable also when its folder is gone, as it may be when a test has failed.
    log: File,
}

impl Program {
    /// Starts the command, with a file for its log in `folder`.
    pub(crate) fn start(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = (0..).map(|run| folder.join(format!("{name}.{run}.log"))).find(|path| !path.exists());
        let log = log.expect("there are enough numbers");
        command.stderr(File::create(&log).expect("a log file"));
        let log = File::open(&log).expect("the log file");
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { name: name.to_owned(), process, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        let mut bytes = Vec::new();
        (&self.log).rewind().and_then(|()| (&self.log).read_to_end(&mut bytes)).expect("its log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Lines of the log that hold this text.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// Waits until it has logged this.
    pub(crate) async fn says(&mut self, text: &str) {
        let what = format!("{} says {text:?}", self.name);
        until(&what, async || {
            let said = self.log().contains(text);
            assert!(said || self.is_running(), "{} has ended before it said {text:?}", self.name);
            said
        })
        .await;
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("to ask for it").is_none()
    }

    /// Sends a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("kill");
        assert!(sent.success(), "kill {signal} {}", self.name);
    }

    /// Waits for its end; gives its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let what = format!("{} ends", self.name);
        until(&what, async || !self.is_running()).await;
        self.process.wait().expect("its status").code()
    }

    /// Asks it to stop as docker does, with docker's patience; it must end well.
    pub(crate) async fn stop(&mut self) {
        let asked = Instant::now();
        self.signal("-TERM");
        assert_eq!(self.ended().await, Some(0), "{}", self.name);
        assert!(asked.elapsed() < GRACE, "{} took {:?} to stop", self.name, asked.elapsed());
    }

    /// The answer to a request to `--metrics`, if it listens.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let log = self.log();
        let address = log.split_once("metrics at http://")?.1.split_once('/')?.0;
        let mut connection = TcpStream::connect(address).ok()?;
        connection.set_read_timeout(Some(GRACE)).ok()?;
        write!(connection, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The sum of the series of a metric, `name` or `name{label="value"}`; 0 if there is none.
    pub(crate) fn count(&self, series: &str) -> u64 {
        let (name, label) = series.split_once('{').unwrap_or((series, ""));
        let label = label.trim_end_matches('}');
        let metrics = self.get("/metrics").unwrap_or_else(|| panic!("{} serves no metrics", self.name));
        let lines = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let values = lines.filter(|line| line.contains(label)).filter_map(|line| line.rsplit(' ').next());
        values.filter_map(|value| value.parse::<u64>().ok()).sum()
    }

    /// The sum of a counter's series, without `msight_` and `_total`, in the line that the node says at its end.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let said = self.lines(":: stopped");
        let line = said.last().unwrap_or_else(|| panic!("{} has not said that it stopped", self.name));
        let counts = line.split_once("counts=").expect("counts").1.trim_matches('"');
        let counts = counts.split(", ").filter_map(|count| count.rsplit_once(' '));
        let of_name = counts.filter(|(series, _)| series.split('{').next() == Some(name));
        of_name.map(|(_, count)| count.parse::<u64>().expect("a number")).sum()
    }

    /// A file of the process in `/proc`, as text.
    pub(crate) fn proc(&self, file: &str) -> String {
        let bytes = fs::read(format!("/proc/{}/{file}", self.pid())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    }

    /// The most memory that it has used so far, in bytes: `VmHWM`.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a Linux with VmHWM");
        let kib = line.trim().trim_end_matches("kB").trim();
        kib.parse::<u64>().expect("a number") << 10
    }
}

impl Drop for Program {
    #[expect(clippy::print_stderr, reason = "a test that fails shows what its programs said")]
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- the log of {}:\n{}", self.name, self.log());
        }
    }
}
