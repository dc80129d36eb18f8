//! A bucket, an uploader into it, segments, and what is logged.

use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use msight_node::health::Health;
use msight_node::metrics::Metrics;
use msight_proto::{Head, Sample, VideoData};
use msight_s3_pusher::bucket::{Bucket, ObjectOptions};
use msight_s3_pusher::connection::{Connection, Credentials};
use msight_s3_pusher::retry::RetryPolicy;
use msight_s3_pusher::stats::Stats;
use msight_s3_pusher::uploader::Uploader;
use msight_segment::{Folders, Layout, Segment};
use msight_test_support::DEADLINE;
use msight_test_support::s3::{ACCESS_KEY, SECRET_KEY, Seen, Server};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::subscriber::DefaultGuard;

pub(crate) fn policy() -> RetryPolicy {
    RetryPolicy {
        first: Duration::from_millis(2),
        longest: Duration::from_millis(20),
        probe: Duration::from_millis(2),
        request: Duration::from_secs(20),
        ..RetryPolicy::default()
    }
}

pub(crate) fn options() -> ObjectOptions {
    ObjectOptions { multipart_threshold: 16 << 20, spooled_threshold: 16 << 20, ..ObjectOptions::default() }
}

pub(crate) fn connection(server: &Server) -> Connection {
    let keys = aws_credential_types::Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
    Connection {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(format!("http://{}", server.address)),
        credentials: Credentials::Given(SharedCredentialsProvider::new(keys)),
        ..Connection::default()
    }
}

pub(crate) fn bucket(connection: Connection, policy: RetryPolicy) -> Bucket {
    Bucket::new("videos", connection, options(), policy)
}

pub(crate) fn stats() -> Stats {
    Stats::new(&Metrics::default())
}

pub(crate) fn uploader_with(connection: Connection, options: ObjectOptions, policy: RetryPolicy) -> Uploader {
    let bucket = Bucket::new("videos", connection, options, policy);
    Uploader::start(bucket, 2, 256 << 20, stats(), Health::default())
}

pub(crate) fn uploader(server: &Server) -> Uploader {
    uploader_with(connection(server), options(), policy())
}

pub(crate) fn segment(second: f64, video: impl Into<Bytes>) -> Segment {
    let body = VideoData {
        video: Some(video.into()),
        detection_results: None,
        frame_ids: None,
        capture_timestamps: Some(vec![second, second + 9.9]),
        video_file: None,
    };
    let layout = Layout::new("p", "edge1", Folders::Utc).unwrap();
    Segment::new(Sample::new(Head::new("cam ü".to_owned(), second), body), &layout, "edge1").unwrap()
}

/// Key without extension of `segment(1_700_000_000.5, ..)`.
pub(crate) const STEM: &str = "p/edge1/cam ü/2023-11-14/22/1700000000_1700000010";

pub(crate) fn both(stem: &str) -> [String; 2] {
    [format!("{stem}.json"), format!("{stem}.mp4")]
}

pub(crate) async fn submit(uploader: &mut Uploader, segment: Segment) {
    uploader.submit(segment, &CancellationToken::new()).await;
}

/// Finishes without giving up, and expects nothing left.
pub(crate) async fn finish(mut uploader: Uploader) {
    let left = uploader.finish(tokio::time::sleep(DEADLINE)).await;
    assert_eq!(left, []);
}

pub(crate) fn mp4(seen: &Seen) -> bool {
    seen.puts(".mp4")
}

pub(crate) fn json(seen: &Seen) -> bool {
    seen.puts(".json")
}

/// What is logged on this thread, where all tasks of a test run.
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

impl Log {
    pub(crate) fn capture() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer(text.clone());
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines with this text.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let all = self.text.lock().unwrap();
        String::from_utf8_lossy(&all).lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
