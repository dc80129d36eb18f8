//! A camera without a camera: an RTSP server that shows a moving test picture.
//!
//! It serves the demo, the bench and the tests. Clients see a street with traffic, the time of day to the
//! millisecond and a frame counter, in H.264 (constrained baseline) over RTP, interleaved in the RTSP connection
//! or by UDP. RTCP sender reports tell them the true time of capture. Pictures are drawn and encoded once for
//! all clients, and only while there is one.
//!
//! ```no_run
//! # async fn example() -> Result<(), msight::camera::Error> {
//! use msight::camera::{Camera, CameraConfig};
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
mod recording;
mod rhythm;
mod rtp;
mod rtsp;
mod scene;
mod server;
mod session;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use encoder::Encoder;
use feed::{Feed, ParameterSets};
pub use recording::{Recording, RecordingError};
use server::Stream;

/// What the camera shows and where.
#[derive(Clone, Debug)]
pub struct CameraConfig {
    /// Where to listen; port 0 takes a free one. Everybody who reaches it may watch.
    pub bind: SocketAddr,
    /// The path of the stream's address, with or without a slash before it.
    pub path: String,
    /// Width in pixels, even, 320 to 3840.
    pub width: usize,
    /// Height in pixels, even, 180 to 2160.
    pub height: usize,
    /// Pictures in a second, 1 to 120.
    pub fps: f32,
    /// What the encoder aims at, in bits per second, 50,000 to 100,000,000.
    pub bitrate: u32,
    /// How many clients may be connected at a time.
    pub max_clients: usize,
}

impl Default for CameraConfig {
    /// `rtsp://127.0.0.1:<free port>/live.stream`, 1280x720, 10 pictures a second at 3 Mbit/s, 32 clients.
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

/// Bits a second that a camera can have.
const BITRATES: std::ops::RangeInclusive<u32> = 50_000..=100_000_000;

impl CameraConfig {
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

/// Why a camera does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The size is odd, too small for the caption or too large for the encoder.
    #[error("no camera of {width}x{height} pixels: take an even size from 320x180 to 3840x2160")]
    Size {
        /// The width that was asked for.
        width: usize,
        /// The height that was asked for.
        height: usize,
    },
    /// The frame rate is out of range.
    #[error("no camera of {0} frames a second: take 1 to 120")]
    Fps(f32),
    /// The bit rate is out of range.
    #[error("no camera of {0} bit/s: take 50,000 to 100,000,000")]
    Bitrate(u32),
    /// The path cannot be part of an address.
    #[error("{0:?} is no path of an RTSP address: take letters, digits and . _ - /")]
    Path(String),
    /// The address is taken, or not one of this machine's.
    #[error(
        "the camera cannot listen on {address}; is another one running? Take another port, or 0 for a free one"
    )]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The thread that draws could not be started.
    #[error("no thread for the camera")]
    Thread(#[source] std::io::Error),
    /// The H.264 encoder refused.
    #[error("the H.264 encoder failed: {0}")]
    Encoder(#[from] openh264::Error),
    /// The H.264 encoder gave a first picture without parameter sets.
    #[error("the H.264 encoder gave no parameter sets")]
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

/// What clients are told of the stream.
struct Shown {
    parameter_sets: ParameterSets,
    fps: f32,
    bitrate: u32,
    /// How long before they are sent pictures are captured, at most.
    age: Duration,
}

/// What a camera has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraStats {
    /// Clients that play now.
    pub clients: usize,
    /// Frames sent, to all clients together.
    pub frames_sent: u64,
    /// Frames that clients missed because they were too slow to take them.
    pub frames_dropped: u64,
}

impl Camera {
    /// Starts to listen; the first client starts the pictures.
    ///
    /// # Errors
    /// [`Error`] says which value of the configuration to change.
    pub async fn start(config: CameraConfig) -> Result<Self, Error> {
        config.check()?;
        let (encoder, parameter_sets) = Encoder::new(&config)?;
        let shown = Shown { parameter_sets, fps: config.fps, bitrate: config.bitrate, age: Duration::ZERO };
        Self::listen(&config, shown, move |feed| encoder.run(feed)).await
    }

    /// Starts to listen as [`start`](Self::start) does, and shows a recording in a loop as if it were taken now.
    /// Of `config` the address, the path and the number of clients count.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn replay(config: CameraConfig, recording: Arc<Recording>) -> Result<Self, Error> {
        let shown = Shown {
            parameter_sets: recording.parameter_sets.clone(),
            fps: recording.fps() as f32,
            bitrate: recording.bitrate() as u32,
            age: recording.age(),
        };
        Self::listen(&config, shown, move |feed| recording.play(feed)).await
    }

    async fn listen(
        config: &CameraConfig,
        shown: Shown,
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
            // No picture was captured before.
            began: now.checked_sub(shown.age).unwrap_or(now),
        };
        let shows = feed.clone();
        let maker = std::thread::Builder::new()
            .name("camera".into())
            .spawn(move || show(&shows))
            .map_err(Error::Thread)?;
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, Arc::new(stream), config.max_clients, stop.clone()));
        Ok(Self { address, path, feed, maker: Some(maker), _stop: stop.drop_guard() })
    }

    /// Ends the pictures. Clients stay connected and see nothing any more, as with a camera that hangs.
    pub fn freeze(&self) {
        self.feed.close();
    }

    /// The address of the stream, `rtsp://127.0.0.1:8554/live.stream`. A camera that listens everywhere is named
    /// by the loopback address.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("rtsp://{address}{}", self.path)
    }

    /// What it has done so far.
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
            // It ends after the picture in hand, within milliseconds. A panic has been reported already.
            let _ = maker.join();
        }
    }
}
