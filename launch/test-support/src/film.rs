//! Recorded video for cameras of tests: every session sees the same frames.

use std::path::Path;
use std::process::Command;

/// Frames a second of each film.
pub const RATE: u32 = 20;

/// Writes a film of H.264 to `folder`, made of a moving, noisy picture of `size` by ffmpeg with libx264, whose options
/// `x264` are of the form `name=value:…`. The result is a camera's pipeline that plays it once, in real time.
pub fn film(folder: &Path, size: &str, rate: u32, seconds: u32, bits: &str, x264: &str) -> String {
    let path = folder.join("film.mp4");
    let source =
        format!("testsrc2=size={size}:rate={rate}:duration={seconds},noise=alls=12:allf=t,format=yuv420p");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &source])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-b:v", bits, "-maxrate", bits])
        .args(["-bufsize", bits, "-x264-params", x264])
        .arg(&path)
        .output()
        .expect("ffmpeg is installed (apt-get install ffmpeg)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = path.display();
    format!("filesrc location={path} ! qtdemux ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96")
}
