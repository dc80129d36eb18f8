//! The tutorial's three commands as the README has them, with nothing changed but the bucket's name and
//! the camera's port: three processes, a real Redis, GStreamer's RTSP server, and an S3 server.

use std::path::Path;
use std::process::Command;

use msight_test_support::camera::Camera;
use msight_test_support::{Program, until};

use crate::pipeline::{BUCKET, DEVICE, Pipeline, files, frames_and_seconds, plays, sidecar, tool};

const SIZE: (i64, i64) = (640, 480);
/// Seven bars of known colours: what is seen of them at the end must be what the camera shows.
const BARS: usize = 7;

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorials_commands_fill_a_bucket() {
    let video = Camera::h264(
        "pattern=smpte75",
        ",width=640,height=480",
        "tune=zerolatency bitrate=2000 ! video/x-h264,profile=baseline",
    )
    .replace("framerate=20/1", "framerate=10/1");
    let camera = Camera::start(&video, &["--path", "/live.stream"]);

    let pipeline = Pipeline::start().await;
    let mut nodes: Vec<Program> =
        tutorial(camera.port).iter().map(|command| start(&pipeline, command)).collect();
    let bucket = pipeline.store.root().join(BUCKET);
    let objects = bucket.join("msight_tutorial").join(DEVICE).join("rtsp_sensor");
    until("two segments", async || {
        let ended = nodes.iter_mut().find_map(|node| (!node.is_running()).then_some(&node.name));
        assert_eq!(ended, None, "a node has ended");
        files(&objects, "json").len() >= 2
    })
    .await;

    let status = pipeline.command("msight_status").output().unwrap();
    let status = String::from_utf8_lossy(&status.stdout);
    for name in ["rtsp_node", "image-aggregator", "video_pusher", "rtsp_topic", "aggregated_video", "RUNNING"]
    {
        assert!(status.contains(name), "{name} is missing in\n{status}");
    }

    // Sources first, as a launcher does it: each has time to finish, so that the last frames arrive too.
    for node in &mut nodes {
        node.stop().await;
    }
    let nodes_left = pipeline.redis.cli(&["HLEN", "MSIGHT:NODES"]);
    assert_eq!(nodes_left, "0", "all nodes have unregistered");

    let videos = files(&objects, "mp4");
    assert_eq!(videos.len(), files(&objects, "json").len(), "each video has its sidecar");
    let (last, whole) = videos.split_last().unwrap();
    assert!(whole.len() >= 2, "{videos:?}");
    let url = format!("rtsp://localhost:{}/live.stream", camera.port);
    let shown = bars_of(&["-rtsp_transport", "tcp", "-i", &url]);
    for video in whole {
        let (frames, seconds) = frames_and_seconds(video, SIZE);
        assert_eq!(frames, 100, "{}", video.display());
        assert!((9.8..10.2).contains(&seconds), "{} takes {seconds} s", video.display());
    }
    assert!(
        (1..=100).contains(&frames_and_seconds(last, SIZE).0),
        "the last segment is what was left at the stop"
    );
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

/// Runs a command of the README in a shell.
fn start(pipeline: &Pipeline, command: &str) -> Program {
    let program = command.split_whitespace().next().unwrap();
    let programs = Path::new(pipeline.command(program).get_program()).parent().unwrap().to_owned();
    let mut shell = Command::new("sh");
    pipeline.environment(&mut shell);
    shell
        .args(["-c", &format!("exec {command}")])
        .env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()));
    pipeline.run(program, shell)
}

/// The commands of the README's tutorial that begin with `msight_launch_`, for the bucket and a camera at this port.
fn tutorial(port: u16) -> Vec<String> {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let (_, tutorial) = readme.split_once("\n## The tutorial\n").expect("a tutorial");
    let tutorial = tutorial.split("\n## ").next().unwrap();
    let blocks = tutorial.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let commands: Vec<_> =
        blocks.filter(|block| block.starts_with("msight_launch_")).map(str::to_owned).collect();
    assert_eq!(commands.len(), 3);
    let changes = [("SOME_BUCKET_NAME", BUCKET), ("localhost:8554", &format!("localhost:{port}"))];
    for (found, _) in changes {
        assert!(commands.iter().any(|command| command.contains(found)), "{found} is not in the README");
    }
    let changed =
        |command: String| changes.iter().fold(command, |command, (from, to)| command.replace(from, to));
    commands.into_iter().map(changed).collect()
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
    let sidecar = sidecar(video);
    assert_eq!(sidecar["data_type"], "msight_core.data.video.VideoData");
    assert_eq!(sidecar["sensor_name"], "rtsp_sensor");
    assert_eq!(sidecar["device_name"], DEVICE);
    let frames = frames_and_seconds(video, SIZE).0 as usize;
    let times: Vec<f64> =
        sidecar["capture_timestamps"].as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    assert_eq!((times.len(), sidecar["frame_ids"].as_array().unwrap().len()), (frames, frames));
    assert!(times.is_sorted(), "{times:?}");
    let name = video.file_stem().unwrap().to_str().unwrap();
    assert_eq!(name, format!("{}_{}", times[0] as i64, times[frames - 1] as i64));
}
