//! A camera for tests: GStreamer's RTSP server in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = include_str!("camera.py");

/// The user of a camera with `--auth`.
pub const USER: &str = "viewer";
/// The password of a camera with `--auth`.
pub const PASSWORD: &str = "p@ss:w/rd%";
/// The credentials of a camera with `--auth`, as they are written in a URL.
pub const CREDENTIALS: &str = "viewer:p%40ss%3Aw%2Frd%25@";

/// A camera that serves until it is dropped.
pub struct Camera {
    process: Child,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl Camera {
    /// Serves the pipeline at `/main`, or where `--path` says; it ends in a payloader named `pay0`. `options`: see `camera.py`.
    pub fn start(pipeline: &str, options: &[&str]) -> Self {
        let mut process = Command::new(python())
            .args(["-c", SCRIPT, pipeline])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter was tried before");
        let mut port = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut port).expect("a port is printed");
        let port = port.trim().parse().expect("the first line is the port");
        Self { process, port }
    }

    /// A camera that shows `source` (elements up to raw video), encoded by x264 with `options`, at 20 frames a second.
    pub fn h264(source: &str, caps: &str, options: &str) -> String {
        format!(
            "videotestsrc is-live=true {source} ! video/x-raw,framerate=20/1,format=I420{caps} \
             ! x264enc speed-preset=ultrafast key-int-max=20 {options} ! rtph264pay name=pay0 pt=96"
        )
    }

    /// Waits until a camera with `--die-at` is dead, and its port free.
    pub fn wait(mut self) {
        self.process.wait().expect("it is a child of this process");
    }

    /// The URL of the stream; `credentials` is empty or ends in `@`.
    pub fn url(&self, credentials: &str) -> String {
        format!("rtsp://{credentials}127.0.0.1:{}/main", self.port)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An interpreter that has GStreamer's RTSP server.
fn python() -> &'static str {
    let works = |python: &&str| {
        let test =
            "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer";
        Command::new(python)
            .args(["-c", test])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    ["/usr/bin/python3", "python3"].into_iter().find(works).expect(
        "no python3 with GStreamer's RTSP server; on Debian: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 \
         gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
         gstreamer1.0-libav",
    )
}
