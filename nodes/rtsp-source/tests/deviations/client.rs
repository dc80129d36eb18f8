//! The two clients of the camera: ffmpeg, and the source.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use md5::{Digest as _, Md5};
use msight_node::testing::run_source_until;
use msight_rtsp_source::RtspSource;
use msight_test_support::until;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;
use tracing_subscriber::fmt::MakeWriter;

use crate::camera::Camera;
use crate::film::{FRAMES, Film};
use crate::stub::Stub;

/// How long a session may take. A well-behaved one takes two seconds; a busy machine may pause for some.
const SESSION: Duration = Duration::from_secs(60);

/// A picture, by the checksum of its pixels.
pub(crate) type Picture = Vec<u8>;

/// A client of cameras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Ffmpeg,
    Source,
}

/// The pictures, times and log lines of one session.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) pictures: Vec<Picture>,
    /// The times of each. ffmpeg gives none.
    pub(crate) times: Vec<Times>,
    /// Errors and warnings.
    pub(crate) log: Vec<String>,
}

/// The times of a frame, in seconds since 1970.
pub(crate) struct Times {
    pub(crate) captured: f64,
    pub(crate) published: f64,
}

impl Client {
    /// Runs the client with the camera for one session.
    pub(crate) async fn watch(self, camera: &Arc<Camera>) -> Received {
        let serving = camera.clone();
        let stub = Stub::start(move |connection, before| match before {
            0 => serving.serve(connection),
            // One session is enough.
            _ => Ok(()),
        });
        let (user, password) = camera.credentials;
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let credentials = match user {
            "" => String::new(),
            _ => format!("{}:{}@", encode(user), encode(password)),
        };
        let url = stub.url(&credentials);
        match self {
            Self::Ffmpeg => {
                tokio::task::spawn_blocking(move || ffmpeg(&url)).await.expect("it does not panic")
            }
            Self::Source => source(&stub, &url).await,
        }
    }

    /// The pictures of a film, from a camera that does not deviate.
    pub(crate) async fn pictures_of(self, film: &'static Film) -> Vec<Picture> {
        let mut camera = Camera::default();
        camera.shows(film);
        let received = self.watch(&Arc::new(camera)).await;
        assert_eq!(received.pictures.len(), FRAMES, "{self:?}, well-behaved camera: {:?}", received.log);
        received.pictures
    }
}

fn ffmpeg(url: &str) -> Received {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-timeout", "20000000", "-threads", "1"])
        .args(["-i", url, "-map", "0:v:0", "-fps_mode", "passthrough", "-threads", "1"])
        .args(["-f", "framehash", "-hash", "md5", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is installed (on Debian: apt-get install ffmpeg)");
    let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
    let frames = lines(&output.stdout).into_iter().filter(|line| !line.starts_with('#'));
    let checksum = |line: String| line.rsplit(',').next().map(|sum| sum.trim().as_bytes().to_vec());
    Received {
        pictures: frames.filter_map(checksum).collect(),
        times: Vec::new(),
        log: lines(&output.stderr),
    }
}

async fn source(stub: &Stub, url: &str) -> Received {
    let flags = ["-u", url, "--connect-timeout", "20", "--read-timeout", "20"];
    // The source opens the camera again when the session is over, or when it has failed.
    let again = async {
        let _ = timeout(SESSION, until("the session ends", async || stub.connected().len() > 1)).await;
    };
    let outcome = run_source_until::<RtspSource>(&flags, again).await;
    let mut log = LOG.lines(&stub.address.to_string());
    let frames = outcome.unwrap_or_else(|error| {
        log.push(format!("{error:#}"));
        Vec::new()
    });
    let times = |head: &msight_proto::Head| Times {
        captured: head.capture_timestamp,
        published: head.creation_timestamp,
    };
    let times = frames.iter().map(|frame| times(&frame.head)).collect();
    let picture = |image: msight_proto::ImageData| {
        let shared = image.image.expect("the source publishes pictures");
        Md5::digest(shared.bytes().expect("they are encoded")).to_vec()
    };
    Received { pictures: frames.into_iter().map(|frame| picture(frame.body)).collect(), times, log }
}

/// What sources log in this process. Each line names the address of its camera.
pub(crate) static LOG: LazyLock<Log> = LazyLock::new(Log::start);

pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> Self {
        let log = Self(Arc::default());
        let writer = Writer(log.0.clone());
        let subscriber = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).without_time();
        subscriber.with_max_level(tracing_subscriber::filter::LevelFilter::WARN).init();
        log
    }

    fn lines(&self, address: &str) -> Vec<String> {
        let log = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&log);
        text.lines().filter(|line| line.contains(address)).map(str::to_owned).collect()
    }
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Writer {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}
