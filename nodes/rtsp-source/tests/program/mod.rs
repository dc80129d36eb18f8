//! The program itself, on a bus of its own: what it logs, and how much memory it takes.
#![allow(dead_code, reason = "every test program uses its own part of this")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A source that runs until it is dropped.
pub(crate) struct Program {
    process: Child,
    log: Arc<Mutex<String>>,
}

impl Program {
    /// Starts `msight_launch_rtsp` for this camera.
    pub(crate) fn start(url: &str, flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_msight_launch_rtsp"))
            .args(["-n", "test", "-pt", "frames", "-sn", "sensor", "--redis-url", "memory://"])
            .args(flags)
            .env("MSIGHT_RTSP_URL", url)
            .env("MSIGHT_EDGE_DEVICE_NAME", "test")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built with the tests");
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, stderr) = (log.clone(), process.stderr.take().expect("it is piped"));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = lines.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { process, log }
    }

    /// All that was logged by now.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line with this text, and returns the line.
    pub(crate) fn says(&mut self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(self.lives() && began.elapsed() < PATIENCE, "no {text:?} in:\n{log}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The value of a metric whose line starts so (`--metrics 127.0.0.1:0` is among the flags); 0 until there is one.
    pub(crate) fn metric(&mut self, name: &str) -> f64 {
        let said = self.says("metrics at http://");
        let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap();
        let mut http = TcpStream::connect(address).unwrap();
        http.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        http.read_to_string(&mut text).unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// Waits until a metric is at least so large.
    pub(crate) fn reaches(&mut self, name: &str, value: f64) {
        let began = Instant::now();
        while self.metric(name) < value {
            assert!(began.elapsed() < PATIENCE, "{name} does not reach {value}:\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks it to stop, and gives its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "it does not stop:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it still runs.
    pub(crate) fn lives(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// The most memory it ever had, bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it lives");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
