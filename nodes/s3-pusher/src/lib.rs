//! Segments in, S3 objects out: the program `msight_launch_aws_video_pusher`.
//!
//! Every segment becomes an `.mp4` and then a `.json` beside it, so a `.json` marks a complete segment.
//! Uploads are tried until they succeed; while nothing can be uploaded, segments wait in memory within a
//! budget, then in the subscription's queue, whose policy decides and counts what is dropped.
//!
//! Rights needed: `s3:PutObject`; `s3:AbortMultipartUpload` for large segments; `s3:GetObject` to recognise an
//! own object after a lost answer, without which such a segment is stored twice. A bucket that takes large
//! segments should have a lifecycle rule `AbortIncompleteMultipartUpload`.

pub mod advice;
pub mod backoff;
pub mod bucket;
pub mod connection;
pub mod failure;
pub mod key;
pub mod metrics;
mod multipart;
mod outage;
mod pending;
pub mod recent;
pub mod retry_after;
pub mod segment;
pub mod stats;
pub mod tags;
mod upload;
pub mod uploader;
mod values;

use crate::backoff::Pacing;
use crate::bucket::{Bucket, ObjectOptions};
use crate::connection::{Connection, Credentials};
use crate::key::{Folders, Layout};
use crate::segment::Segment;
use crate::stats::Stats;
use crate::uploader::Uploader;
use bytesize::ByteSize;
use jiff::tz::TimeZone;
use msight_node::metrics::Metric;
use msight_node::{Context, Entry, ErrorContext as _, Node, Result, Sink, argparse, bail};
use msight_proto::{Sample, VideoData};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The node, for programs and launchers.
pub const ENTRY: Entry = msight_node::sink::<VideoPusher>();

/// The largest body that S3 takes in one request.
const LARGEST_PUT: u64 = 5 << 30;

/// Uploads video segments and their metadata to Amazon S3, or to a server that speaks its protocol.
///
/// Credentials come from the AWS chain: environment, profile, web identity, container or instance role.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// The bucket
    #[arg(long, value_parser = values::bucket)]
    pub bucket_name: String,

    /// What all keys begin with
    #[arg(long, default_value = "", value_parser = values::prefix)]
    pub prefix: String,

    /// The bucket's region [default: from the environment, the profile or the instance, else us-east-1]
    #[arg(long, value_parser = values::region)]
    pub aws_region: Option<String>,

    /// Use AWS' endpoints that answer over IPv4 and IPv6
    #[arg(long, conflicts_with = "endpoint_url")]
    pub use_dualstack_endpoint: bool,

    /// Seconds to wait before anything is done
    #[arg(long, short, value_name = "SECONDS", default_value = "0", value_parser = argparse::int)]
    pub wait: i64,

    /// URL of an S3-compatible server [default: AWS, or that of AWS_ENDPOINT_URL_S3]
    #[arg(long, value_name = "URL", help_heading = "Server", value_parser = connection::endpoint)]
    pub endpoint_url: Option<String>,

    /// The bucket in the path of the URL and not in the host's name; always so with an endpoint URL
    #[arg(long, help_heading = "Server")]
    pub path_style: bool,

    /// Send requests without a signature, to a server that asks for none
    #[arg(long, help_heading = "Server")]
    pub no_sign_request: bool,

    /// When to send checksums [default: when-supported on AWS, when-required with an endpoint URL]
    #[arg(long, value_enum, value_name = "WHEN", help_heading = "Server")]
    pub checksum: Option<Checksum>,

    /// Date and hour in the keys: of the first frame in UTC, or as MSight has them, of the message in local time
    #[arg(long, value_enum, value_name = "ZONE", default_value = "utc", help_heading = "Objects")]
    pub key_timezone: KeyTimezone,

    /// Content type of the videos
    #[arg(long, value_name = "TYPE", default_value = "video/mp4", help_heading = "Objects",
          value_parser = values::header)]
    pub content_type: String,

    /// Server-side encryption [default: the bucket's]
    #[arg(long, value_name = "METHOD", value_parser = ["AES256", "aws:kms"], help_heading = "Objects")]
    pub sse: Option<String>,

    /// The KMS key to encrypt with
    #[arg(long, value_name = "KEY", help_heading = "Objects", requires = "sse", value_parser = values::header)]
    pub sse_kms_key_id: Option<String>,

    /// Storage class, such as STANDARD_IA [default: the server's]
    #[arg(long, value_name = "CLASS", help_heading = "Objects", value_parser = values::header)]
    pub storage_class: Option<String>,

    /// Tags, key=value,key=value
    #[arg(long, value_name = "TAGS", value_parser = tags::parse, help_heading = "Objects")]
    pub tags: Option<String>,

    /// Canned ACL; most buckets take none
    #[arg(long, value_name = "ACL", help_heading = "Objects", value_parser = [
        "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read",
        "bucket-owner-full-control",
    ])]
    pub acl: Option<String>,

    /// Segments uploaded at the same time
    #[arg(long, value_name = "COUNT", default_value = "2", help_heading = "Upload",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub max_concurrent: u16,

    /// Memory for segments that wait or are being uploaded; when it is full the queue in front of it fills
    #[arg(long, value_name = "BYTES", default_value = "256MiB", help_heading = "Upload")]
    pub upload_buffer: ByteSize,

    /// Larger segments go up in parts
    #[arg(long, value_name = "BYTES", default_value = "64MiB", help_heading = "Upload")]
    pub multipart_threshold: ByteSize,

    /// Seconds that a request may take, and a second more for every 64 kB of its body
    #[arg(long, value_name = "SECONDS", default_value = "60", help_heading = "Upload",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub upload_timeout: u32,
}

/// When checksums are sent beside the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Checksum {
    /// CRC-32 with every object, as AWS recommends
    WhenSupported,
    /// Only where the API demands one; older S3-compatible servers need this
    WhenRequired,
}

/// Which clock names the folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyTimezone {
    /// The segment's first frame, in UTC
    Utc,
    /// The message's creation, in this machine's time zone
    Local,
}

/// What the flags come to.
#[derive(Debug, Clone)]
pub struct Settings {
    bucket_name: String,
    connection: Connection,
    options: ObjectOptions,
    pacing: Pacing,
    prefix: String,
    folders: Folders,
    wait: Duration,
    max_concurrent: usize,
    upload_buffer: u64,
}

impl msight_node::Settings for Settings {
    type Flags = Flags;

    fn parse(flags: Flags) -> Result<Self> {
        let folders = match flags.key_timezone {
            KeyTimezone::Utc => Folders::Utc,
            KeyTimezone::Local => {
                Folders::Local(TimeZone::try_system().context("--key-timezone local: no time zone (set TZ)")?)
            }
        };
        // The device's name is shortened where it has to be, and never too long.
        Layout::new(&flags.prefix, "", folders.clone())?;
        if flags.sse_kms_key_id.is_some() && flags.sse.as_deref() != Some("aws:kms") {
            bail!("--sse-kms-key-id needs --sse aws:kms");
        }
        let connection = Connection {
            region: flags.aws_region,
            endpoint_url: flags.endpoint_url,
            path_style: flags.path_style,
            dualstack: flags.use_dualstack_endpoint,
            credentials: if flags.no_sign_request { Credentials::Unsigned } else { Credentials::Chain },
            checksum: flags.checksum,
        };
        connection.check()?;
        let options = ObjectOptions {
            content_type: flags.content_type,
            encryption: flags.sse.as_deref().map(Into::into),
            kms_key_id: flags.sse_kms_key_id,
            storage_class: flags.storage_class.as_deref().map(Into::into),
            tagging: flags.tags.filter(|tags| !tags.is_empty()),
            acl: flags.acl.as_deref().map(Into::into),
            multipart_threshold: flags.multipart_threshold.as_u64().min(LARGEST_PUT),
        };
        Ok(Self {
            bucket_name: flags.bucket_name,
            connection,
            options,
            pacing: Pacing { request: Duration::from_secs(flags.upload_timeout.into()), ..Pacing::default() },
            prefix: flags.prefix,
            folders,
            wait: Duration::from_secs(flags.wait.max(0).unsigned_abs()),
            max_concurrent: flags.max_concurrent.into(),
            upload_buffer: flags.upload_buffer.as_u64(),
        })
    }
}

/// The node.
pub struct VideoPusher {
    layout: Layout,
    device: String,
    uploader: Uploader,
    stats: Stats,
    stopping: CancellationToken,
    /// Cancelled shortly before the time of `--grace` is over.
    give_up: CancellationToken,
    _clock: AbortOnDropHandle<()>,
}

impl Node for VideoPusher {
    const NAME: &'static str = "msight_launch_aws_video_pusher";
    const CLASS: &'static str = "AWSVideoPusherSinkNode";
    const METRICS: &'static [Metric] = metrics::ALL;
    type Args = Settings;

    async fn open(settings: Settings, cx: &Context) -> Result<Self> {
        let layout = Layout::new(&settings.prefix, cx.device(), settings.folders)?;
        settings.connection.warn_of_ignored_variables();
        let bucket =
            Bucket::new(settings.bucket_name, settings.connection, settings.options, settings.pacing);
        connection::read_certificates();
        let stopping = cx.stopping();
        tokio::select! {
            () = tokio::time::sleep(settings.wait) => {}
            () = stopping.cancelled() => {}
        }
        let stats = Stats::new(cx.metrics());
        let (workers, budget) = (settings.max_concurrent, settings.upload_buffer);
        let uploader = Uploader::start(bucket, workers, budget, stats.clone(), cx.health().clone());

        let give_up = CancellationToken::new();
        // What is left must be named in the log before the kit ends the program.
        let time = cx.grace().saturating_sub(uploader::CLEAN_UP + Duration::from_millis(500));
        let (stop, alarm) = (stopping.clone(), give_up.clone());
        let clock = tokio::spawn(async move {
            stop.cancelled().await;
            tokio::time::sleep(time).await;
            alarm.cancel();
        });
        let device = cx.device().to_owned();
        Ok(Self { layout, device, uploader, stats, stopping, give_up, _clock: AbortOnDropHandle::new(clock) })
    }
}

impl Sink for VideoPusher {
    type In = VideoData;

    async fn consume(&mut self, sample: Sample<VideoData>) -> Result<()> {
        let (layout, device) = (self.layout.clone(), self.device.clone());
        // Hashing takes milliseconds a megabyte, which other tasks should not wait for.
        let segment = tokio::task::spawn_blocking(move || Segment::new(sample, &layout, &device)).await?;
        match segment {
            Ok(segment) => self.uploader.submit(segment, &self.stopping).await,
            Err(error) => {
                self.stats.failed("unusable");
                return Err(error.into());
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        let left = self.uploader.finish(self.give_up.cancelled()).await;
        if left.is_empty() {
            return Ok(());
        }
        let bytes: u64 = left.iter().map(|(_, bytes)| bytes).sum();
        bail!("{} segments ({bytes} bytes) were not uploaded in the time of --grace and are lost", left.len())
    }
}
