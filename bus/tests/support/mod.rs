//! Real redis-servers for tests: each on a free port with a folder of its own, killed on drop.
#![allow(dead_code, reason = "every test program uses its own part of this")]

use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use msight_bus::{Bus, RedisBus, RedisConfig, Subscription, Topic};
use tempfile::TempDir;

/// How long anything in these tests may take; reached only when something is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct RedisServer {
    child: Child,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    arguments: Vec<String>,
}

impl RedisServer {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), arguments)
    }

    /// `{folder}` in an argument stands for the server's folder, `{port}` for its port.
    pub(crate) fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let path = folder.path().to_str().expect("a plain path");
        let arguments: Vec<_> = arguments.iter().map(|text| text.replace("{folder}", path)).collect();
        for _ in 0..10 {
            let port = free_port();
            let mut child = spawn(&folder, port, &arguments);
            if is_up(&mut child, &folder) {
                return Self { child, port, folder, arguments };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("redis-server does not start:\n{log}");
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("to kill redis-server");
        self.child.wait().expect("to wait for redis-server");
    }

    /// On the same port, with nothing kept.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.folder, self.port, &self.arguments);
        assert!(is_up(&mut self.child, &self.folder), "redis-server does not start again");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().expect("kill");
        assert!(status.success(), "kill {signal} {pid}");
    }

    /// What redis-cli answers.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) async fn bus(&self) -> Arc<dyn Bus> {
        connect(&self.url()).await
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn connect(url: &str) -> Arc<dyn Bus> {
    let config = RedisConfig::from_url(url).expect("a good URL");
    Arc::new(RedisBus::connect(config).await.expect("to connect"))
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::new(name).expect("a good name")
}

/// The next message, which must come before the deadline.
pub(crate) async fn next(subscription: &mut Subscription) -> bytes::Bytes {
    tokio::time::timeout(DEADLINE, subscription.recv())
        .await
        .expect("a message before the deadline")
        .expect("an open subscription")
}

/// Tries until it gives something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn spawn(folder: &TempDir, port: u16, arguments: &[String]) -> Child {
    let log = std::fs::File::create(folder.path().join("log")).expect("a log file");
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(folder.path())
        .args(arguments.iter().map(|argument| argument.replace("{port}", &port.to_string())))
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                panic!("redis-server not found: sudo apt-get install redis-server")
            }
            _ => panic!("redis-server: {error}"),
        })
}

/// Waits until it accepts connections, by its own word: on its port there may be another server, that was faster.
fn is_up(child: &mut Child, folder: &TempDir) -> bool {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        if log.contains("Ready to accept connections") {
            return true;
        }
        if child.try_wait().expect("to ask for redis-server").is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Below the range of ephemeral ports, and with the port of the cluster bus free as well.
pub(crate) fn free_port() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..100)
        .map(|_| fastrand::u16(20_000..32_000))
        .find(|port| is_free(*port) && is_free(port + 10_000))
        .expect("a free port")
}
