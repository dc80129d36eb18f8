//! The stream of the cameras: the test picture as x264 encodes it for the tutorial's camera.
//!
//! Key frames come at a fixed distance and are larger than other frames, as those of a camera.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::flags::Args;
use msight_camera::{CameraConfig, LoopVideo};

/// Frames from one key frame to the next, as in the tutorial.
const KEY_FRAMES: usize = 24;

/// The least length of the loop in seconds. It ends with a whole distance between key frames.
const LOOP_SECONDS: usize = 10;

/// The bit rate of the pictures that x264 encodes, in multiples of the camera's: high enough to show every grain.
const ORIGINAL: u32 = 8;

/// The accepted deviation of the bit rate from the requested one, and the maximum number of attempts.
const TOLERANCE: f64 = 0.02;
const ATTEMPTS: usize = 4;

/// Draws the test picture and has ffmpeg encode it.
pub(crate) async fn encode(args: &Args, ffmpeg: &Path) -> Result<LoopVideo> {
    let fps = usize::from(args.fps);
    let frames = (LOOP_SECONDS * fps).div_ceil(KEY_FRAMES) * KEY_FRAMES;
    let config = CameraConfig {
        width: args.size.width,
        height: args.size.height,
        fps: args.fps.into(),
        bitrate: args.camera_bitrate.saturating_mul(ORIGINAL).min(100_000_000),
        ..CameraConfig::default()
    };
    let draw = move || LoopVideo::of_test_picture(&config, frames.div_ceil(fps) as u32);
    let original =
        tokio::task::spawn_blocking(draw).await.context("the thread of the encoder panicked")??;
    let pictures: Vec<u8> = original.annex_b().take(frames).flatten().collect();
    let wanted = f64::from(args.camera_bitrate);
    let mut aim = wanted;
    let mut best: Option<LoopVideo> = None;
    let off = |video: &LoopVideo| (video.bitrate() / wanted - 1.0).abs();
    for _ in 0..ATTEMPTS {
        let made = x264(ffmpeg, &pictures, args.fps, aim).await?;
        ensure!(made.frames() == frames, "ffmpeg encoded {} of {frames} frames", made.frames());
        aim *= (wanted / made.bitrate()).clamp(0.5, 2.0);
        best = Some(best.filter(|best| off(best) <= off(&made)).unwrap_or(made));
        if best.as_ref().is_some_and(|best| off(best) < TOLERANCE) {
            break;
        }
    }
    best.context("ffmpeg made no video")
}

/// The tutorial's settings of x264, with one thread for one slice a frame, and a camera's constant bit rate.
async fn x264(ffmpeg: &Path, pictures: &[u8], fps: u16, bitrate: f64) -> Result<LoopVideo> {
    let folder = tempfile::Builder::new().prefix("msight-bench-").tempdir().context("no temporary folder")?;
    let video = folder.path().join("camera.mp4");
    let (fps, bitrate, keys) = (fps.to_string(), format!("{bitrate:.0}"), KEY_FRAMES.to_string());
    let input = ["-nostdin", "-v", "error", "-f", "h264", "-framerate", &fps, "-i", "-", "-an"];
    let codec = ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-profile:v", "baseline"];
    let frames = ["-pix_fmt", "yuv420p", "-g", &keys, "-keyint_min", &keys, "-sc_threshold", "0"];
    let rate = ["-threads", "1", "-b:v", &bitrate, "-maxrate", &bitrate, "-bufsize", &bitrate];
    let mut running = Command::new(ffmpeg)
        .args([&input[..], &codec, &frames, &rate].concat())
        .arg(&video)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start ffmpeg")?;
    let mut stdin = running.stdin.take().context("ffmpeg has no input")?;
    // Whether ffmpeg failed tells its status.
    let _ = stdin.write_all(pictures).await;
    drop(stdin);
    let status = running.wait().await?;
    ensure!(status.success(), "ffmpeg cannot encode the stream of the cameras, {status}");
    tokio::task::spawn_blocking(move || {
        let read = LoopVideo::open(&video);
        drop(folder);
        Ok(read?)
    })
    .await
    .context("cannot read the stream")?
}
