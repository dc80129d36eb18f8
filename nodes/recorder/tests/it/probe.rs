//! What ffprobe reads in a file, and whether ffmpeg decodes it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A packet of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Packet {
    /// The index of its stream.
    pub(crate) stream: u64,
    /// In ticks of the stream.
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) key: bool,
    pub(crate) data: Vec<u8>,
}

/// A stream of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stream {
    pub(crate) codec: String,
    /// Ticks a second.
    pub(crate) rate: u32,
    pub(crate) extradata: Vec<u8>,
    pub(crate) channels: Option<u32>,
    /// Width and height of pictures.
    pub(crate) size: Option<(u64, u64)>,
}

/// The streams and packets of a file.
pub(crate) fn packets(path: &Path) -> (Vec<Stream>, Vec<Packet>) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_streams", "-show_packets", "-show_data"])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let int = |value: &Value| value.as_i64().unwrap_or_default();
    let streams = found["streams"].as_array().unwrap().iter().map(|stream| Stream {
        codec: stream["codec_name"].as_str().unwrap_or_default().to_owned(),
        rate: stream["time_base"].as_str().unwrap().split_once('/').unwrap().1.parse().unwrap(),
        extradata: bytes(&stream["extradata"]),
        channels: stream["channels"].as_u64().map(|channels| channels as u32),
        size: stream["width"].as_u64().zip(stream["height"].as_u64()),
    });
    let packets = found["packets"].as_array().unwrap().iter().map(|packet| Packet {
        stream: int(&packet["stream_index"]) as u64,
        pts: int(&packet["pts"]),
        dts: int(&packet["dts"]),
        key: packet["flags"].as_str().unwrap_or_default().contains('K'),
        data: bytes(&packet["data"]),
    });
    (streams.collect(), packets.collect())
}

/// The bytes of a dump: lines with an offset, groups of hexadecimal digits, and the bytes as text.
fn bytes(dump: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in dump.as_str().unwrap_or_default().lines() {
        let Some((_, rest)) = line.split_once(": ") else { continue };
        let digits: String = rest.chars().take(40).filter(char::is_ascii_hexdigit).collect();
        let pairs = digits.as_bytes().chunks_exact(2);
        bytes.extend(pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()));
    }
    bytes
}

/// Decodes a file, and fails at the first error.
pub(crate) fn decode(path: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(path)
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.is_empty(), "{}: {text}", path.display());
}
