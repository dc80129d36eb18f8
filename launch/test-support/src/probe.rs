//! What ffprobe reads in a file, and whether ffmpeg decodes it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A packet of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// The index of its stream.
    pub stream: u64,
    /// Presentation time, in ticks of the stream.
    pub pts: i64,
    /// Decoding time, in ticks of the stream.
    pub dts: i64,
    /// In ticks of the stream; 0 if the file does not tell.
    pub duration: i64,
    /// Whether decoding can begin with it.
    pub key: bool,
    /// As it is in the file. Video in MP4: NAL units, each after its length in four bytes.
    pub data: Vec<u8>,
}

/// A stream of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// The name that FFmpeg has for its format, such as `hevc`.
    pub codec: String,
    /// Ticks a second.
    pub rate: u32,
    /// The parameter sets, as the file has them.
    pub extradata: Vec<u8>,
    /// Of sound.
    pub channels: Option<u32>,
    /// Width and height of pictures.
    pub size: Option<(u64, u64)>,
}

/// The streams of a file, and its packets in the order in which they are in it.
///
/// # Panics
/// ffprobe cannot read the file.
pub fn packets(path: &Path) -> (Vec<Stream>, Vec<Packet>) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_streams", "-show_packets", "-show_data"])
        .arg(path)
        .output()
        .expect("ffprobe is installed (apt-get install ffmpeg)");
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("ffprobe's JSON");
    let int = |value: &Value| value.as_i64().unwrap_or_default();
    let streams = found["streams"].as_array().expect("streams").iter().map(|stream| Stream {
        codec: stream["codec_name"].as_str().unwrap_or_default().to_owned(),
        rate: ticks(&stream["time_base"]).unwrap_or_else(|| panic!("{}: {stream}", path.display())),
        extradata: bytes(&stream["extradata"]),
        channels: stream["channels"].as_u64().map(|channels| channels as u32),
        size: stream["width"].as_u64().zip(stream["height"].as_u64()),
    });
    let packets = found["packets"].as_array().expect("packets").iter().map(|packet| Packet {
        stream: int(&packet["stream_index"]) as u64,
        pts: int(&packet["pts"]),
        dts: int(&packet["dts"]),
        duration: int(&packet["duration"]),
        key: packet["flags"].as_str().unwrap_or_default().contains('K'),
        data: bytes(&packet["data"]),
    });
    (streams.collect(), packets.collect())
}

/// Ticks a second of a time base, such as `1/90000`.
fn ticks(base: &Value) -> Option<u32> {
    base.as_str()?.strip_prefix("1/")?.parse().ok()
}

/// The bytes of a dump: lines with an offset, groups of hexadecimal digits, and the bytes as text.
fn bytes(dump: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in dump.as_str().unwrap_or_default().lines() {
        let Some((_, rest)) = line.split_once(": ") else { continue };
        let digits: String = rest.chars().take(40).filter(char::is_ascii_hexdigit).collect();
        let pairs = digits.as_bytes().chunks_exact(2);
        bytes.extend(pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()));
    }
    bytes
}

/// Decodes a file.
///
/// # Panics
/// ffmpeg reports anything.
pub fn decode(path: &Path) {
    // In the file's own time base: in that of a guessed frame rate, two frames a little closer than usual share a tick,
    // which ffmpeg's null output complains of.
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(path)
        .args(["-enc_time_base", "-1", "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed (apt-get install ffmpeg)");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.is_empty(), "{}: {text}", path.display());
}
