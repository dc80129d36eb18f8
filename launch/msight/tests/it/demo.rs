//! `msight demo` with a camera that dies.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use msight_test_support::blocking::until;
use tempfile::TempDir;

use crate::graph::MSIGHT;

/// `msight camera` or `msight store` in a process of its own.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn camera(address: &str) -> Self {
        Self::start(&["camera", "--listen", address])
    }

    fn start(args: &[&str]) -> Self {
        let mut process = Command::new(MSIGHT)
            .args(args)
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

impl Drop for Server {
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
            .envs([("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "us-east-1")])
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
    let camera = Server::camera("127.0.0.1:0");
    let mut demo = Demo::start(&camera.url, &["--segments", "1000", "--camera-timeout", "3"]);
    demo.wait_for_segment();
    drop(camera);
    assert_eq!(demo.end(), Some(1), "{}", demo.log());
    let log = demo.log();
    assert!(log.contains("no frame from the camera for 3 s") && log.contains("--url"), "{log}");
}

#[test]
fn a_demo_whose_folder_takes_nothing_ends_with_advice() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("taken"), "").expect("a file");
    let output = Command::new(MSIGHT)
        .args(["demo", "--out", "taken/out"])
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("choose another folder with --out"), "{said}");
}

#[test]
fn a_demo_whose_bucket_refuses_all_segments_ends_with_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_str().expect("a path");
    // A port alone is one of 127.0.0.1.
    let store = Server::start(&["store", "--listen", "0", "--folder", root, "--bucket", "videos"]);
    assert!(store.url.starts_with("http://127.0.0.1:"), "{}", store.url);
    let camera = Server::camera("127.0.0.1:0");
    let bucket = ["--bucket-name", "videos", "--endpoint-url", &store.url];
    let mut demo = Demo::start(&camera.url, &[&["--segments", "1000"], &bucket[..]].concat());
    demo.wait_for_segment();
    until("the bucket is gone", || fs::remove_dir_all(folder.path().join("videos")).is_ok());
    assert_eq!(demo.end(), Some(1), "{}", demo.log());
    let log = demo.log();
    let error = log.lines().find(|line| line.starts_with("error: "));
    assert!(error.is_some_and(|line| line.contains("no segment") && line.contains("bucket")), "{log}");
}

#[test]
fn a_demo_goes_on_when_its_camera_is_back() {
    let camera = Server::camera("127.0.0.1:0");
    let mut demo = Demo::start(&camera.url, &["--segments", "12"]);
    demo.wait_for_segment();
    let address = camera.address().to_owned();
    drop(camera);
    let _camera = Server::camera(&address);
    assert_eq!(demo.end(), Some(0), "{}", demo.log());
}
