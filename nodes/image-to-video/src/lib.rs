//! Frames in, MP4 segments out: MSight's image-to-video aggregator (`data_process_image_to_video_aggregator.py`).
//!
//! Each sensor's frames go through a thread of their own: `timeline` decides by the capture time whether a frame is
//! shown, `sensor` decodes and encodes it once, `windows` counts it into segments, `segmenter` keeps its access unit as
//! long as a segment needs it, and [`msight_media::mp4`] writes the segment. Frames are held compressed, so memory grows
//! with `--buffer-size` only by the size of a segment.

mod blocked_copies;
mod camera_stream;
mod clock_rate;
mod copied_video;
mod copying;
mod counts;
mod cuts;
mod ending;
mod frame_times;
#[cfg(fuzzing)]
pub mod fuzz;
mod incoming;
mod input;
mod losses;
pub mod metrics;
mod origin;
mod pacing;
mod segment;
mod segmenter;
mod sensor;
mod sensor_encoder;
mod sensor_log;
mod settings;
mod stream_rate;
#[cfg(test)]
mod test_stream;
mod timeline;
mod unit_decoder;
mod unit_order;
mod windows;
mod worker;

use blocked_copies::BlockedCopies;
use clap::Args;
pub use incoming::Incoming;
use msight_codec::{MAX_QP, Quality};
use msight_media::intervals::PauseLimit;
use msight_node::argparse::{float, int};
use msight_node::metrics::Metric;
use msight_node::sensors::{SensorLimits, SensorThreads};
use msight_node::{Context, Entry, ErrorContext as _, Node, Processor, Publisher, Result, bail};
use msight_proto::{Sample, VideoData};
use segmenter::SegmentRules;
pub use settings::Settings;
use settings::{Codec, Copying, codec, quantity};
use std::sync::Arc;
use std::time::Duration;
use timeline::Timing;
use windows::WindowSize;
use worker::{Shared, Worker};

/// The program `msight_launch_image_to_video_aggregator`.
pub const ENTRY: Entry = msight_node::processor::<ImageToVideo>();

/// Make MP4 segments (H.264) of the frames of one or more sensors
///
/// The frames are pictures, or what a camera encodes, from the topic of --packet-topic of the source. Where a segment can
/// hold what the camera has encoded, nothing is encoded again (--copy).
#[derive(Debug, Args)]
pub struct Flags {
    /// Length of a segment, in frames
    #[arg(long, value_name = "FRAMES", value_parser = int, allow_negative_numbers = true)]
    buffer_size: i64,

    /// Number of frames that a segment repeats from the end of the one before; at most --buffer-size
    #[arg(long, value_name = "FRAMES", value_parser = int, allow_negative_numbers = true)]
    overlap_size: i64,

    /// Target frame rate of the video, in frames per second
    ///
    /// Frames above the rate are left out evenly, and the others are shown at their capture time. With --timing constant
    /// every frame is shown for 1/fps seconds.
    #[arg(long, value_name = "RATE", default_value = "20", value_parser = int, allow_negative_numbers = true)]
    fps: i64,

    /// Video codec: h264 (also libx264, openh264, avc)
    ///
    /// libx265, MSight's default, is accepted; the video is H.264 in any case.
    #[arg(long, value_name = "CODEC", default_value = "h264", value_parser = codec)]
    codec: Codec,

    /// Timing of the frames
    #[arg(long, value_name = "HOW", default_value = "capture", help_heading = "Video")]
    timing: Timing,

    /// Maximum average bitrate of a sensor's video at --fps, in bits per second, such as 4M or 800k
    ///
    /// [default: 0.2 bits per pixel, which is 4M for 1920x1080 at 10 frames per second; less where --qp is reached]
    #[arg(long, value_name = "BITS", help_heading = "Video", value_parser = quantity)]
    bitrate: Option<u64>,

    /// Minimum quantiser, from 0 (best quality) to 51 [default: 25, or 12 with --bitrate]
    ///
    /// A quiet scene reaches it below the maximum bitrate.
    #[arg(long, value_name = "QP", help_heading = "Video", value_parser = clap::value_parser!(u8).range(0..=i64::from(MAX_QP)))]
    qp: Option<u8>,

    /// Whether to copy what the camera encodes instead of encoding the frames again
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Video")]
    copy: Copying,

    /// Maximum distance between key frames, in frames; 0 for one key frame per segment
    ///
    /// Players seek to key frames. Each segment begins with one in any case.
    #[arg(long, value_name = "FRAMES", default_value = "250", help_heading = "Video")]
    keyframe_interval: u32,

    /// Pause between two capture times that ends a segment, in seconds [default: 2, or five frame intervals of a
    /// slow sensor]
    #[arg(long, value_name = "SECONDS", help_heading = "Segments", value_parser = float)]
    max_gap: Option<f64>,

    /// Time without a frame after which a sensor's open segment is published, in seconds [default: 5, or five frame
    /// intervals of a slow sensor]
    #[arg(long, value_name = "SECONDS", help_heading = "Segments", value_parser = float)]
    idle_timeout: Option<f64>,

    /// Maximum size of a segment, in bytes; larger segments end early
    ///
    /// Redis delivers messages of up to 28 MiB, with the last frame and the lists of times, unless its
    /// client-output-buffer-limit is raised.
    #[arg(long, value_name = "BYTES", default_value = "26MiB", help_heading = "Segments", value_parser = quantity)]
    max_segment_bytes: u64,

    /// Maximum number of sensors at the same time
    ///
    /// A further sensor takes the place of one without a frame for 5 seconds; without such a sensor its frames are
    /// dropped.
    #[arg(long, value_name = "SENSORS", default_value = "64", help_heading = "Queue", value_parser = clap::value_parser!(u16).range(1..))]
    max_sensors: u16,

    /// Maximum number of frames of a sensor that wait for its encoder; the oldest ones are dropped
    #[arg(long, value_name = "FRAMES", default_value = "100", help_heading = "Queue", value_parser = clap::value_parser!(u16).range(1..))]
    sensor_queue: u16,
}

/// Time from the end of an idle sensor's segment until the sensor is forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// The longest pause that the duration of a frame in an MP4 file expresses is a little more than these 12 hours.
const MAX_PAUSE: f64 = 43_200.0;
/// The shortest pause, in seconds.
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
        let pause_limit = |flag: &str, seconds: Option<f64>, least: f64| match seconds {
            None => Ok(PauseLimit::AtLeast(least)),
            Some(seconds) if (MIN_PAUSE..=MAX_PAUSE).contains(&seconds) => Ok(PauseLimit::Exactly(seconds)),
            Some(seconds) => bail!("{flag} {seconds} is out of range: {MIN_PAUSE} to {MAX_PAUSE} seconds"),
        };
        let bitrate = (flags.bitrate.map(u32::try_from).transpose())
            .with_context(|| format!("--bitrate {:?} is out of range: below 4G", flags.bitrate))?;
        Ok(Self {
            codec: flags.codec,
            copying: flags.copy,
            timing: flags.timing,
            fps,
            rules: SegmentRules {
                size: WindowSize::new(flags.buffer_size, flags.overlap_size)?,
                max_bytes: usize::try_from(flags.max_segment_bytes).unwrap_or(usize::MAX),
                interval: 1.0 / fps,
                constant: flags.timing == Timing::Constant,
            },
            quality: Quality { bitrate, qp: flags.qp, fps, keyframe_interval: flags.keyframe_interval },
            max_gap: pause_limit("--max-gap", flags.max_gap, 2.0)?,
            idle: pause_limit("--idle-timeout", flags.idle_timeout, 5.0)?,
            forget: FORGET,
            max_sensors: flags.max_sensors.into(),
            sensor_queue: flags.sensor_queue.into(),
        })
    }
}

/// Encodes frames and publishes segments.
pub struct ImageToVideo {
    counts: Arc<counts::Counts>,
    sensors: SensorThreads<Worker>,
}

impl Node for ImageToVideo {
    const NAME: &'static str = "msight_launch_image_to_video_aggregator";
    const CLASS: &'static str = "ImageToVideoAggregatorNode";
    const METRICS: &'static [Metric] = metrics::ALL;
    type Args = Settings;

    async fn open(settings: Settings, cx: &Context) -> Result<Self> {
        if settings.codec == Codec::Hevc {
            tracing::warn!(
                "HEVC is not available: encoding H.264 instead; use --codec h264 to avoid this warning"
            );
        }
        let counts = Arc::new(counts::Counts::new(cx.metrics()));
        let limits = SensorLimits { sensors: settings.max_sensors, samples: settings.sensor_queue };
        let blocked_copies = BlockedCopies::new(cx.health().clone());
        let shared = Shared { cx: cx.clone(), settings, counts: Arc::clone(&counts), blocked_copies };
        Ok(Self { counts, sensors: SensorThreads::new(cx, limits, shared) })
    }
}

impl Processor for ImageToVideo {
    type In = Incoming;
    type Out = VideoData;

    async fn process(&mut self, frame: Sample<Incoming>, out: &Publisher<VideoData>) -> Result<()> {
        if frame.body.is_beside_video() {
            return Ok(());
        }
        self.counts.frame();
        self.sensors.accept(frame, out)
    }

    async fn finish(&mut self, _: &Publisher<VideoData>) -> Result<()> {
        self.sensors.finish().await;
        Ok(())
    }
}
