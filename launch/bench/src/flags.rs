//! The flags of `msight-bench`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;
use msight_node::flags::Secret;

/// Measure the cost of cameras on this machine: CPU, memory, delay and dropped frames of each program
///
/// Built-in cameras stream a moving picture to the three programs, each in its own process as in the tutorial: one
/// source per camera, one aggregator and one pusher, with a private redis-server and a built-in S3 server. Only
/// redis-server and the three programs are needed. They are searched for beside this program, then in PATH, or in
/// --programs. The cost of the cameras and the S3 server is shown separately and not counted.
///
/// Measurements do not disturb each other: idle cost is measured before the cameras start, CPU in the main window,
/// and the delay to publication after it, because its second subscriber costs redis-server a little.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "msight-bench", version)]
pub(super) struct Args {
    /// Number of cameras, or "auto": the most that the machine can handle without a dropped frame
    ///
    /// Auto doubles the number, then halves the difference, with --step seconds each.
    #[arg(long, value_name = "COUNT", default_value = "1")]
    pub(super) cameras: Cameras,

    /// Length of the main window in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(super) duration: Duration,

    /// Time in seconds to measure the programs without a camera; 0 skips it
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds_or_none)]
    pub(super) idle: Duration,

    /// Length of a step of --cameras auto in seconds
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    pub(super) step: Duration,

    /// Maximum number of cameras for --cameras auto
    #[arg(long, value_name = "COUNT", default_value = "32", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) max_cameras: u16,

    /// Also measure ffmpeg and GStreamer on the same stream, for comparison
    ///
    /// ffmpeg with libx264 ultrafast runs in the main window beside the three programs and is the reference. ffmpeg
    /// with veryfast, ffmpeg without decoding, and GStreamer then run one by one beside the three programs, each for
    /// a third of the main window. Finally the quality of the segments is compared with that of libx264. A program or
    /// encoder that is not installed is left out; the results state its package. Ignored with --cameras auto.
    #[arg(long)]
    pub(super) peers: bool,

    /// Also run the same nodes in one process, as msight up --one-process does
    ///
    /// The process has the same number of cameras of its own, and passes frames without copying them and without Redis.
    /// Ignored with --cameras auto.
    #[arg(long)]
    pub(super) one_process: bool,

    /// Also measure a source that publishes the camera's access units alone, beside ffmpeg without decoding
    ///
    /// The source has --packet-topic and no -pt, so nothing is decoded. It runs before the cameras of the main window
    /// start, as long as the main window, with a subscriber that reads each unit. ffmpeg (-c copy) stores the stream of
    /// a second camera at the same time. Ignored with --cameras auto.
    #[arg(long)]
    pub(super) packets: bool,

    /// Measure recording and the copying aggregator instead, beside ffmpeg in the same run, and compare with their limits
    ///
    /// One camera with a key frame every 24 frames, encoded by libx264 as the camera of the tutorial, is recorded by source
    /// and recorder and by the tutorial's graph, in one process and as programs. ffmpeg without decoding or with libx264
    /// ultrafast runs in the same window, of --duration each. Then --copy-cameras are recorded at once. Each row has its
    /// ratio and its limit, and whether it holds; a limit that does not hold is a result, not an error.
    #[arg(long, conflicts_with_all = ["cameras", "peers", "one_process", "packets", "chart"])]
    pub(super) copy: bool,

    /// Number of cameras that --copy records at once; 0 skips it
    #[arg(long, value_name = "COUNT", default_value = "60", requires = "copy", value_parser = clap::value_parser!(u16).range(0..=200))]
    pub(super) copy_cameras: u16,

    /// Size of the cameras' pictures in pixels
    #[arg(long, value_name = "WxH", default_value = "1920x1080", help_heading = "Cameras")]
    pub(super) size: PictureSize,

    /// Frames per second of the cameras and of the video
    #[arg(long, value_name = "RATE", default_value = "10", help_heading = "Cameras", value_parser = clap::value_parser!(u16).range(1..=60))]
    pub(super) fps: u16,

    /// Bit rate of a camera in bits per second, such as 4M or 800k
    #[arg(long, value_name = "BITS", default_value = "4M", help_heading = "Cameras", value_parser = bits)]
    pub(super) camera_bitrate: u32,

    /// MP4 file (H.264) to stream in a loop instead of the test picture, with its own size, frame rate and bit rate
    #[arg(long, value_name = "FILE", help_heading = "Cameras", conflicts_with_all = ["size", "fps", "camera_bitrate"])]
    pub(super) stream: Option<PathBuf>,

    /// Frames per segment
    #[arg(long, value_name = "FRAMES", default_value = "100", help_heading = "Segments", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) buffer_size: u32,

    /// Bit rate of the video in bits per second, for the aggregator and the compared programs [default:
    /// --camera-bitrate]
    #[arg(long, value_name = "BITS", help_heading = "Segments", value_parser = bits)]
    pub(super) bitrate: Option<u32>,

    /// URL of a Redis server, redis://host:6379/0, instead of a private one; its CPU and memory then include its
    /// other work
    #[arg(long, value_name = "URL")]
    pub(super) redis: Option<Secret>,

    /// Folder of the node programs and of msight [default: this program's folder, then PATH]
    #[arg(long, value_name = "DIR")]
    pub(super) programs: Option<PathBuf>,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "table", help_heading = "Results")]
    pub(super) format: Format,

    /// File to also write the results to, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(super) json: Option<PathBuf>,

    /// File to draw the CPU time per frame of each program to, as SVG
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(super) chart: Option<PathBuf>,
}

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Table.
    Table,
    /// JSON.
    Json,
}

/// The number of cameras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cameras {
    Fixed(u16),
    Auto,
}

/// The maximum number of cameras: by default an aggregator accepts 64 sensors.
const MAX_CAMERAS: u16 = 64;

impl FromStr for Cameras {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count @ 1..=MAX_CAMERAS) => Ok(Self::Fixed(count)),
            _ if text == "auto" => Ok(Self::Auto),
            _ => Err(format!("expected 1 to {MAX_CAMERAS}, or auto")),
        }
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PictureSize {
    pub(super) width: usize,
    pub(super) height: usize,
}

impl FromStr for PictureSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides = text.split_once('x').map(|(width, height)| (width.parse(), height.parse()));
        match sides {
            Some((Ok(width), Ok(height))) => Ok(Self { width, height }),
            _ => Err("expected a size such as 1920x1080".to_owned()),
        }
    }
}

fn bits(text: &str) -> Result<u32, String> {
    let bits = text.trim().parse::<ByteSize>().ok().and_then(|bits| u32::try_from(bits.as_u64()).ok());
    bits.filter(|bits| *bits > 0)
        .ok_or_else(|| format!("invalid bit rate '{text}'; expected a value such as 4000000, 4000k or 4M"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    seconds_or_none(text).and_then(|time| match time {
        Duration::ZERO => Err("expected more than 0".to_owned()),
        time => Ok(time),
    })
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    const DAY: f64 = 86_400.0;
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=DAY).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds, up to 86400".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parsed_and_rejected() {
        assert_eq!("auto".parse(), Ok(Cameras::Auto));
        assert_eq!("64".parse(), Ok(Cameras::Fixed(64)));
        for bad in ["0", "65", "-1", "Auto", ""] {
            assert!(bad.parse::<Cameras>().is_err(), "{bad}");
        }
        assert_eq!("640x360".parse(), Ok(PictureSize { width: 640, height: 360 }));
        assert!("640".parse::<PictureSize>().is_err() && "ax1".parse::<PictureSize>().is_err());
        assert_eq!((bits("4M"), bits("800k")), (Ok(4_000_000), Ok(800_000)));
        assert!(bits("0").is_err() && bits("5G").is_err() && bits("fast").is_err());
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert!(["0", "nan", "-1", "1e9", "inf"].iter().all(|bad| seconds(bad).is_err()));
        assert_eq!(seconds_or_none("0"), Ok(Duration::ZERO));
    }
}
