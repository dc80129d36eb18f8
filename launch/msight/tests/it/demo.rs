//! `msight demo` with a camera that dies.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use msight_test_support::blocking::until;
use tempfile::TempDir;

use crate::graph::MSIGHT;

/// `msight camera` in a process of its own.
struct Camera {
    process: Child,
    url: String,
}

impl Camera {
    fn start(address: &str) -> Self {
        let mut process = Command::new(MSIGHT)
            .args(["camera", "--listen", address])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut url = String::new();
        let stderr = process.stderr.take().expect("it is piped");
        BufReader::new(stderr).read_line(&mut url).expect("the address is printed");
        Self { process, url: url.trim().to_owned() }
    }

    fn address(&self) -> &str {
        self.url.split('/').nth(2).expect("an address")
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A demo with a camera of its own.
struct Demo {
    process: Child,
    folder: TempDir,
}

impl Demo {
    fn start(url: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a file");
        let process = Command::new(MSIGHT)
            .args(["demo", "--buffer-size", "5", "--url", url])
            .args(flags)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("it runs");
        Self { process, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("the log")
    }

    /// Waits until a segment is stored.
    fn wait_for_segment(&self) {
        let is_one = |line: &str| line.contains(" uploaded, ") && !line.contains(" 0 uploaded, ");
        until("a segment is stored", || self.log().lines().any(is_one));
    }

    /// Waits for its end; its status.
    fn end(&mut self) -> Option<i32> {
        until("the demo ends", || self.process.try_wait().expect("its status").is_some());
        self.process.wait().expect("its status").code()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_demo_whose_camera_dies_ends_with_an_error() {
    let camera = Camera::start("127.0.0.1:0");
    let mut demo = Demo::start(&camera.url, &["--segments", "1000", "--camera-timeout", "3"]);
    demo.wait_for_segment();
    drop(camera);
    assert_eq!(demo.end(), Some(1), "{}", demo.log());
    let log = demo.log();
    assert!(log.contains("no frame from the camera for 3 s") && log.contains("--url"), "{log}");
}

#[test]
fn a_demo_goes_on_when_its_camera_is_back() {
    let camera = Camera::start("127.0.0.1:0");
    let mut demo = Demo::start(&camera.url, &["--segments", "12"]);
    demo.wait_for_segment();
    let address = camera.address().to_owned();
    drop(camera);
    let _camera = Camera::start(&address);
    assert_eq!(demo.end(), Some(0), "{}", demo.log());
}
