//! `msight demo`: the whole pipeline in one process, from a camera to segments in a bucket.
//!
//! It runs `msight up --one-process` with an embedded graph, that of the tutorial. By default only the far ends are
//! local: a camera with a test picture, memory as the bus, and an S3 server over a folder.

mod nodes;
mod progress;
mod segments;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use msight_compose::quote;
use msight_node::flags::{Secret, listen_addr};
use msight_node::{Entry, logs, stop_on_signals};
use tokio_util::sync::CancellationToken;

use self::nodes::{AGGREGATOR, Nodes, PUSHER, SOURCE, Settings, Stage};
use self::progress::Progress;
use self::segments::Folder;
use super::{print, print_err, redis};
use msight_camera::{Camera, CameraConfig};
use msight_store::{Access, Store, StoreConfig};

/// The bucket of the built-in store.
const BUCKET: &str = "segments";

/// Run the whole pipeline: a camera, video segments of its frames, and a bucket
///
/// Without options nothing else is needed: the camera is a moving test picture, and the bucket is a folder.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Stop after this number of segments
    #[arg(long, value_name = "COUNT", default_value = "3", value_parser = at_least_one::<u64>)]
    segments: u64,

    /// Stop after this number of seconds, regardless of segments
    #[arg(long, value_name = "SECONDS", value_parser = at_least_one::<u64>)]
    seconds: Option<u64>,

    /// Run until Ctrl-C
    #[arg(long, conflicts_with_all = ["segments", "seconds"])]
    keep_running: bool,

    /// Folder of the built-in S3 server
    #[arg(long, value_name = "DIR", default_value = "msight-demo", conflicts_with = "bucket_name")]
    out: PathBuf,

    /// URL of a camera, rtsp://user:password@host/path, instead of the built-in camera
    #[arg(
        long,
        value_name = "URL",
        env = "MSIGHT_RTSP_URL",
        hide_env_values = true,
        help_heading = "Camera"
    )]
    url: Option<Secret>,

    /// RTSP transport: tcp or udp
    #[arg(long, value_name = "TRANSPORT", default_value = "tcp", help_heading = "Camera")]
    rtsp_transport: String,

    /// Stop with an error after this time without a frame, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "60",
        help_heading = "Camera",
        value_parser = at_least_one::<u64>,
        conflicts_with = "keep_running"
    )]
    camera_timeout: u64,

    /// Address that the built-in camera listens on, or a port of 127.0.0.1; port 0 picks a free port
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:0",
        help_heading = "Camera",
        value_parser = listen_addr,
        conflicts_with = "url"
    )]
    camera_bind: std::net::SocketAddr,

    /// Frames per second of the video and of the built-in camera
    #[arg(long, value_name = "RATE", default_value = "10", help_heading = "Segments", value_parser = clap::value_parser!(u16).range(1..=60))]
    fps: u16,

    /// Frames per segment
    #[arg(long, value_name = "FRAMES", default_value = "50", help_heading = "Segments", value_parser = at_least_one::<u32>)]
    buffer_size: u32,

    /// Frames that consecutive segments share
    #[arg(long, value_name = "FRAMES", default_value = "0", help_heading = "Segments")]
    overlap_size: u32,

    /// Also publish the topics on a Redis server, redis://host:6379/0; without a URL, on that of the
    /// MSIGHT_REDIS_MESSAGE_BROKER_* variables
    #[arg(long, alias = "redis", value_name = "URL", num_args = 0..=1, help_heading = "Bus")]
    redis_url: Option<Option<Secret>>,

    /// S3 bucket to use instead of the built-in S3 server; the keys come from the AWS environment or profile
    #[arg(long, value_name = "NAME", help_heading = "Bucket")]
    bucket_name: Option<String>,

    /// Prefix of the keys in the bucket
    #[arg(long, value_name = "PREFIX", default_value = "", help_heading = "Bucket")]
    prefix: String,

    /// URL of the S3 server, if it is not AWS
    #[arg(long, value_name = "URL", requires = "bucket_name", help_heading = "Bucket")]
    endpoint_url: Option<Secret>,

    /// Minimum log level: DEBUG, INFO, WARNING or ERROR
    #[arg(long, value_name = "LEVEL", default_value = "WARNING", value_parser = logs::Level::parse)]
    logging_level: logs::Level,
}

/// Reads a count.
fn at_least_one<N: FromStr + PartialEq + Default>(text: &str) -> Result<N, &'static str> {
    text.parse().ok().filter(|count| *count != N::default()).ok_or("use 1 or more")
}

/// Watches that the camera sends frames.
struct FrameWatch {
    /// The maximum time without a frame.
    timeout: Option<Duration>,
    frames: u64,
    /// When the last frame was seen, or the watch began.
    since: Option<Instant>,
}

impl FrameWatch {
    fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, frames: 0, since: None }
    }

    /// Whether no frame has come for too long, if the camera has sent this number of frames until now.
    fn has_expired(&mut self, frames: u64, now: Instant) -> bool {
        let since = match self.since {
            Some(since) if frames == self.frames => since,
            _ => now,
        };
        (self.frames, self.since) = (frames, Some(since));
        self.timeout.is_some_and(|timeout| now.duration_since(since) >= timeout)
    }
}

/// Runs the pipeline until its limit or a signal.
///
/// # Errors
/// A far end that does not start, a node that fails, or nothing to show for it at the end.
pub async fn run(args: Args, entries: &[Entry]) -> Result<()> {
    let device = msight_proto::device_name().unwrap_or("demo");
    let _logs = logs::init(device, "demo", args.logging_level, logs::Format::Text)?;
    let interrupted = CancellationToken::new();
    stop_on_signals(interrupted.clone())?;

    let bus = args.bus().await?;
    let store = args.store().await?;
    let folder = store.as_ref().map(|store| Folder::new(store.root().join(BUCKET)));
    let camera = args.camera().await?;
    print_err(args.introduction(camera.as_ref(), &bus));

    let started = Instant::now();
    let mut nodes = Nodes::start(entries, args.settings(camera.as_ref(), store.as_ref())).await?;
    let mut progress = Progress::new(args.logging_level, args.buffer_size, args.overlap_size);
    let is_enough = |uploaded: u64, age: Duration| {
        let is_time = args.seconds.is_some_and(|seconds| age.as_secs() >= seconds);
        is_time || (!args.keep_running && args.seconds.is_none() && uploaded >= args.segments)
    };
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let mut is_running = false;
    let mut watch = FrameWatch::new((!args.keep_running).then(|| Duration::from_secs(args.camera_timeout)));
    let outcome = loop {
        tokio::select! {
            () = interrupted.cancelled() => break match is_running {
                true => Ok(()),
                false => Err(anyhow!("interrupted before all nodes were ready")),
            },
            Some(line) = nodes.line() => progress.line(&line),
            _ = tick.tick() => match nodes.stage() {
                Err(error) => break Err(error),
                Ok(Stage::Over) => break Ok(()),
                Ok(Stage::Starting) => {}
                Ok(Stage::Running) => {
                    is_running = true;
                    let counts = nodes.counts().await;
                    progress.show(&counts, started.elapsed());
                    if watch.has_expired(counts.published, Instant::now()) {
                        break Err(anyhow!("{}", nodes.silence(args.camera_timeout)));
                    }
                    if counts.is_refused() && !args.keep_running {
                        break Err(anyhow!("{}", nodes.refusal(args.advice())));
                    }
                    if is_enough(counts.uploaded, started.elapsed()) {
                        break Ok(());
                    }
                }
            },
        }
    };
    progress.end("stopping; finishing the segments in progress");
    let cause = nodes.cause().await;
    let stopped = nodes.stop(|line| progress.line(line)).await;
    outcome?;
    let uploaded = stopped?.uploaded;

    match folder {
        Some(folder) => print(folder.report(started.elapsed(), args.buffer_size, &cause)?),
        None if uploaded > 0 => print(args.report(uploaded, started.elapsed())),
        None => bail!("no segment stored: {cause}"),
    }
}

impl Args {
    async fn bus(&self) -> Result<String> {
        match &self.redis_url {
            None => Ok("memory://".to_owned()),
            Some(url) => Ok(redis(url.as_deref()).await?.bus.describe()),
        }
    }

    async fn store(&self) -> Result<Option<Store>> {
        if self.bucket_name.is_some() {
            return Ok(None);
        }
        // Only this machine can connect, so uploads need no signature.
        let access = Access::Anyone;
        let config = StoreConfig { buckets: vec![BUCKET.into()], access, ..StoreConfig::new(&self.out) };
        let store = Store::start(config).await;
        Ok(Some(store.map_err(|error| anyhow!("{error:#}; {}", self.advice()))?))
    }

    /// What to do about a bucket that accepts no segment.
    fn advice(&self) -> &'static str {
        match self.bucket_name {
            Some(_) => "correct the bucket, its server or the credentials",
            None => "choose another folder with --out",
        }
    }

    async fn camera(&self) -> Result<Option<Camera>> {
        if self.url.is_some() {
            return Ok(None);
        }
        let config = CameraConfig { bind: self.camera_bind, fps: self.fps.into(), ..CameraConfig::default() };
        Ok(Some(Camera::start(config).await?))
    }

    /// What the graph has of these flags, and of the built-in camera and store.
    fn settings(&self, camera: Option<&Camera>, store: Option<&Store>) -> Settings {
        let url = match &self.url {
            Some(url) => url.to_string(),
            None => camera.map(Camera::url).unwrap_or_default(),
        };
        let variables = [
            ("URL", url),
            ("RTSP_TRANSPORT", self.rtsp_transport.clone()),
            ("FPS", self.fps.to_string()),
            ("BUFFER_SIZE", self.buffer_size.to_string()),
            ("OVERLAP_SIZE", self.overlap_size.to_string()),
            ("BUCKET_NAME", self.bucket_name.clone().unwrap_or_else(|| BUCKET.to_owned())),
            ("PREFIX", self.prefix.clone()),
            ("LOGGING_LEVEL", format!("{:?}", self.logging_level)),
        ];
        let variables = variables.into_iter().map(|(name, value)| (format!("DEMO_{name}"), value));
        let mut flags = Vec::new();
        let endpoint = self.endpoint_url.as_ref().map(|url| url.to_string());
        if let Some(endpoint) = endpoint.or_else(|| store.map(Store::endpoint)) {
            flags.push((PUSHER, vec![format!("--endpoint-url={endpoint}")]));
        }
        if store.is_some() {
            flags.push((PUSHER, ["--no-sign-request", "--aws-region=us-east-1"].map(str::to_owned).to_vec()));
        }
        if let Some(Some(url)) = &self.redis_url {
            let flag = |node| (node, vec![format!("--redis-url={}", &**url)]);
            flags.extend([SOURCE, AGGREGATOR, PUSHER].map(flag));
        }
        Settings { variables: variables.collect(), flags, is_on_redis: self.redis_url.is_some() }
    }

    /// The place of the segments in a user's bucket. The pusher may have permission to write only, so the bucket is
    /// not listed.
    fn report(&self, uploaded: u64, age: Duration) -> String {
        let bucket = self.bucket_name.as_deref().unwrap_or(BUCKET);
        let prefix = self.prefix.trim_end_matches('/');
        let separator = if prefix.is_empty() { "" } else { "/" };
        let place = quote(&format!("s3://{bucket}/{prefix}{separator}"));
        let endpoint = if self.endpoint_url.is_some() { "--endpoint-url URL " } else { "" };
        let segments = if uploaded == 1 { "segment" } else { "segments" };
        format!(
            "{uploaded} {segments} in {:.0} s, in {place}\n\
             List them:               aws s3 ls --recursive {endpoint}{place}\n\
             Log each upload:         --logging-level INFO\n",
            age.as_secs_f64()
        )
    }

    fn introduction(&self, camera: Option<&Camera>, bus: &str) -> String {
        let camera = match camera {
            Some(camera) => format!("built-in, watch it with: ffplay -rtsp_transport tcp {}", camera.url()),
            // The URL may contain a password.
            None => "your camera".to_owned(),
        };
        let bucket = match &self.bucket_name {
            // The server's URL may contain a password too.
            Some(name) if self.endpoint_url.is_some() => format!("{name}, on your S3 server"),
            Some(name) => format!("{name}, AWS"),
            None => format!("built-in, the folder {}", self.out.join(BUCKET).display()),
        };
        let seconds = f64::from(self.buffer_size) / f64::from(self.fps);
        format!(
            "camera   {camera}\nbus      {bus}\nbucket   {bucket}\nsegments of {} frames at {} a second: {seconds:.1} s\n\n",
            self.buffer_size, self.fps
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_camera_is_noticed_after_the_time_limit() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let mut watch = FrameWatch::new(Some(3 * second));
        for (seconds, frames, expired) in [
            (0, 0, false),
            (2, 0, false),
            (3, 0, true),
            (4, 1, false),
            (6, 1, false),
            (7, 1, true),
            (8, 9, false),
        ] {
            assert_eq!(watch.has_expired(frames, begun + seconds * second), expired, "after {seconds} s");
        }
        let mut endless = FrameWatch::new(None);
        assert!(!endless.has_expired(0, begun) && !endless.has_expired(0, begun + 1000 * second));
    }
}
