//! A camera's own access units in, segments out; nothing is decoded or encoded.
//!
//! Each sensor's units go through a thread of their own: `intake` admits every unit once and in order, `events` keeps them
//! until an event asks for them, `cuts` decides where segments begin, `segmenter` puts each unit into its segment, and
//! `segment` writes the file, a fragment at a time, and `index` makes it whole. `recovery` finishes what a dead recorder left.

mod container;
mod counts;
mod cuts;
mod ending;
mod events;
mod files;
mod frames;
mod index;
mod intake;
mod interleave;
mod message_size;
pub mod metrics;
mod origin;
mod publication;
mod recovery;
mod segment;
mod segmenter;
mod sensor_log;
mod session;
mod settings;
mod sink;
mod sound;
mod start;
#[cfg(test)]
mod testing;
mod track;
mod triggers;
mod unit;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
pub use container::Container;
use counts::Counts;
use files::Files;
use msight_node::argparse::float;
use msight_node::metrics::Metric;
use msight_node::sensors::SensorThreads;
use msight_node::{AnyType, Context, Entry, Input, Node, Port, Processor, Publisher, Result};
use msight_proto::{AccessUnitData, Sample, VideoData};
use msight_spool::Spool;
use recovery::Recovery;
use settings::{SegmentDuration, bytes, segment_duration};
pub use settings::{Settings, Sync};
pub use sound::AudioMode;
use start::Interrupted;
use tokio::task::JoinHandle;
use tracing::{error, warn};
use triggers::Triggers;
use worker::{Shared, Worker};

/// The program `msight_launch_recorder`.
pub const ENTRY: Entry = msight_node::processor::<Recorder>();

/// Events that start or extend a recording.
pub const TRIGGERS: Input<AnyType> = Input::new(
    "--trigger-topic",
    "Record only while messages on this topic ask for it: any MSight message starts or extends a recording of its sensor, or of all \
     sensors if it names none",
);

/// Record the access units of one or more sensors into segments, without decoding them
#[derive(Debug, Args)]
pub struct Flags {
    /// Length of a segment in seconds, or none; it ends at the first key frame after that
    ///
    /// With none, a segment ends with the stream, at --segment-bytes, or after an hour; it needs --spool.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = segment_duration, help_heading = "Segments")]
    segment_duration: SegmentDuration,

    /// Size that a segment should not exceed, in bytes, such as 20MiB [default: 25MiB, or 4GiB with --spool]
    ///
    /// Redis delivers messages of up to 28 MiB, so larger segments need --spool.
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Segments")]
    segment_bytes: Option<u64>,

    /// Begin segments at full multiples of --segment-duration, in UTC: at the first key frame of the minute, the hour
    #[arg(long, help_heading = "Segments")]
    align_to_clock: bool,

    /// Pause between two frames that ends a segment, in seconds [default: 2, or five frame intervals of a slow sensor]
    #[arg(long, value_name = "SECONDS", value_parser = float, help_heading = "Segments")]
    max_gap: Option<f64>,

    /// Time without a frame after which a sensor's open segment is published, in seconds [default: 15, or five frame
    /// intervals of a slow sensor]
    ///
    /// Frames that come later are lost up to the next key frame, so the bus may be away for this long.
    #[arg(long, value_name = "SECONDS", value_parser = float, help_heading = "Segments")]
    idle_timeout: Option<f64>,

    /// Format of the files
    #[arg(long, value_name = "FORMAT", default_value = "mp4", help_heading = "Files")]
    container: Container,

    /// What to do with sound
    #[arg(long, value_name = "HOW", default_value = "aac", help_heading = "Files")]
    audio: AudioMode,

    /// Folder for segments, shared with the S3 pusher: messages then name files instead of holding them
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    spool: Option<PathBuf>,

    /// Length of a fragment in seconds: what a crash loses at most
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = float, help_heading = "Files")]
    fragment_duration: f64,

    /// When to bring written data to the disk
    #[arg(long, value_name = "WHEN", default_value = "fragment", help_heading = "Files")]
    sync: Sync,

    /// Seconds before an event that are recorded too; a recording begins at the key frame before that [default: 0]
    #[arg(long, value_name = "SECONDS", value_parser = float, help_heading = "Events")]
    pre_record: Option<f64>,

    /// Seconds after an event that are recorded, up to the next key frame [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = float, help_heading = "Events")]
    post_record: Option<f64>,

    /// Memory for the frames before an event, per sensor [default: 64MiB]
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Events")]
    pre_record_bytes: Option<u64>,

    /// Maximum number of sensors at the same time
    ///
    /// A further sensor takes the place of one without a frame for 5 seconds; without such a sensor its frames are dropped.
    #[arg(long, value_name = "SENSORS", default_value = "256", help_heading = "Queue", value_parser = clap::value_parser!(u16).range(1..))]
    max_sensors: u16,

    /// Maximum number of access units of a sensor that wait for the disk; the oldest ones are dropped
    #[arg(long, value_name = "UNITS", default_value = "2000", help_heading = "Queue", value_parser = clap::value_parser!(u16).range(1..))]
    sensor_queue: u16,
}

/// How often unfinished segments are looked for after the disk has failed.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(10);

/// How often segments that could not be read or written are tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(300);

/// Records access units.
pub struct Recorder {
    shared: Shared,
    sensors: SensorThreads<Worker>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node for Recorder {
    const NAME: &'static str = "msight_launch_recorder";
    const CLASS: &'static str = "RecorderNode";
    const METRICS: &'static [Metric] = metrics::ALL;
    const PORTS: &'static [Port] = &[TRIGGERS.port()];
    type Args = Settings;

    async fn open(settings: Settings, cx: &Context) -> Result<Self> {
        let spool = settings.spool.as_deref().map(Spool::open).transpose()?;
        let mut tasks = Vec::new();
        let triggers = cx.subscriber(&TRIGGERS).map(|topic| {
            let triggers = Triggers::default();
            let reading = triggers.clone().read(topic);
            tasks.push(tokio::spawn(async move {
                if let Err(error) = reading.await {
                    error!("events are no longer read: {error:#}");
                }
            }));
            triggers
        });
        let limits = settings.limits;
        let shared = Shared {
            files: Files::new(spool, settings.writing.container, cx.health().clone()),
            settings: Arc::new(settings),
            counts: Arc::new(Counts::new(cx.metrics())),
            cx: cx.clone(),
            triggers,
            interrupted: Interrupted::default(),
        };
        Ok(Self { sensors: SensorThreads::new(cx, limits, shared.clone()), shared, tasks })
    }
}

impl Processor for Recorder {
    type In = AccessUnitData;
    type Out = VideoData;

    async fn begin(&mut self, out: &Publisher<VideoData>) -> Result<()> {
        if self.shared.files.spool().is_none() {
            return Ok(());
        }
        self.shared.files.leave_unfinished();
        let (shared, out) = (self.shared.clone(), out.clone());
        self.tasks.push(tokio::spawn(async move {
            let mut recovery = Recovery::new(shared.interrupted.clone());
            let mut retry = None;
            loop {
                let files = shared.files.clone();
                if let Err(error) = tokio::task::spawn_blocking(move || files.probe()).await {
                    error!("cannot try the disk: {error}");
                }
                if shared.files.take_unfinished() || retry.is_some_and(|retry| Instant::now() >= retry) {
                    let (returned, is_done) = recover(recovery, &shared, &out).await;
                    recovery = returned;
                    retry = (!is_done).then(|| Instant::now() + RETRY_INTERVAL);
                }
                tokio::time::sleep(RECOVERY_INTERVAL).await;
            }
        }));
        Ok(())
    }

    async fn process(&mut self, unit: Sample<AccessUnitData>, out: &Publisher<VideoData>) -> Result<()> {
        self.shared.counts.unit();
        self.sensors.accept(unit, out)
    }

    async fn finish(&mut self, _: &Publisher<VideoData>) -> Result<()> {
        self.sensors.finish().await;
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Finishes what a dead recorder left, and publishes it. Returns whether nothing is left that may be recovered later.
async fn recover(mut recovery: Recovery, shared: &Shared, out: &Publisher<VideoData>) -> (Recovery, bool) {
    let Some(spool) = shared.files.spool().cloned() else { return (recovery, true) };
    let (sender, mut messages) = tokio::sync::mpsc::channel(1);
    let working = shared.clone();
    let work = tokio::task::spawn_blocking(move || {
        // A message without a reader is not lost: the segment is in the folder.
        let publish = |message| drop(sender.blocking_send(message));
        let done = recovery.run(&spool, &working.cx, &working.counts, publish);
        (recovery, done)
    });
    while let Some(message) = messages.recv().await {
        if let Err(error) = out.publish(message).await {
            warn!("cannot publish a recovered segment, which stays in the spool folder: {error:#}");
        }
    }
    match work.await {
        Ok((recovery, Ok(is_done))) => (recovery, is_done),
        Ok((recovery, Err(error))) => {
            error!("cannot look for unfinished segments: {error}");
            (recovery, false)
        }
        Err(error) => {
            error!("recovery failed: {error}");
            (Recovery::new(shared.interrupted.clone()), true)
        }
    }
}
