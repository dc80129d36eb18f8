//! A built-in camera: an RTSP server that streams a moving test picture or an MP4 file.
//!
//! The demo, the benchmark and the tests use it. The test picture shows a street with traffic, the time of day to the
//! millisecond and a frame counter, in H.264 (constrained baseline) over RTP, either interleaved in the RTSP
//! connection or over UDP. RTCP sender reports carry the capture time. Pictures are drawn and encoded once for all
//! clients, and only while a client is connected.
//!
//! ```no_run
//! # async fn example() -> Result<(), msight_camera::Error> {
//! use msight_camera::{Camera, CameraConfig};
//!
//! let camera = Camera::start(CameraConfig::default()).await?;
//! println!("ffplay -rtsp_transport tcp {}", camera.url());
//! # Ok(())
//! # }
//! ```

mod backdrop;
mod canvas;
mod delivery;
mod encoder;
mod feed;
mod loop_video;
mod pacing;
mod rtp;
mod rtsp;
mod scene;
mod server;
mod session;
mod stream;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use msight_listener::{Limits, Listener, WhenBusy};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use encoder::Encoder;
use feed::{Feed, ParameterSets};
pub use loop_video::{LoopVideo, LoopVideoError};
use stream::Stream;

/// The address and the picture of a camera.
#[derive(Clone, Debug)]
pub struct CameraConfig {
    /// The address to listen on; port 0 picks a free port. The stream needs no password.
    pub bind: SocketAddr,
    /// The path of the stream's URL, with or without a leading slash.
    pub path: String,
    /// Width in pixels, even, 320 to 3840.
    pub width: usize,
    /// Height in pixels, even, 180 to 2160.
    pub height: usize,
    /// Frames per second, 1 to 120.
    pub fps: f32,
    /// The target bit rate of the encoder in bits per second, 50,000 to 100,000,000.
    pub bitrate: u32,
    /// The maximum number of connected clients, three quarters of them from one address. A client that does not play is
    /// disconnected when another one needs its place.
    pub max_clients: usize,
}

impl Default for CameraConfig {
    /// `rtsp://127.0.0.1:<free port>/live.stream`, 1280x720, 10 frames per second, 3 Mbit/s, 32 clients.
    fn default() -> Self {
        Self {
            bind: (Ipv4Addr::LOCALHOST, 0).into(),
            path: "/live.stream".into(),
            width: 1280,
            height: 720,
            fps: 10.0,
            bitrate: 3_000_000,
            max_clients: 32,
        }
    }
}

/// The valid bit rates in bits per second.
const BITRATES: std::ops::RangeInclusive<u32> = 50_000..=100_000_000;

impl CameraConfig {
    fn limits(&self) -> Limits {
        // All viewers on this machine have one address.
        let share = if self.bind.ip().is_loopback() { 0 } else { self.max_clients / 4 };
        let per_address = self.max_clients - share;
        Limits { total: self.max_clients, per_address, when_busy: WhenBusy::Refuse }
    }

    fn check(&self) -> Result<(), Error> {
        let Self { width, height, fps, bitrate, .. } = *self;
        let (across, down) = (320..=3840, 180..=2160);
        let is_size = across.contains(&width) && down.contains(&height) && (width | height).is_multiple_of(2);
        if !is_size {
            return Err(Error::Size { width, height });
        }
        if !(1.0..=120.0).contains(&fps) {
            return Err(Error::Fps(fps));
        }
        if !BITRATES.contains(&bitrate) {
            return Err(Error::Bitrate(bitrate));
        }
        Ok(())
    }
}

/// Why a camera cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The size is odd, too small for the caption or too large for the encoder.
    #[error("invalid picture size {width}x{height}: use an even size from 320x180 to 3840x2160")]
    Size {
        /// The requested width.
        width: usize,
        /// The requested height.
        height: usize,
    },
    /// The frame rate is out of range.
    #[error("invalid frame rate {0}: use 1 to 120 frames per second")]
    Fps(f32),
    /// The bit rate is out of range.
    #[error("invalid bit rate {0}: use 50,000 to 100,000,000 bit/s")]
    Bitrate(u32),
    /// The path cannot be part of a URL.
    #[error("invalid stream path {0:?}: use letters, digits and . _ - /")]
    Path(String),
    /// The address is in use or not one of this machine.
    #[error(
        "camera cannot listen on {address}; stop the other camera, or choose another port (0 for a free one)"
    )]
    Bind {
        /// The requested address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The camera's thread cannot be started.
    #[error("cannot start the camera's thread")]
    Thread(#[source] std::io::Error),
    /// The H.264 encoder reported an error.
    #[error("the H.264 encoder failed: {0}")]
    Encoder(#[from] openh264::Error),
    /// The first picture of the H.264 encoder has no parameter sets.
    #[error("the H.264 encoder returned no parameter sets")]
    NoParameterSets,
}

/// A camera that runs until it is dropped.
#[derive(Debug)]
pub struct Camera {
    address: SocketAddr,
    path: String,
    feed: Arc<Feed>,
    maker: Option<JoinHandle<()>>,
    _stop: DropGuard,
}

/// The properties of the stream, for its description.
struct StreamInfo {
    parameter_sets: ParameterSets,
    fps: f32,
    bitrate: u32,
    /// The maximum time from capture to sending.
    age: Duration,
}

/// Counters of a camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraStats {
    /// Clients that are playing.
    pub clients: usize,
    /// Frames sent, summed over all clients.
    pub frames_sent: u64,
    /// Frames dropped for slow clients.
    pub frames_dropped: u64,
}

impl Camera {
    /// Starts to listen. Pictures are made while at least one client plays.
    ///
    /// # Errors
    /// [`Error`] tells which setting to change.
    pub async fn start(config: CameraConfig) -> Result<Self, Error> {
        config.check()?;
        let (encoder, parameter_sets) = Encoder::new(&config)?;
        let shown =
            StreamInfo { parameter_sets, fps: config.fps, bitrate: config.bitrate, age: Duration::ZERO };
        Self::listen(&config, shown, move |feed| encoder.run(feed)).await
    }

    /// Starts to listen as [`start`](Self::start) does, and plays a video in a loop as if it were live. Only the
    /// address, the path and the maximum number of clients of `config` are used.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn replay(config: CameraConfig, recording: Arc<LoopVideo>) -> Result<Self, Error> {
        let shown = StreamInfo {
            parameter_sets: recording.parameter_sets.clone(),
            fps: recording.fps() as f32,
            bitrate: recording.bitrate() as u32,
            age: recording.age(),
        };
        Self::listen(&config, shown, move |feed| recording.play(feed)).await
    }

    async fn listen(
        config: &CameraConfig,
        shown: StreamInfo,
        show: impl FnOnce(&Feed) + Send + 'static,
    ) -> Result<Self, Error> {
        let path = format!("/{}", config.path.trim_matches('/'));
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-/".contains(letter);
        if path.len() == 1 || path.len() > 200 || !path.chars().all(is_plain) {
            return Err(Error::Path(config.path.clone()));
        }
        let bind_error = |source| Error::Bind { address: config.bind, source };
        let listener = TcpListener::bind(config.bind).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;

        let feed = Arc::<Feed>::default();
        let now = Instant::now();
        let stream = Stream {
            feed: feed.clone(),
            path: path.clone(),
            parameter_sets: shown.parameter_sets,
            fps: shown.fps,
            bitrate: shown.bitrate,
            origin: jiff::Timestamp::now().as_second().unsigned_abs(),
            // The earliest capture time that a picture can have.
            began: now.checked_sub(shown.age).unwrap_or(now),
        };
        let shows = feed.clone();
        let maker = std::thread::Builder::new()
            .name("camera".into())
            .spawn(move || show(&shows))
            .map_err(Error::Thread)?;
        let stop = CancellationToken::new();
        let listener = Listener::new("camera", listener, config.limits());
        tokio::spawn(server::serve(listener, Arc::new(stream), stop.clone()));
        Ok(Self { address, path, feed, maker: Some(maker), _stop: stop.drop_guard() })
    }

    /// Stops the pictures. Clients stay connected and receive nothing, as from a camera that hangs.
    pub fn freeze(&self) {
        self.feed.close();
    }

    /// The URL of the stream, `rtsp://127.0.0.1:8554/live.stream`. If the camera listens on all addresses, the URL
    /// has the loopback address.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("rtsp://{address}{}", self.path)
    }

    /// The current counters.
    pub fn stats(&self) -> CameraStats {
        CameraStats {
            clients: self.feed.viewers(),
            frames_sent: self.feed.sent(),
            frames_dropped: self.feed.dropped(),
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.feed.close();
        if let Some(maker) = self.maker.take() {
            // The thread ends after the current picture, within milliseconds. A panic has been reported already.
            let _ = maker.join();
        }
    }
}
