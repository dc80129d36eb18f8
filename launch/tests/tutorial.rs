//! The tutorial's three commands as the README has them, with nothing changed but the bucket's name: three
//! processes, a real Redis, GStreamer's RTSP server, and an S3 server.

#[path = "../../nodes/rtsp-source/tests/camera/mod.rs"]
mod camera;
#[path = "../../bus/tests/support/mod.rs"]
mod redis;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use camera::Camera;
use msight::store::{Store, StoreConfig};
use redis::RedisServer;

const BUCKET: &str = "tutorial-bucket";
const DEVICE: &str = "edge1";
/// Seconds to two segments of 10 s, and as much again for a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// Seven bars of known colours: what is seen of them at the end must be what the camera shows.
const BARS: usize = 7;

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorials_commands_fill_a_bucket() {
    let redis = RedisServer::start(&[]);
    let pipeline = Camera::h264(
        "pattern=smpte75",
        ",width=640,height=480",
        "tune=zerolatency bitrate=2000 ! video/x-h264,profile=baseline",
    )
    .replace("framerate=20/1", "framerate=10/1");
    let camera = Camera::start(&pipeline, &["--port", "8554", "--path", "/live.stream"]);
    assert_eq!(camera.port, 8554);
    let folder = tempfile::tempdir().unwrap();
    let mut config = StoreConfig::new(folder.path());
    config.buckets = vec![BUCKET.to_owned()];
    let store = Store::start(config).await.unwrap();

    let mut nodes = Nodes::start(&redis, &store);
    let objects = folder.path().join(BUCKET).join("msight_tutorial").join(DEVICE).join("rtsp_sensor");
    nodes.wait_for("two segments", || files(&objects, "json").len() >= 2);

    let status = run("msight_status", &[], &redis);
    for name in ["rtsp_node", "image-aggregator", "video_pusher", "rtsp_topic", "aggregated_video", "RUNNING"]
    {
        assert!(text(&status).contains(name), "{name} is missing in\n{}", text(&status));
    }

    // Sources first, as a launcher does it: each has time to finish, so that the last frames arrive too.
    nodes.stop();
    let nodes_left = redis.cli(&["HLEN", "MSIGHT:NODES"]);
    assert_eq!(nodes_left, "0", "all nodes have unregistered");

    let videos = files(&objects, "mp4");
    assert_eq!(videos.len(), files(&objects, "json").len(), "each video has its sidecar");
    let (last, whole) = videos.split_last().unwrap();
    assert!(whole.len() >= 2, "{videos:?}");
    let shown = bars_of(&["-rtsp_transport", "tcp", "-i", "rtsp://localhost:8554/live.stream"]);
    for video in whole {
        let (frames, seconds) = frames_and_seconds(video);
        assert_eq!(frames, 100, "{}", video.display());
        assert!((9.8..10.2).contains(&seconds), "{} takes {seconds} s", video.display());
    }
    assert!((1..=100).contains(&frames_and_seconds(last).0), "the last segment is what was left at the stop");
    for video in &videos {
        plays(video);
        check_sidecar(video);
        let seen = bars_of(&["-i", video.to_str().unwrap()]);
        for (bar, (seen, shown)) in seen.iter().zip(&shown).enumerate() {
            let off = seen.iter().zip(shown).map(|(seen, shown)| seen.abs_diff(*shown)).max().unwrap();
            assert!(off <= 6, "bar {bar} is {seen:?}, and the camera shows {shown:?}");
        }
    }
}

/// The three programs, in the tutorial's order.
struct Nodes(Vec<(String, Child)>);

impl Nodes {
    fn start(redis: &RedisServer, store: &Store) -> Self {
        let keys = store.keys();
        let commands = tutorial();
        assert_eq!(commands.len(), 3);
        let start = |command: &String| {
            let program = command.split_whitespace().next().unwrap().to_owned();
            let child = Command::new("sh")
                .args(["-c", &format!("exec {}", command.replace("SOME_BUCKET_NAME", BUCKET))])
                .env("PATH", path())
                .env("MSIGHT_EDGE_DEVICE_NAME", DEVICE)
                .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", redis.port.to_string())
                .env("AWS_ENDPOINT_URL_S3", store.endpoint())
                .env("AWS_ACCESS_KEY_ID", &keys.access_key)
                .env("AWS_SECRET_ACCESS_KEY", &keys.secret_key)
                .env("AWS_EC2_METADATA_DISABLED", "true")
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            (program, child)
        };
        Self(commands.iter().map(start).collect())
    }

    fn wait_for(&mut self, what: &str, done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}");
            for (program, child) in &mut self.0 {
                assert_eq!(child.try_wait().unwrap(), None, "{program} has ended");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks each to stop as docker does, and gives it docker's 10 s.
    fn stop(&mut self) {
        for (program, mut child) in std::mem::take(&mut self.0) {
            let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
            assert!(killed.success());
            let begun = Instant::now();
            let status = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                assert!(begun.elapsed() < Duration::from_secs(10), "{program} does not stop");
                std::thread::sleep(Duration::from_millis(20));
            };
            assert_eq!(status.code(), Some(0), "{program}");
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The README's commands that begin with `msight_launch_`.
fn tutorial() -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let blocks = readme.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.filter(|block| block.starts_with("msight_launch_")).map(str::to_owned).collect()
}

/// `PATH` with the workspace's programs in front.
fn path() -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_msight")).parent().unwrap();
    for program in tutorial().iter().map(|command| command.split_whitespace().next().unwrap()) {
        let there = programs.join(program).exists();
        assert!(
            there,
            "{program} is not built; run cargo build --workspace --bins, or the tests of the whole workspace"
        );
    }
    format!("{}:{}", programs.display(), std::env::var("PATH").unwrap())
}

fn run(program: &str, args: &[&str], redis: &RedisServer) -> Output {
    Command::new(Path::new(env!("CARGO_BIN_EXE_msight")).with_file_name(program))
        .args(args)
        .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", redis.port.to_string())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The files of an ending below a folder, in the order of their names.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn tool(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program}: {error}; on Debian: apt-get install ffmpeg"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn plays(video: &Path) {
    // In the file's own time base: in that of a guessed frame rate, two frames a little closer than usual share a
    // tick, which ffmpeg's null output complains of.
    let input = ["-v", "error", "-xerror", "-i", video.to_str().unwrap()];
    let complaints = tool("ffmpeg", &[&input[..], &["-enc_time_base", "-1", "-f", "null", "-"]].concat());
    assert_eq!(String::from_utf8_lossy(&complaints.stderr), "", "{}", video.display());
}

fn frames_and_seconds(video: &Path) -> (u32, f64) {
    let entries = "stream=width,height,codec_name,codec_tag_string,nb_read_frames:format=duration";
    let args =
        ["-v", "error", "-count_frames", "-of", "json", "-show_entries", entries, video.to_str().unwrap()];
    let found: serde_json::Value = serde_json::from_slice(&tool("ffprobe", &args).stdout).unwrap();
    let stream = &found["streams"][0];
    assert_eq!((stream["width"].as_i64(), stream["height"].as_i64()), (Some(640), Some(480)));
    assert_eq!(
        (stream["codec_name"].as_str(), stream["codec_tag_string"].as_str()),
        (Some("h264"), Some("avc1"))
    );
    let number = |value: &serde_json::Value| value.as_str().unwrap().parse::<f64>().unwrap();
    (number(&stream["nb_read_frames"]) as u32, number(&found["format"]["duration"]))
}

/// The mean colours of the middles of the seven bars in the picture's upper half, RGB.
fn bars_of(input: &[&str]) -> Vec<[u8; 3]> {
    let width = 640 / BARS;
    let bars = (0..BARS).map(|bar| {
        let crop = format!(
            "crop={}:200:{}:20,scale=1:1:flags=area,format=rgb24",
            width / 2,
            bar * width + width / 4
        );
        let args =
            [&["-v", "error"], input, &["-frames:v", "1", "-vf", &crop, "-f", "rawvideo", "-"]].concat();
        <[u8; 3]>::try_from(tool("ffmpeg", &args).stdout.as_slice()).unwrap()
    });
    bars.collect()
}

fn check_sidecar(video: &Path) {
    let sidecar = std::fs::read(video.with_extension("json")).unwrap();
    let sidecar: serde_json::Value = serde_json::from_slice(&sidecar).unwrap();
    assert_eq!(sidecar["data_type"], "msight_core.data.video.VideoData");
    assert_eq!(sidecar["sensor_name"], "rtsp_sensor");
    assert_eq!(sidecar["device_name"], DEVICE);
    let frames = frames_and_seconds(video).0 as usize;
    let times: Vec<f64> =
        sidecar["capture_timestamps"].as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    assert_eq!((times.len(), sidecar["frame_ids"].as_array().unwrap().len()), (frames, frames));
    assert!(times.is_sorted(), "{times:?}");
    let name = video.file_stem().unwrap().to_str().unwrap();
    assert_eq!(name, format!("{}_{}", times[0] as i64, times[frames - 1] as i64));
}
