//! Segments in, S3 objects out: the program `msight_launch_aws_video_pusher`.
//!
//! Each segment is stored as an `.mp4`, then as a `.json` beside it: a `.json` marks a complete segment. Uploads are
//! retried until they succeed. While they fail, segments wait in memory within a budget, then in the subscription's queue,
//! which drops segments by its policy and counts them. Segments in a spool folder wait there.
//!
//! At the start it asks the bucket for one key, which finds wrong credentials, bucket and region before a segment comes.
//!
//! Permissions: `s3:PutObject`; `s3:AbortMultipartUpload` for large segments; `s3:GetObject` to recognise an object of our
//! own after a lost response, without which such a segment is stored twice. A bucket with large segments should have a
//! lifecycle rule `AbortIncompleteMultipartUpload`.

mod advice;
mod blocking;
pub mod bucket;
mod codes;
pub mod connection;
pub mod failure;
pub mod http;
pub mod metrics;
mod multipart;
mod obstacles;
mod outage;
mod pending;
mod references;
pub mod retry;
pub mod retry_after;
mod sdk_error;
mod signing;
pub mod spooling;
pub mod stats;
pub mod tags;
mod upload;
pub mod uploader;
mod values;

use crate::bucket::{Bucket, ObjectOptions};
use crate::connection::{Addressing, Checksum, Connection, Credentials};
use crate::retry::RetryPolicy;
use crate::spooling::{Keep, SCAN_INTERVAL, SpoolSettings};
use crate::stats::Stats;
use crate::uploader::{SpoolError, Uploader};
use bytesize::ByteSize;
use jiff::tz::TimeZone;
use msight_node::metrics::Metric;
use msight_node::{Context, Entry, ErrorContext as _, Node, Result, Sink, anyhow, argparse, bail};
use msight_proto::{Sample, VideoData};
use msight_segment::{Folders, Layout, LegacyBucketName, Segment};
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The program `msight_launch_aws_video_pusher`.
pub const ENTRY: Entry = msight_node::sink::<VideoPusher>();

/// The largest body of one request to S3.
const LARGEST_PUT: u64 = 5 << 30;

/// Upload video segments and their metadata to Amazon S3 or an S3-compatible server
///
/// Credentials come from the AWS chain: environment, profile, web identity, container or instance role.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Name of the bucket
    #[arg(long, value_parser = values::bucket)]
    pub bucket_name: String,

    /// Prefix of all object keys [default: none]
    #[arg(long, default_value = "", hide_default_value = true, value_parser = values::prefix)]
    pub prefix: String,

    /// Region of the bucket [default: from the environment, profile or instance, else us-east-1]
    #[arg(long, value_parser = values::region)]
    pub aws_region: Option<String>,

    /// Use the dual-stack endpoints of AWS, for IPv4 and IPv6
    #[arg(long, conflicts_with = "endpoint_url")]
    pub use_dualstack_endpoint: bool,

    /// Time to wait before the start, in seconds
    #[arg(long, short, value_name = "SECONDS", default_value = "0", value_parser = argparse::int)]
    pub wait: i64,

    /// URL of an S3-compatible server [default: AWS_ENDPOINT_URL_S3, else AWS]
    #[arg(long, value_name = "URL", help_heading = "Server", value_parser = connection::endpoint)]
    pub endpoint_url: Option<String>,

    /// Put the bucket's name into the path of the URL instead of the host name
    ///
    /// The default with an endpoint URL.
    #[arg(long, help_heading = "Server", conflicts_with = "virtual_hosted")]
    pub path_style: bool,

    /// Put the bucket's name into the host name of the endpoint URL, as bucket.host:9000
    ///
    /// For servers that refuse it in the path. The name bucket.host must resolve. The default on AWS.
    #[arg(long, help_heading = "Server")]
    pub virtual_hosted: bool,

    /// Do not sign requests, for a server without authentication
    #[arg(long, help_heading = "Server")]
    pub no_sign_request: bool,

    /// When to send checksums [default: when-supported for AWS, when-required with an endpoint URL]
    #[arg(long, value_enum, value_name = "WHEN", help_heading = "Server")]
    pub checksum: Option<Checksum>,

    /// Time of the date and hour in object keys
    #[arg(long, value_enum, value_name = "ZONE", default_value = "utc", help_heading = "Objects")]
    pub key_timezone: KeyTimezone,

    /// Content type of the videos [default: that of each file, such as video/mp4]
    #[arg(long, value_name = "TYPE", help_heading = "Objects", value_parser = values::header)]
    pub content_type: Option<String>,

    /// Server-side encryption [default: that of the bucket]
    #[arg(long, value_name = "METHOD", value_parser = ["AES256", "aws:kms"], help_heading = "Objects")]
    pub sse: Option<String>,

    /// KMS key for --sse aws:kms [default: that of the bucket]
    #[arg(long, value_name = "KEY", help_heading = "Objects", requires = "sse", value_parser = values::header)]
    pub sse_kms_key_id: Option<String>,

    /// Storage class, such as STANDARD_IA [default: that of the server]
    #[arg(long, value_name = "CLASS", help_heading = "Objects", value_parser = values::header)]
    pub storage_class: Option<String>,

    /// Object tags, as key=value,key=value
    #[arg(long, value_name = "TAGS", value_parser = tags::parse, help_heading = "Objects")]
    pub tags: Option<String>,

    /// Canned ACL
    ///
    /// Most buckets have ACLs disabled and reject this.
    #[arg(long, value_name = "ACL", help_heading = "Objects", value_parser = [
        "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read",
        "bucket-owner-full-control",
    ])]
    pub acl: Option<String>,

    /// Folder of segments that messages name instead of carrying them
    ///
    /// The folder into which the recorder writes. Whole segments that wait in it are uploaded as well, at the start and once a
    /// minute.
    #[arg(long, value_name = "DIR", help_heading = "Spool folder")]
    pub spool: Option<PathBuf>,

    /// Seconds for which uploaded segments stay in the spool folder; 0 deletes them at once, forever keeps them
    ///
    /// A kept segment has a file with the extension uploaded beside it, which names its object.
    #[arg(long, value_name = "SECONDS", default_value = "0", help_heading = "Spool folder", requires = "spool",
          value_parser = values::keep)]
    pub keep_uploaded: Keep,

    /// Number of concurrent uploads
    #[arg(long, value_name = "COUNT", default_value = "2", help_heading = "Upload",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub max_concurrent: u16,

    /// Memory for segments that are waiting or uploading
    ///
    /// When it is full, segments wait in the node's queue; --overflow decides which of them a full queue drops. With --spool,
    /// half of it is for the uploads from that folder.
    #[arg(long, value_name = "BYTES", default_value = "256MiB", help_heading = "Upload")]
    pub upload_buffer: ByteSize,

    /// Upload larger segments in parts
    #[arg(long, value_name = "BYTES", default_value = "64MiB", help_heading = "Upload")]
    pub multipart_threshold: ByteSize,

    /// Time-out of a request, in seconds
    ///
    /// A request has a second more for every 64 kB of its body.
    #[arg(long, value_name = "SECONDS", default_value = "60", help_heading = "Upload",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub upload_timeout: u32,
}

/// The time of the date and hour in object keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyTimezone {
    /// Capture time of the first frame, in UTC
    Utc,
    /// Creation time of the message in the local time zone, as MSight has it
    Local,
}

/// The settings of a pusher.
#[derive(Debug, Clone)]
pub struct Settings {
    bucket_name: String,
    /// Set if AWS refuses the name for new buckets.
    legacy_bucket: Option<LegacyBucketName>,
    connection: Connection,
    options: ObjectOptions,
    policy: RetryPolicy,
    prefix: String,
    folders: Folders,
    wait: Duration,
    max_concurrent: usize,
    upload_buffer: u64,
    spool: Option<(PathBuf, Keep)>,
}

impl msight_node::Settings for Settings {
    type Flags = Flags;

    fn parse(flags: Flags) -> Result<Self> {
        let folders = match flags.key_timezone {
            KeyTimezone::Utc => Folders::Utc,
            KeyTimezone::Local => Folders::Local(
                TimeZone::try_system()
                    .context("--key-timezone local: cannot read the local time zone; set TZ")?,
            ),
        };
        // The device's name is shortened where needed, so any name does here.
        Layout::new(&flags.prefix, "", folders.clone())?;
        if flags.sse_kms_key_id.is_some() && flags.sse.as_deref() != Some("aws:kms") {
            bail!("--sse-kms-key-id requires --sse aws:kms");
        }
        let connection = Connection {
            region: flags.aws_region,
            endpoint_url: flags.endpoint_url,
            addressing: match (flags.path_style, flags.virtual_hosted) {
                (true, _) => Addressing::Path,
                (_, true) => Addressing::VirtualHosted,
                _ => Addressing::ByEndpoint,
            },
            dualstack: flags.use_dualstack_endpoint,
            credentials: if flags.no_sign_request { Credentials::Unsigned } else { Credentials::Chain },
            checksum: flags.checksum,
            ca_bundle: None,
        };
        connection.check()?;
        let legacy_bucket = values::bucket_of_server(&flags.bucket_name, connection.is_aws())
            .map_err(|invalid| anyhow!("--bucket-name: {invalid}"))?;
        let (max_concurrent, mut upload_buffer) =
            (usize::from(flags.max_concurrent), flags.upload_buffer.as_u64());
        let multipart_threshold = flags.multipart_threshold.as_u64().min(LARGEST_PUT);
        // Each upload from the spool folder has an equal share, so that it never waits for memory.
        let share = (upload_buffer / 2 / max_concurrent as u64).max(bucket::PART as u64);
        if flags.spool.is_some() {
            upload_buffer /= 2;
        }
        let options = ObjectOptions {
            content_type: flags.content_type,
            encryption: flags.sse.as_deref().map(Into::into),
            kms_key_id: flags.sse_kms_key_id,
            storage_class: flags.storage_class.as_deref().map(Into::into),
            tagging: flags.tags.filter(|tags| !tags.is_empty()),
            acl: flags.acl.as_deref().map(Into::into),
            multipart_threshold,
            spooled_threshold: multipart_threshold.min(share),
        };
        Ok(Self {
            bucket_name: flags.bucket_name,
            legacy_bucket,
            connection,
            options,
            policy: RetryPolicy {
                request: Duration::from_secs(flags.upload_timeout.into()),
                ..RetryPolicy::default()
            },
            prefix: flags.prefix,
            folders,
            wait: Duration::from_secs(flags.wait.max(0).unsigned_abs()),
            max_concurrent,
            upload_buffer,
            spool: flags.spool.map(|folder| (folder, flags.keep_uploaded)),
        })
    }
}

/// Uploads segments to a bucket.
pub struct VideoPusher {
    layout: Layout,
    device: String,
    uploader: Uploader,
    stats: Stats,
    stopping: CancellationToken,
    /// Cancelled shortly before the time of `--grace` ends.
    give_up: CancellationToken,
    _clock: AbortOnDropHandle<()>,
}

impl Node for VideoPusher {
    const NAME: &'static str = "msight_launch_aws_video_pusher";
    const CLASS: &'static str = "AWSVideoPusherSinkNode";
    const METRICS: &'static [Metric] = metrics::ALL;
    type Args = Settings;

    async fn open(mut settings: Settings, cx: &Context) -> Result<Self> {
        let layout = Layout::new(&settings.prefix, cx.device(), settings.folders)?;
        settings.connection.read_ca_bundle()?;
        if let Some(legacy) = &settings.legacy_bucket {
            tracing::warn!(code = LegacyBucketName::CODE, "{legacy}");
        }
        let spool = settings.spool.map(|(folder, keep)| SpoolSettings {
            folder,
            keep,
            scan_interval: SCAN_INTERVAL,
            layout: layout.clone(),
            device: cx.device().to_owned(),
        });
        let bucket =
            Bucket::new(settings.bucket_name, settings.connection, settings.options, settings.policy);
        connection::read_certificates();
        let stopping = cx.stopping();
        tokio::select! {
            () = tokio::time::sleep(settings.wait) => {}
            () = stopping.cancelled() => {}
        }
        let stats = Stats::new(cx.metrics());
        let (workers, budget) = (settings.max_concurrent, settings.upload_buffer);
        let health = cx.health().clone();
        let mut uploader = Uploader::with_spool(bucket, workers, budget, stats.clone(), health, spool);
        uploader.probe();

        let give_up = CancellationToken::new();
        // Early enough to log the segments that are lost before the kit ends the program.
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
        if let Some(file) = &sample.body.video_file {
            // The message has done its duty: the segment is safe in its folder.
            return self.uploader.submit_spooled(file.path.clone()).await.map_err(|error| {
                let is_gone = matches!(error, SpoolError::Gone { .. });
                self.stats.failed(if is_gone { "vanished" } else { "unusable" });
                error.into()
            });
        }
        let (layout, device) = (self.layout.clone(), self.device.clone());
        // Hashing takes milliseconds a megabyte, which must not delay other tasks.
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
        bail!("{} segments ({bytes} bytes) are lost: not uploaded within --grace", left.len())
    }
}
