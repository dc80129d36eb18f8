//! The flags of `msight-bench`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;
use msight_node::flags::Secret;

/// Measures what cameras cost this machine: CPU, memory, delays and frames dropped, program by program
///
/// Built-in cameras show a moving picture to the three programs, each a process of its own as in the tutorial: one
/// source a camera, one aggregator, one pusher, a private redis-server with its own settings, and an S3 server in
/// this process. Nothing but redis-server and the three programs has to be there; they are looked for beside this
/// program, then in PATH, or in --programs. What the cameras and the S3 server cost is shown apart and not counted.
///
/// Each number is measured where nothing else is measured: idle before the cameras start; CPU in the main window;
/// the delay to publication after it, because it is measured by a second subscriber, which costs redis-server a
/// little.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "msight-bench", version)]
pub(super) struct Args {
    /// How many cameras, or "auto": as many as the machine carries without a dropped frame, found by doubling and
    /// then halving the difference, each step for --step seconds
    #[arg(long, value_name = "COUNT", default_value = "1")]
    pub(super) cameras: Cameras,

    /// Seconds of the main window
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(super) duration: Duration,

    /// Seconds in which the programs are measured without a camera; 0 leaves it out
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds_or_none)]
    pub(super) idle: Duration,

    /// Seconds of a step of --cameras auto
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    pub(super) step: Duration,

    /// The most cameras that --cameras auto tries
    #[arg(long, value_name = "COUNT", default_value = "32", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) max_cameras: u16,

    /// What else the machine has for the job, on the same stream in the same run: one ffmpeg with libx264 ultrafast
    /// runs in the main window beside the three programs, and is what they are compared with; ffmpeg with veryfast,
    /// ffmpeg without decoding and GStreamer follow one after the other, for a third of the main window each, the
    /// three programs running beside them. Then the quality of the segments is compared with libx264's
    #[arg(long)]
    pub(super) peers: bool,

    /// Run the same nodes in one process as well, on as many cameras of its own, beside the three programs: frames go
    /// from node to node as they are, without Redis
    #[arg(long)]
    pub(super) one_process: bool,

    /// Width and height of the cameras' pictures
    #[arg(long, value_name = "WxH", default_value = "1920x1080", help_heading = "Cameras")]
    pub(super) size: PictureSize,

    /// Pictures a second of the cameras, and of the video
    #[arg(long, value_name = "RATE", default_value = "10", help_heading = "Cameras", value_parser = clap::value_parser!(u16).range(1..=60))]
    pub(super) fps: u16,

    /// Bits a second of a camera: 4M, 800k
    #[arg(long, value_name = "BITS", default_value = "4M", help_heading = "Cameras", value_parser = bits)]
    pub(super) camera_bitrate: u32,

    /// Show this MP4 file (H.264) in a loop instead of the test picture, at its own size, rate and bitrate
    #[arg(long, value_name = "FILE", help_heading = "Cameras", conflicts_with_all = ["size", "fps", "camera_bitrate"])]
    pub(super) stream: Option<PathBuf>,

    /// Frames of a segment
    #[arg(long, value_name = "FRAMES", default_value = "100", help_heading = "Segments", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) buffer_size: u32,

    /// Bits a second of the video, for the aggregator and for the others alike [default: --camera-bitrate]
    #[arg(long, value_name = "BITS", help_heading = "Segments", value_parser = bits)]
    pub(super) bitrate: Option<u32>,

    /// Use this Redis server, redis://host:6379/0, instead of a private one; its CPU and memory are then what it
    /// says of itself, other work included
    #[arg(long, value_name = "URL")]
    pub(super) redis: Option<Secret>,

    /// Folder of the node programs and of msight [default: this program's folder, then PATH]
    #[arg(long, value_name = "DIR")]
    pub(super) programs: Option<PathBuf>,

    /// How the results are printed
    #[arg(long, value_name = "FORMAT", default_value = "table", help_heading = "Results")]
    pub(super) format: Format,

    /// Write the results to this file as JSON as well
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(super) json: Option<PathBuf>,

    /// Draw CPU per frame, program by program, as an SVG picture
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(super) chart: Option<PathBuf>,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// How many cameras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cameras {
    Fixed(u16),
    Auto,
}

/// The most cameras at a time: an aggregator has 64 sensors unless it is told otherwise.
const MAX_CAMERAS: u16 = 64;

impl FromStr for Cameras {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count @ 1..=MAX_CAMERAS) => Ok(Self::Fixed(count)),
            _ if text == "auto" => Ok(Self::Auto),
            _ => Err(format!("take 1 to {MAX_CAMERAS}, or auto")),
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
            _ => Err("write it as 1920x1080".to_owned()),
        }
    }
}

fn bits(text: &str) -> Result<u32, String> {
    let bits = text.trim().parse::<ByteSize>().ok().and_then(|bits| u32::try_from(bits.as_u64()).ok());
    bits.filter(|bits| *bits > 0)
        .ok_or_else(|| format!("'{text}' is no bitrate; write it as 4000000, 4000k or 4M"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    seconds_or_none(text).and_then(|time| match time {
        Duration::ZERO => Err("it must be more than nothing".to_owned()),
        time => Ok(time),
    })
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    const DAY: f64 = 86_400.0;
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=DAY).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "take seconds, up to a day".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_refused() {
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
