//! Segments as FFmpeg sees them, and what stands beside them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs one of FFmpeg's programs, which must end well.
pub(crate) fn tool(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program}: {error}; on Debian: apt-get install ffmpeg"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// FFmpeg decodes all of it without a complaint.
pub(crate) fn plays(video: &Path) {
    // In the file's own time base: in that of a guessed frame rate, two frames a little closer than usual share a
    // tick, which ffmpeg's null output complains of.
    let input = ["-v", "error", "-xerror", "-i", video.to_str().expect("a plain path")];
    let complaints = tool("ffmpeg", &[&input[..], &["-enc_time_base", "-1", "-f", "null", "-"]].concat());
    assert_eq!(String::from_utf8_lossy(&complaints.stderr), "", "{}", video.display());
}

/// How many frames it has, and how long it takes, of an H.264 video of this size.
pub(crate) fn frames_and_seconds(video: &Path, size: (i64, i64)) -> (u32, f64) {
    let entries = "stream=width,height,codec_name,codec_tag_string,nb_read_frames:format=duration";
    let path = video.to_str().expect("a plain path");
    let args = ["-v", "error", "-count_frames", "-of", "json", "-show_entries", entries, path];
    let found: serde_json::Value =
        serde_json::from_slice(&tool("ffprobe", &args).stdout).expect("ffprobe's JSON");
    let stream = &found["streams"][0];
    assert_eq!((stream["width"].as_i64(), stream["height"].as_i64()), (Some(size.0), Some(size.1)));
    assert_eq!(
        (stream["codec_name"].as_str(), stream["codec_tag_string"].as_str()),
        (Some("h264"), Some("avc1"))
    );
    let number = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    let frames = number(&stream["nb_read_frames"]).expect("a number of frames");
    (frames as u32, number(&found["format"]["duration"]).expect("a duration"))
}

/// The metadata beside a video or in the file itself.
pub(crate) fn sidecar(video: &Path) -> serde_json::Value {
    let text = std::fs::read(video.with_extension("json")).expect("a sidecar");
    serde_json::from_slice(&text).expect("a sidecar of JSON")
}
