//! `msight up` as its users run it: a graph of a file, with servers of its own, on ports of its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use msight_test_support::blocking::until;

pub(crate) const MSIGHT: &str = env!("CARGO_BIN_EXE_msight");

/// The tutorial's graph with servers for trying it out.
pub(crate) const GRAPH: &str = r#"
x-node: &node
  image: msight
  restart: unless-stopped
  environment: &environment
    MSIGHT_EDGE_DEVICE_NAME: box
    MSIGHT_REDIS_MESSAGE_BROKER_HOST: redis
    MSIGHT_REDIS_MESSAGE_BROKER_PORT: 6379
services:
  redis:
    image: redis:7
    ports: ["REDIS:6379"]
  rtsp-server:
    image: bluenviron/mediamtx
    ports: ["RTSP:8554"]
  video-source:
    image: jrottenberg/ffmpeg:4.4-alpine
    depends_on: [rtsp-server]
    volumes: [".:/data:ro"]
    command: -re -stream_loop -1 -i /data/sample.mp4 -c copy -f rtsp rtsp://rtsp-server:8554/live.stream
  minio:
    image: minio/minio
    ports: ["S3:9000"]
    environment: { MINIO_ROOT_USER: user, MINIO_ROOT_PASSWORD: very-secret }
  camera:
    <<: *node
    entrypoint: ["msight_launch_rtsp"]
    command: ["-n", "camera", "-pt", "frames", "-sn", "gate", "-u", "rtsp://rtsp-server:8554/live.stream", "-g", "0"]
  aggregator:
    <<: *node
    entrypoint: ["msight_launch_image_to_video_aggregator"]
    command: ["-n", "aggregator", "-st", "frames", "-pt", "segments", "--fps", "10", "--buffer-size", "20", "--overlap-size", "0"]
  pusher:
    <<: *node
    entrypoint: ["msight_launch_aws_video_pusher"]
    command: ["-n", "pusher", "-st", "segments", "--bucket-name", "videos", "--endpoint-url", "http://minio:9000"]
    environment:
      <<: *environment
      AWS_ACCESS_KEY_ID: user
      AWS_SECRET_ACCESS_KEY: very-secret
      AWS_REGION: us-east-1
"#;

/// A folder with the graph, and `msight up` in it.
pub(crate) struct Up {
    pub(crate) process: Child,
    pub(crate) folder: tempfile::TempDir,
    /// Where its Redis is to be.
    pub(crate) redis: u16,
}

impl Up {
    pub(crate) fn start() -> Self {
        Self::with(GRAPH, MSIGHT.as_ref(), &[])
    }

    /// Starts this launcher on a graph with servers like those of [`GRAPH`].
    pub(crate) fn with(graph: &str, launcher: &Path, flags: &[&str]) -> Self {
        Self::within(tempfile::tempdir().expect("a folder"), graph, launcher, flags)
    }

    /// The same in this folder, whose programs it finds.
    pub(crate) fn within(folder: tempfile::TempDir, graph: &str, launcher: &Path, flags: &[&str]) -> Self {
        let redis = prepare(folder.path(), graph);
        let mut command = launcher_in(folder.path(), launcher);
        command.arg("up").args(flags);
        Self::spawn(folder, command, redis)
    }

    /// Starts the built launcher on a graph with these variables beside those of this process.
    pub(crate) fn with_variables(graph: &str, flags: &[&str], variables: [(&str, &str); 2]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let redis = prepare(folder.path(), graph);
        let mut command = launcher_in(folder.path(), MSIGHT.as_ref());
        command.arg("up").args(flags).envs(variables);
        Self::spawn(folder, command, redis)
    }

    /// Starts the built launcher in a folder with a graph and its video.
    pub(crate) fn in_prepared(folder: tempfile::TempDir, flags: &[&str]) -> Self {
        let mut command = launcher_in(folder.path(), MSIGHT.as_ref());
        command.arg("up").args(flags);
        Self::spawn(folder, command, 0)
    }

    fn spawn(folder: tempfile::TempDir, mut command: Command, redis: u16) -> Self {
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        Self { process: command.spawn().expect("it starts"), folder, redis }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Segments that are in the bucket with their sidecars.
    pub(crate) fn stored(&self) -> Vec<PathBuf> {
        stored(self.folder.path())
    }

    /// The processes of the graph by the names they are called.
    pub(crate) fn processes(&self) -> BTreeMap<String, u32> {
        let own = self.process.id();
        processes(self.folder.path()).into_iter().filter(|(_, pid)| *pid != own).collect()
    }

    /// The process of its nodes under `--one-process`.
    pub(crate) fn shared_process(&self) -> Option<u32> {
        let of_us = |process: &u32| {
            let parent = format!("PPid:\t{}\n", self.process.id());
            fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|status| status.contains(&parent))
        };
        let is_shared = |process: &u32| {
            fs::read(format!("/proc/{process}/cmdline"))
                .is_ok_and(|line| line.ends_with(b"\0shared-process\0"))
        };
        let processes = fs::read_dir("/proc").expect("/proc").flatten();
        let mut processes = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
        processes.find(|process| of_us(process) && is_shared(process))
    }

    /// Asks it to stop, and waits until it has; its status.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        Self::signal(self.process.id(), "-INT");
        until("`msight up` stops", || self.process.try_wait().expect("its status").is_some());
        self.process.wait().expect("its status").code()
    }

    pub(crate) fn signal(pid: u32, signal: &str) {
        let sent = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill");
        assert!(sent.success());
    }
}

impl Drop for Up {
    #[expect(clippy::print_stderr, reason = "a failed test shows the log of its graph")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes the graph, with free ports for its servers, and the video that its camera shows. Gives Redis' port.
pub(crate) fn prepare(folder: &Path, graph: &str) -> u16 {
    make_video(folder, "320x180");
    // As late as can be: others may take what is free.
    let free: Vec<TcpListener> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let port = |at: usize| free[at].local_addr().expect("it is bound").port();
    let redis = port(0);
    let graph = graph.replace("\"REDIS:", &format!("\"{redis}:"));
    let graph =
        graph.replace("\"RTSP:", &format!("\"{}:", port(1))).replace("\"S3:", &format!("\"{}:", port(2)));
    drop(free);
    fs::write(folder.join("compose.yaml"), graph).expect("a file");
    redis
}

/// Makes the video that the camera of [`GRAPH`] shows, 6 s of this size.
pub(crate) fn make_video(folder: &Path, size: &str) {
    let source = format!("testsrc2=size={size}:rate=10");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &source, "-t", "6", "-c:v", "libx264"])
        .args(["-profile:v", "baseline", "-pix_fmt", "yuv420p", "-g", "10", "sample.mp4"])
        .current_dir(folder)
        .status()
        .expect("ffmpeg is installed");
    assert!(made.success());
}

/// A launcher in a folder with a graph. The servers that it provides are those of a machine without MediaMTX, and it
/// leaves its marks in the folder.
pub(crate) fn launcher_in(folder: &Path, launcher: &Path) -> Command {
    let mut command = Command::new(launcher);
    command.current_dir(folder).stdin(Stdio::null());
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    command.env("XDG_STATE_HOME", folder.join("state")).env_remove("JOURNAL_STREAM");
    command
}

/// Segments that are in the bucket of a graph in this folder with their sidecars.
pub(crate) fn stored(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.join("minio-data/videos")];
    let mut videos = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "mp4")
                && path.with_extension("json").is_file()
            {
                videos.push(path);
            }
        }
    }
    videos
}

/// The processes that work in this folder, with the names they are called by.
pub(crate) fn processes(folder: &Path) -> Vec<(String, u32)> {
    let inside = |process: &Path| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    let entries = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    let named = entries.filter(|process| inside(process)).filter_map(|process| {
        let pid: u32 = process.file_name()?.to_str()?.parse().ok()?;
        let line = fs::read(process.join("cmdline")).ok()?;
        let name = String::from_utf8_lossy(line.split(|byte| *byte == 0).next()?).into_owned();
        Some((name.rsplit('/').next()?.to_owned(), pid))
    });
    named.collect()
}

/// How many frames a video has.
pub(crate) fn frames(video: &Path) -> u32 {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-count_packets",
            "-select_streams",
            "v",
            "-show_entries",
            "stream=nb_read_packets",
        ])
        .args(["-of", "csv=p=0"])
        .arg(video)
        .output()
        .expect("ffprobe is installed");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}
