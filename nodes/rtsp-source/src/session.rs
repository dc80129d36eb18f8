//! The handshake of an RTSP session, from the camera's URL to PLAY.

use std::future::Future;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use msight_media::Codec;
use msight_node::refused;
use retina::client::{
    Described, InitialSequenceNumberPolicy, PlayOptions, Session, SessionOptions, SetupOptions, Stream,
    TeardownPolicy,
};
use retina::codec::FrameFormat;
use tokio::time::{Instant as Deadline, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::counts::Counts;
use crate::playing::Playing;
use crate::relay::Relay;
use crate::settings::{Settings, Transport};
use crate::url::CameraUrl;

/// RTSP status "Unsupported transport" (RFC 2326 section 11.3.14).
const UNSUPPORTED_TRANSPORT: u16 = 461;

/// Why the handshake failed.
enum Failure {
    /// The camera does not send over this transport.
    Transport,
    Other(anyhow::Error),
}

/// Opens the camera's video and starts it.
///
/// If the camera rejects the transport (461), the other one is tried. Errors of authentication, and cameras without a
/// supported video stream, are marked as [`refused`]. `relays` tracks the relay to the camera until it has sent
/// TEARDOWN.
pub(crate) async fn connect(
    settings: &Settings,
    counts: Arc<Counts>,
    relays: &TaskTracker,
) -> Result<Playing> {
    let wanted = settings.transport;
    match attempt(settings, wanted, counts.clone(), relays).await {
        Ok(playing) => Ok(playing),
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::Transport) => {
            let (url, other) = (&settings.url, wanted.other());
            warn!(
                %url,
                "the camera refuses transport {wanted} (461), trying {other}; use --rtsp-transport {other} to start with it"
            );
            attempt(settings, other, counts, relays).await.map_err(|failure| match failure {
                Failure::Other(error) => error,
                Failure::Transport => refused(anyhow!("{url} refuses both transports, tcp and udp (461)")),
            })
        }
    }
}

async fn attempt(
    settings: &Settings,
    transport: Transport,
    counts: Arc<Counts>,
    relays: &TaskTracker,
) -> Result<Playing, Failure> {
    let deadline = Deadline::now() + settings.connect_timeout;
    let (url, opening) = (&settings.url, Relay::open(&settings.url, transport, counts.clone(), relays));
    let relay = within(settings, deadline, "DESCRIBE", opening).await?;
    let relay = relay.map_err(|error| {
        // For an error of the operating system, the kind is its plain name. Other errors, such as those of a host name,
        // have only a text.
        let why = if error.raw_os_error().is_some() { error.kind().to_string() } else { error.to_string() };
        let what_to_do = "check that the camera is on, and the URL's host and port";
        Failure::Other(anyhow!("cannot open camera {url}: {}; {what_to_do}", url.scrub(&why)))
    })?;
    let step = Step { settings, relay, deadline };
    // The relay authenticates and tears down.
    let options = SessionOptions::default()
        .teardown(TeardownPolicy::Never)
        .user_agent(concat!("msight_launch_rtsp/", env!("CARGO_PKG_VERSION")).into());
    let play = PlayOptions::default().initial_seq(match transport {
        Transport::Tcp => InitialSequenceNumberPolicy::Default,
        // The sequence starts with the first packet that arrives.
        Transport::Udp => InitialSequenceNumberPolicy::Ignore,
    });
    let describe = Session::describe(step.relay.url().clone(), options);
    let mut session: Session<Described> = step.wait("DESCRIBE", describe).await?;
    let (stream, codec) = choose(session.streams(), &settings.url).map_err(Failure::Other)?;
    let setup = SetupOptions::default().frame_format(FrameFormat::MP4);
    step.wait("SETUP", session.setup(stream, setup)).await?;
    let session = step.wait("PLAY", session.play(play)).await?;
    let session = step.wait("PLAY", async { session.demuxed() }).await?;
    info!(url = %settings.url, %transport, ?codec, "camera plays");
    Ok(Playing::new(session, stream, codec, transport, step.relay, settings.clone(), counts))
}

/// The steps of a handshake. They share one deadline, because retina has no time-outs.
struct Step<'a> {
    settings: &'a Settings,
    /// The relay between retina and the camera.
    relay: Relay,
    deadline: Deadline,
}

impl Step<'_> {
    async fn wait<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, retina::Error>>,
    ) -> Result<T, Failure> {
        let url = &self.settings.url;
        within(self.settings, self.deadline, what, work).await?.map_err(|error| {
            if what == "SETUP" && error.status_code() == Some(UNSUPPORTED_TRANSPORT) {
                return Failure::Transport;
            }
            Failure::Other(match self.relay.failure() {
                Some(said) => anyhow!("cannot open camera {url}: {what} failed: {}", url.scrub(said)),
                None => explain(url, what, &error),
            })
        })
    }
}

async fn within<T>(
    settings: &Settings,
    deadline: Deadline,
    what: &str,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let Settings { url, connect_timeout, .. } = settings;
    timeout_at(deadline, work).await.map_err(|_| {
        Failure::Other(anyhow!(
            "{url} did not answer {what} within {} s; check that the camera is up, and that this is its RTSP port",
            connect_timeout.as_secs_f64()
        ))
    })
}

/// The error for an error of retina, with the solution if it is known.
fn explain(url: &CameraUrl, what: &str, error: &retina::Error) -> anyhow::Error {
    match error.status_code() {
        Some(401) if url.credentials().is_none() => refused(anyhow!(
            "{url} requires a user name and a password ({what}: 401); set them in the URL (rtsp://user:password@…), or \
             as MSIGHT_RTSP_USERNAME and MSIGHT_RTSP_PASSWORD, or as --username and --password-file"
        )),
        Some(401 | 403) => refused(anyhow!("{url} refused the user name or the password ({what})")),
        Some(404 | 454) => {
            anyhow!(
                "cannot open camera {url}: the camera has no such stream ({what}: 404); check the path of the URL"
            )
        }
        Some(status) => anyhow!("cannot open camera {url}: it answered {what} with {status}"),
        None => anyhow!("cannot open camera {url}: {what} failed: {}", url.scrub(&error.to_string())),
    }
}

/// The first H.264 stream, otherwise the first JPEG stream.
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
        [] => anyhow!("{url} offers no stream; check the path of the URL"),
        offered => anyhow!(
            "{url} offers {}, which this program cannot decode; set the camera's stream to H.264 (baseline, main or high \
             profile, 8 bit 4:2:0, progressive)",
            url.scrub(&offered.join(", "))
        ),
    }))
}

#[cfg(test)]
mod tests;
