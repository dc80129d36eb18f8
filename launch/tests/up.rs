//! `msight up` as its users run it: a graph of a file, with servers of its own, on ports of its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MSIGHT: &str = env!("CARGO_BIN_EXE_msight");

/// On a busy machine, for one step.
const PATIENCE: Duration = Duration::from_secs(120);

/// The tutorial's graph with servers for trying it out.
const GRAPH: &str = r#"
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
struct Up {
    process: Child,
    folder: tempfile::TempDir,
}

impl Up {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free: Vec<TcpListener> =
            (0..3).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
        let port = |at: usize| free[at].local_addr().expect("it is bound").port().to_string();
        let graph = GRAPH.replace("\"REDIS:", &format!("\"{}:", port(0)));
        let graph =
            graph.replace("\"RTSP:", &format!("\"{}:", port(1))).replace("\"S3:", &format!("\"{}:", port(2)));
        drop(free);
        fs::write(folder.path().join("compose.yaml"), graph).expect("a file");
        let made = Command::new("ffmpeg")
            .args([
                "-v",
                "error",
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=320x180:rate=10",
                "-t",
                "6",
                "-c:v",
                "libx264",
            ])
            .args(["-profile:v", "baseline", "-pix_fmt", "yuv420p", "-g", "10", "sample.mp4"])
            .current_dir(folder.path())
            .status()
            .expect("ffmpeg is installed");
        assert!(made.success());
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let mut command = Command::new(MSIGHT);
        command.arg("up").current_dir(folder.path()).stdin(Stdio::null());
        // The servers that the graph provides are those of a machine without MediaMTX.
        command.env("PATH", "/usr/bin:/bin").stdout(log.try_clone().expect("a file")).stderr(log);
        Self { process: command.spawn().expect("it starts"), folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Segments that are in the bucket with their sidecars.
    fn stored(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.folder.path().join("minio-data/videos")];
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

    /// The processes of the graph by the names they are called, which work in its folder.
    fn processes(&self) -> BTreeMap<String, u32> {
        let inside = |process: &Path| {
            fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(self.folder.path()))
        };
        let entries = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
        let named = entries.filter(|process| inside(process)).filter_map(|process| {
            let pid: u32 = process.file_name()?.to_str()?.parse().ok()?;
            let line = fs::read(process.join("cmdline")).ok()?;
            let name = String::from_utf8_lossy(line.split(|byte| *byte == 0).next()?).into_owned();
            (pid != self.process.id()).then_some((name.rsplit('/').next()?.to_owned(), pid))
        });
        named.collect()
    }

    fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(pid: u32, signal: &str) {
        let sent = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill");
        assert!(sent.success());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How many frames a video has.
fn frames(video: &Path) -> u32 {
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

#[test]
fn a_graph_runs_survives_a_killed_node_and_stops_with_its_last_segment() {
    let mut up = Up::start();
    up.until("segments arrive", |up| up.stored().len() >= 2);
    assert!(
        up.log().contains("video-source: not started: the built-in camera shows its file"),
        "{}",
        up.log()
    );

    let killed = up.processes()["msight_launch_image_to_video_aggregator"];
    Up::signal(killed, "-KILL");
    up.until("it is back", |up| {
        up.processes().get("msight_launch_image_to_video_aggregator").is_some_and(|pid| *pid != killed)
    });
    let stored = up.stored().len();
    up.until("the graph goes on", |up| up.stored().len() > stored + 1);

    Up::signal(up.process.id(), "-INT");
    up.until("it stops", |up| up.process.try_wait().expect("its status").is_some());
    assert_eq!(up.process.wait().expect("its status").code(), Some(0), "{}", up.log());
    assert_eq!(up.processes(), BTreeMap::new());
    let log = up.log();
    for node in ["camera", "aggregator", "pusher"] {
        let stopped = log.lines().filter(|line| line.starts_with(node) && line.contains("stopped counts="));
        assert_eq!(stopped.count(), 1, "{node}:\n{log}");
    }
    // The last one was cut by the stop, and is in the bucket all the same.
    let last = log.lines().rev().find(|line| line.contains("segment bytes=")).expect("a segment");
    assert!(last.contains("reason=\"stop\"") || last.contains("frames=20"), "{last}");
    let published = log.matches("| INFO    segment bytes=").count();
    assert_eq!(up.stored().len(), published, "{log}");
    assert!(up.stored().iter().all(|video| (1..=20).contains(&frames(video))));
    assert!(!log.contains("very-secret"), "{log}");
}

#[test]
fn nothing_outlives_it() {
    let mut up = Up::start();
    up.until("all run", |up| {
        let running = up.processes();
        ["msight_launch_rtsp", "msight_launch_aws_video_pusher", "redis-server"]
            .iter()
            .all(|name| running.keys().any(|running| running.starts_with(name)))
    });
    up.process.kill().expect("it runs");
    up.process.wait().expect("its end");
    up.until("all are gone", |up| up.processes().is_empty());
}

#[test]
fn what_is_wrong_is_said_and_nothing_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("compose.yaml"), GRAPH.replace("--fps", "--pfs")).expect("a file");
    let output = Command::new(MSIGHT).arg("up").current_dir(folder.path()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("did you mean --fps?") && said.contains("nothing was started"), "{said}");
}
