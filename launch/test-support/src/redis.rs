//! Real redis-servers: each on a free port with a folder of its own, killed on drop.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{blocking, free_port};

/// A redis-server that runs until it is dropped.
pub struct RedisServer {
    child: Child,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// Its working folder.
    pub folder: TempDir,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts a server that keeps nothing on disk.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), arguments)
    }

    /// `{folder}` in an argument stands for the server's folder, `{port}` for its port.
    pub fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
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
        panic!("redis-server does not start:\n{}", log(&folder));
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().expect("to kill redis-server");
        self.child.wait().expect("to wait for redis-server");
    }

    /// Starts it on the same port, with nothing kept.
    pub fn restart(&mut self) {
        self.child = spawn(&self.folder, self.port, &self.arguments);
        assert!(is_up(&mut self.child, &self.folder), "redis-server does not start again");
    }

    /// Sends a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().expect("kill");
        assert!(status.success(), "kill {signal} {pid}");
    }

    /// What redis-cli answers.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The Unix socket of a server with `--unixsocket {folder}/socket`.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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

/// Waits until the log says that it accepts connections. A connection to its port would prove nothing: another server
/// may have taken that port first.
fn is_up(child: &mut Child, folder: &TempDir) -> bool {
    blocking::eventually("redis-server starts or ends", || {
        if log(folder).contains("Ready to accept connections") {
            return Some(true);
        }
        child.try_wait().expect("the status of redis-server").map(|_| false)
    })
}

fn log(folder: &TempDir) -> String {
    std::fs::read_to_string(folder.path().join("log")).unwrap_or_default()
}
