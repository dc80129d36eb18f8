//! Frames in, MP4 segments out: MSight's image-to-video aggregator (`data_process_image_to_video_aggregator.py`).
//!
//! Each sensor's frames go through a thread of their own: `timeline` says by the capture time whether a frame
//! is shown, `sensor` decodes and encodes it once, `windows` counts it into segments, `recording` keeps
//! its access unit as long as a segment needs it, and [`mp4`] writes the segment. What is held of a frame is
//! its compressed data, so memory does not grow with `--buffer-size` more than the segment itself does.

mod coding;
mod counts;
pub mod encoder;
mod ending;
#[cfg(fuzzing)]
pub mod fuzz;
mod input;
pub mod metrics;
pub mod mp4;
mod openh264;
mod pacing;
mod queue;
mod recording;
mod rhythm;
mod sensor;
mod sensors;
mod settings;
mod timeline;
mod windows;
mod worker;

use clap::Args;
use encoder::{MAX_QP, Quality};
use msight_node::argparse::{float, int};
use msight_node::metrics::Metric;
use msight_node::{Context, Entry, ErrorContext as _, Node, Processor, Publisher, Result, bail};
use msight_proto::{ImageData, Sample, VideoData};
use recording::Cut;
use rhythm::Patience;
use sensors::Sensors;
pub use settings::Settings;
use settings::{Codec, codec, quantity};
use std::sync::Arc;
use std::time::Duration;
use timeline::Timing;
use tokio_util::sync::CancellationToken;
use windows::WindowSize;
use worker::Shared;

/// The node as a value.
pub const ENTRY: Entry = msight_node::processor::<ImageToVideo>();

/// Makes MP4 segments (H.264) of the frames of one or more sensors.
#[derive(Debug, Args)]
pub struct Flags {
    /// Frames of a segment
    #[arg(long, value_name = "FRAMES", value_parser = int, allow_negative_numbers = true)]
    buffer_size: i64,

    /// Frames at a segment's end that the next one begins with; at most --buffer-size
    #[arg(long, value_name = "FRAMES", value_parser = int, allow_negative_numbers = true)]
    overlap_size: i64,

    /// Frames a second of the video: those above are left out evenly by their capture time, and those that are
    /// kept are shown at it. With --timing constant every frame is shown for 1/fps seconds
    #[arg(long, value_name = "RATE", default_value = "20", value_parser = int, allow_negative_numbers = true)]
    fps: i64,

    /// Codec of the video: h264 (also libx264, openh264, avc). For libx265, MSight's default, h264 is used
    #[arg(long, value_name = "CODEC", default_value = "h264", value_parser = codec)]
    codec: Codec,

    /// How frames are timed
    #[arg(long, value_name = "HOW", default_value = "capture", help_heading = "Video")]
    timing: Timing,

    /// Bits a second, at --fps, that a sensor's video has on average: 4M, 800k. By default as many as --qp makes
    /// of it, and at most 0.2 a pixel (4 Mbit/s for 1920x1080 at 10 frames a second)
    #[arg(long, value_name = "BITS", help_heading = "Video", value_parser = quantity)]
    bitrate: Option<u64>,

    /// The finest quantiser to use, from 0 (finest) to 51; quiet scenes then cost less than the bitrate
    /// [default: 25, or 12 with --bitrate]
    #[arg(long, value_name = "QP", help_heading = "Video", value_parser = clap::value_parser!(u8).range(0..=i64::from(MAX_QP)))]
    qp: Option<u8>,

    /// Frames after which a key frame comes at the latest, to seek by; each segment begins with one in any case.
    /// 0: no others
    #[arg(long, value_name = "FRAMES", default_value = "250", help_heading = "Video")]
    keyframe_interval: u32,

    /// Seconds between two capture times that end a segment [default: 2, or five usual intervals of the sensor]
    #[arg(long, value_name = "SECONDS", help_heading = "Segments", value_parser = float)]
    max_gap: Option<f64>,

    /// Seconds without a frame after which a sensor's open segment is published as it is [default: 5, or five
    /// usual intervals of the sensor]
    #[arg(long, value_name = "SECONDS", help_heading = "Segments", value_parser = float)]
    idle_timeout: Option<f64>,

    /// Bytes of video at which a segment ends early. Redis cuts off subscribers that are 32 MiB behind, unless
    /// its client-output-buffer-limit is raised
    #[arg(long, value_name = "BYTES", default_value = "28MiB", help_heading = "Segments", value_parser = quantity)]
    max_segment_bytes: u64,

    /// Sensors at work at a time. One more takes the place of one that was quiet for 5 s, or is left out
    #[arg(long, value_name = "SENSORS", default_value = "64", help_heading = "Queue", value_parser = clap::value_parser!(u16).range(1..))]
    max_sensors: u16,

    /// Frames of a sensor that may wait for its encoder; when it is slower than they come, the oldest are dropped
    #[arg(long, value_name = "FRAMES", default_value = "100", help_heading = "Queue", value_parser = clap::value_parser!(u16).range(1..))]
    sensor_queue: u16,
}

/// How long after its open segment was ended a quiet sensor is forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// The longest pause that the duration of a frame can express, and more: 12 hours.
const MAX_PAUSE: f64 = 43_200.0;
/// The shortest time without a frame that is a pause.
const MIN_PAUSE: f64 = 0.001;

impl msight_node::Settings for Settings {
    type Flags = Flags;

    fn parse(flags: Flags) -> Result<Self> {
        let Some(fps) = u16::try_from(flags.fps).ok().filter(|&fps| fps > 0).map(f64::from) else {
            bail!("--fps {} is out of range: 1 to 65535 frames a second", flags.fps);
        };
        if flags.buffer_size < 1 {
            bail!("--buffer-size {} is out of range: a segment has 1 frame or more", flags.buffer_size);
        }
        let patience = |flag: &str, seconds: Option<f64>, least: f64| match seconds {
            None => Ok(Patience::AtLeast(least)),
            Some(seconds) if (MIN_PAUSE..=MAX_PAUSE).contains(&seconds) => Ok(Patience::Exactly(seconds)),
            Some(seconds) => bail!("{flag} {seconds} is out of range: {MIN_PAUSE} to {MAX_PAUSE} seconds"),
        };
        let bitrate = (flags.bitrate.map(u32::try_from).transpose())
            .with_context(|| format!("--bitrate {:?} is out of range: below 4G", flags.bitrate))?;
        Ok(Self {
            codec: flags.codec,
            timing: flags.timing,
            fps,
            cut: Cut {
                size: WindowSize::new(flags.buffer_size, flags.overlap_size)?,
                max_bytes: usize::try_from(flags.max_segment_bytes).unwrap_or(usize::MAX),
                interval: 1.0 / fps,
                constant: flags.timing == Timing::Constant,
            },
            quality: Quality { bitrate, qp: flags.qp, fps, keyframe_interval: flags.keyframe_interval },
            max_gap: patience("--max-gap", flags.max_gap, 2.0)?,
            idle: patience("--idle-timeout", flags.idle_timeout, 5.0)?,
            forget: FORGET,
            max_sensors: flags.max_sensors.into(),
            sensor_queue: flags.sensor_queue.into(),
        })
    }
}

/// The node.
pub struct ImageToVideo {
    sensors: Sensors,
}

impl Node for ImageToVideo {
    const NAME: &'static str = "msight_launch_image_to_video_aggregator";
    const CLASS: &'static str = "ImageToVideoAggregatorNode";
    const METRICS: &'static [Metric] = metrics::ALL;
    type Args = Settings;

    async fn open(settings: Settings, cx: &Context) -> Result<Self> {
        if settings.codec == Codec::Hevc {
            tracing::warn!(
                "HEVC is asked for, and H.264 is encoded; --codec h264 says the same without this warning"
            );
        }
        Ok(Self {
            sensors: Sensors::new(Shared {
                cx: cx.clone(),
                settings,
                counts: Arc::new(counts::Counts::new(cx.metrics())),
                abandoned: CancellationToken::new(),
            }),
        })
    }
}

impl Processor for ImageToVideo {
    type In = ImageData;
    type Out = VideoData;

    async fn process(&mut self, frame: Sample<ImageData>, out: &Publisher<VideoData>) -> Result<()> {
        self.sensors.accept(frame, out)
    }

    async fn finish(&mut self, _: &Publisher<VideoData>) -> Result<()> {
        self.sensors.finish().await;
        Ok(())
    }
}
