//! The RTSP session: from the camera's address to access units with capture times.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, anyhow};
use futures_util::StreamExt as _;
use msight_node::logs::Repeated;
use msight_node::refused;
use retina::client::{
    Credentials, Demuxed, Described, PlayOptions, Session, SessionOptions, SetupOptions, Stream,
    TcpTransportOptions, UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef, VideoFrame};
use retina::rtcp::ReceivedCompoundPacket;
use tokio::time::{Instant as Deadline, timeout_at};
use tracing::{info, warn};

use crate::clock::{Arrival, CaptureClock, Event};
use crate::counts::Counts;
use crate::decode::Codec;
use crate::gate::Reason;
use crate::unit::{AccessUnit, Offered, UnitSender};
use crate::url::CameraUrl;

/// On UDP so many errors in a row are taken as packets lost; then the session is given up.
const MOST_BAD_PACKETS: u32 = 100;

/// RTSP status "Unsupported transport" (RFC 2326 section 11.3.14).
const UNSUPPORTED_TRANSPORT: u16 = 461;

/// How RTP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Interleaved in the RTSP connection.
    Tcp,
    /// Datagrams of its own.
    Udp,
}

impl Transport {
    fn other(self) -> Self {
        match self {
            Self::Tcp => Self::Udp,
            Self::Udp => Self::Tcp,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// What to connect to, and how patiently.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) url: CameraUrl,
    pub(crate) transport: Transport,
    /// For the whole of DESCRIBE, SETUP and PLAY.
    pub(crate) connect_timeout: Duration,
    /// Between two frames.
    pub(crate) read_timeout: Duration,
    /// How far the camera's clock may be off ours, seconds; `None` does not use it.
    pub(crate) max_skew: Option<f64>,
}

/// A camera that plays.
pub(crate) struct Playing {
    session: Demuxed,
    stream: usize,
    codec: Codec,
    transport: Transport,
    settings: Settings,
    clock: CaptureClock,
    counts: Arc<Counts>,
    /// The zero of the monotonic clock.
    started: Instant,
    loss: Repeated,
    /// Something was lost since the last frame.
    lost: bool,
}

/// Why there is no session.
enum Failure {
    /// The camera does not send over this transport.
    Transport,
    Other(anyhow::Error),
}

/// Asks the camera for its video and lets it play.
///
/// A camera that refuses the transport wanted (461) is asked for the other. An error of authentication is marked as
/// [`refused`], and so is a camera that sends no video for us.
pub(crate) async fn connect(settings: &Settings, counts: Arc<Counts>) -> Result<Playing> {
    let wanted = settings.transport;
    match attempt(settings, wanted, counts.clone()).await {
        Ok(playing) => Ok(playing),
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::Transport) => {
            let (url, other) = (&settings.url, wanted.other());
            warn!(
                "{url} does not send over {wanted} (461); trying {other}: --rtsp-transport {other} saves the detour"
            );
            attempt(settings, other, counts).await.map_err(|failure| match failure {
                Failure::Other(error) => error,
                Failure::Transport => refused(anyhow!("{url} sends neither over tcp nor over udp (461)")),
            })
        }
    }
}

async fn attempt(settings: &Settings, transport: Transport, counts: Arc<Counts>) -> Result<Playing, Failure> {
    let step = Step { settings, deadline: Deadline::now() + settings.connect_timeout };
    let credentials = settings.url.credentials();
    let credentials =
        credentials.map(|(name, secret)| Credentials { username: name.into(), password: secret.into() });
    let options = SessionOptions::default()
        .creds(credentials)
        .user_agent(concat!("msight_launch_rtsp/", env!("CARGO_PKG_VERSION")).into());
    let describe = Session::describe(settings.url.bare().clone(), options);
    let mut session: Session<Described> = step.wait("DESCRIBE", describe).await?;
    let (stream, codec) = choose(session.streams(), &settings.url).map_err(Failure::Other)?;
    let setup = SetupOptions::default().frame_format(FrameFormat::SIMPLE).transport(match transport {
        Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
        Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
    });
    step.wait("SETUP", session.setup(stream, setup)).await?;
    let session = step.wait("PLAY", session.play(PlayOptions::default())).await?;
    let session = step.wait("PLAY", async { session.demuxed() }).await?;
    let clock_rate = session.streams()[stream].clock_rate_hz();
    info!(%transport, ?codec, "playing {}", settings.url);
    Ok(Playing {
        session,
        stream,
        codec,
        transport,
        clock: CaptureClock::new(clock_rate, settings.max_skew),
        settings: settings.clone(),
        counts,
        started: Instant::now(),
        loss: Repeated::new(),
        lost: false,
    })
}

/// The steps of a handshake, which share one deadline: the library has none.
struct Step<'a> {
    settings: &'a Settings,
    deadline: Deadline,
}

impl Step<'_> {
    async fn wait<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, retina::Error>>,
    ) -> Result<T, Failure> {
        let Settings { url, connect_timeout, .. } = self.settings;
        match timeout_at(self.deadline, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) if what == "SETUP" && error.status_code() == Some(UNSUPPORTED_TRANSPORT) => {
                Err(Failure::Transport)
            }
            Ok(Err(error)) => Err(Failure::Other(explain(url, what, &error))),
            Err(_) => Err(Failure::Other(anyhow!(
                "{url} did not answer {what} within {} s; is it a camera's RTSP port, and is the camera up?",
                connect_timeout.as_secs_f64()
            ))),
        }
    }
}

/// An error of the library with what it means and what to do.
fn explain(url: &CameraUrl, what: &str, error: &retina::Error) -> anyhow::Error {
    let said = url.scrub(&error.to_string());
    match error.status_code() {
        Some(401) if url.credentials().is_none() => refused(anyhow!(
            "{url} wants a user name and a password ({what}: {said}); give them in the URL (rtsp://user:password@…), or \
             by MSIGHT_RTSP_USERNAME and MSIGHT_RTSP_PASSWORD, or by --username and --password-file"
        )),
        Some(401 | 403) => refused(anyhow!("{url} refused the user name or the password ({what}: {said})")),
        Some(404 | 454) => {
            anyhow!("{url} does not exist on the camera ({what}: {said}); check the path of the URL")
        }
        Some(status) => anyhow!("{url} answered {what} with {status}: {said}"),
        None => anyhow!("{what} to {url} failed: {said}"),
    }
}

/// The first H.264 stream, else the first of JPEG.
fn choose(streams: &[Stream], url: &CameraUrl) -> Result<(usize, Codec)> {
    let video = |codec: &str| streams.iter().position(|s| s.media() == "video" && s.encoding_name() == codec);
    if let Some(stream) = video("h264") {
        return Ok((stream, Codec::H264));
    }
    if let Some(stream) = video("jpeg") {
        return Ok((stream, Codec::Jpeg));
    }
    let offered: Vec<String> =
        streams.iter().map(|s| format!("{} {}", s.media(), s.encoding_name().to_uppercase())).collect();
    Err(refused(match offered.as_slice() {
        [] => anyhow!("{url} offers no stream at all; check the path of the URL"),
        offered => anyhow!(
            "{url} offers {}, which cannot be decoded here; set the camera's stream to H.264 (baseline, main or high \
             profile, 8 bit 4:2:0, progressive)",
            url.scrub(&offered.join(", "))
        ),
    }))
}

impl Playing {
    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// Reads until the session ends, and says why it ended. Never waits for the decoder.
    pub(crate) async fn read(mut self, mut units: UnitSender) -> anyhow::Error {
        let url = self.settings.url.clone();
        let mut deadline = Deadline::now() + self.settings.read_timeout;
        let mut bad_packets = 0;
        loop {
            let item = match timeout_at(deadline, self.session.next()).await {
                Ok(Some(Ok(item))) => item,
                Ok(Some(Err(_))) if self.transport == Transport::Udp && bad_packets < MOST_BAD_PACKETS => {
                    // A fragment that does not fit to what came before: its neighbour was lost.
                    bad_packets += 1;
                    self.lost = true;
                    continue;
                }
                Ok(Some(Err(error))) => return anyhow!("{url} broke off: {}", url.scrub(&error.to_string())),
                Ok(None) => return anyhow!("{url} ended the stream"),
                Err(_) => return self.silence(),
            };
            match item {
                CodecItem::VideoFrame(frame) if frame.stream_id() == self.stream => {
                    bad_packets = 0;
                    deadline = Deadline::now() + self.settings.read_timeout;
                    let unit = self.unit(frame);
                    match units.offer(unit) {
                        Offered::Taken => {}
                        Offered::Dropped => self.counts.dropped(Reason::DecoderSlow).inc(),
                        Offered::Closed => return anyhow!("the decoder of {url} ended"),
                    }
                }
                CodecItem::Rtcp(packet) if packet.stream_id() == self.stream => self.report(&packet),
                _ => {}
            }
        }
    }

    fn silence(&self) -> anyhow::Error {
        let (url, seconds) = (&self.settings.url, self.settings.read_timeout.as_secs_f64());
        let hint = match self.transport {
            Transport::Udp => "; if a firewall stands between, try --rtsp-transport tcp",
            Transport::Tcp => "",
        };
        anyhow!("no frame from {url} for {seconds} s{hint}")
    }

    fn unit(&mut self, frame: VideoFrame) -> AccessUnit {
        self.counts.received.inc();
        if frame.loss() > 0 {
            self.lose(frame.loss());
        }
        let context = frame.start_ctx();
        let arrival = self.arrival(context.received(), context.received_wall());
        let rtp = frame.timestamp().timestamp();
        let (captured, event) = self.clock.capture_time(rtp, arrival);
        self.tell(event);
        let size = match self.session.streams()[self.stream].parameters() {
            Some(ParametersRef::Video(video)) => Some(video.pixel_dimensions()),
            _ => None,
        };
        AccessUnit {
            rtp,
            captured,
            key: self.codec == Codec::Jpeg || frame.is_random_access_point(),
            after_loss: std::mem::take(&mut self.lost),
            size,
            data: frame.into_data(),
        }
    }

    fn lose(&mut self, packets: u16) {
        self.lost = true;
        self.counts.lost_packets.inc_by(packets.into());
        let Some(lost) = self.loss.add(packets.into(), Instant::now()) else { return };
        let url = &self.settings.url;
        match self.transport {
            Transport::Tcp => warn!("{url}: the camera left out {lost} RTP packets"),
            Transport::Udp => warn!(
                "{url}: {lost} RTP packets were lost; use --rtsp-transport tcp, or give the system's UDP sockets more room \
                 (sysctl -w net.core.rmem_default=4194304)"
            ),
        }
    }

    fn report(&mut self, packet: &ReceivedCompoundPacket) {
        let report = packet.pkts().next().and_then(|first| first.as_sender_report().ok().flatten());
        let (Some(report), Some(rtp)) = (report, packet.rtp_timestamp()) else { return };
        let since_1970 = report.ntp_timestamp().0.wrapping_sub(retina::UNIX_EPOCH.0);
        let wall = since_1970 as f64 / (1u64 << 32) as f64;
        let context = packet.ctx();
        let arrival = self.arrival(context.received(), context.received_wall());
        let event = self.clock.report(wall, rtp.timestamp(), arrival);
        self.tell(event);
    }

    fn arrival(&self, received: Instant, wall: retina::WallTime) -> Arrival {
        let wall = SystemTime::from(wall).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Arrival {
            monotonic: received.saturating_duration_since(self.started).as_secs_f64(),
            wall: wall.as_secs_f64(),
        }
    }

    fn tell(&self, event: Option<Event>) {
        let url = &self.settings.url;
        match event {
            None => {}
            Some(Event::CameraClock { ahead }) => {
                info!("capture times of {url} are the camera's: {:.3} s before arrival", -ahead);
            }
            Some(Event::CameraClockOff { ahead }) => warn!(
                "the clock of {url} is {ahead:.1} s off ours: capture times are those of arrival; set the camera's time \
                 (NTP), or allow more with --max-clock-skew"
            ),
            Some(Event::Stepped { by }) => {
                warn!("a clock was set: capture times of {url} moved by {by:.3} s");
            }
            Some(Event::RtpJump { by }) => warn!("the RTP timestamps of {url} jumped by {by:.3} s"),
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
