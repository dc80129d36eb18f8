//! The handshake of an RTSP session, from the camera's URL to PLAY.

use std::future::Future;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use msight_media::{Codec, Kind};
use msight_node::refused;
use msight_rtp::sdp::Description;
use retina::client::{
    InitialTimestampPolicy, PlayOptions, Session, SessionOptions, SetupOptions, TeardownPolicy,
};
use tokio::time::{Instant as Deadline, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::counts::Counts;
use crate::decoding::DECODABLE;
use crate::labels::SessionLabels;
use crate::packets::Packets;
use crate::playing::{Pictures, Playing};
use crate::progress::Progress;
use crate::relay::{Outputs, Relay, is_tls_error};
use crate::settings::{Settings, Transport};
use crate::unit;
use crate::url::CameraUrl;

/// RTSP status "Unsupported transport" (RFC 2326 section 11.3.14).
const UNSUPPORTED_TRANSPORT: u16 = 461;

/// What is wanted of a camera.
#[derive(Clone, Copy)]
pub(crate) struct Demand<'a> {
    /// Pictures to decode.
    pub(crate) pictures: bool,
    /// Access units to publish.
    pub(crate) packets: Option<&'a Packets>,
}

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
    demand: Demand<'_>,
    counts: Arc<Counts>,
    relays: &TaskTracker,
) -> Result<Playing> {
    let wanted = settings.transport;
    match attempt(settings, wanted, demand, counts.clone(), relays).await {
        Ok(playing) => Ok(playing),
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::Transport) if settings.url.is_tls() => {
            Err(refused(anyhow!("{} refuses to send over TCP (461), and UDP is not encrypted", settings.url)))
        }
        Err(Failure::Transport) => {
            let (url, other) = (&settings.url, wanted.other());
            warn!(
                %url,
                "the camera refuses transport {wanted} (461), trying {other}; use --rtsp-transport {other} to start with it"
            );
            attempt(settings, other, demand, counts, relays).await.map_err(|failure| match failure {
                Failure::Other(error) => error,
                Failure::Transport => refused(anyhow!("{url} refuses both transports, tcp and udp (461)")),
            })
        }
    }
}

async fn attempt(
    settings: &Settings,
    transport: Transport,
    demand: Demand<'_>,
    counts: Arc<Counts>,
    relays: &TaskTracker,
) -> Result<Playing, Failure> {
    let deadline = Deadline::now() + settings.connect_timeout;
    let progress = Arc::new(Progress::new());
    let (sender, units) = unit::queue();
    let needs_labels = demand.packets.is_some() || settings.with_access_units;
    let labels = needs_labels.then(SessionLabels::new).transpose().map_err(Failure::Other)?;
    let packets = demand.packets.map(Packets::sender);
    let pictures = demand.pictures.then_some(sender);
    let outputs = Outputs { pictures, packets, labels, counts, progress: progress.clone() };
    let (url, opening) = (&settings.url, Relay::open(settings, transport, outputs, relays));
    let relay = within(settings, deadline, "DESCRIBE", opening).await?;
    let relay = relay.map_err(|error| {
        // For an error of the operating system, the kind is its plain name. Other errors, such as those of a host name,
        // have only a text.
        let why = if error.raw_os_error().is_some() { error.kind().to_string() } else { error.to_string() };
        let what_to_do = match is_tls_error(&error) {
            true => "",
            false => "; check that the camera is on, and the URL's host and port",
        };
        Failure::Other(anyhow!("cannot open camera {url}: {}{what_to_do}", url.scrub(&why)))
    })?;
    let step = Step { settings, relay, deadline };
    // The relay authenticates and tears down.
    let options = SessionOptions::default().teardown(TeardownPolicy::Never);
    let session = step.wait("DESCRIBE", Session::describe(step.relay.url().clone(), options)).await;
    // If there is no track, the description says more than retina's error.
    let described = step.relay.description().cloned();
    let chosen = described.as_ref().map(|described| choose(described, &demand, url)).transpose();
    let chosen = chosen.map_err(Failure::Other)?;
    let (mut session, described) = (session?, described.unwrap_or_default());
    let chosen = chosen.unwrap_or_default();
    if demand.packets.is_some() {
        for left_out in &described.left_out {
            let (what, why) = (url.scrub(&left_out.what), left_out.why);
            warn!("{url}: going on without its {what}: {why}");
        }
    }
    for &track in &chosen.tracks {
        let set_up = step.wait("SETUP", session.setup(track, SetupOptions::default())).await;
        match set_up {
            // A camera that refuses its sound still has its picture.
            Err(failure) if chosen.video.is_some_and(|video| video != track) => {
                let codec = described.tracks[track].format.codec().name();
                let why = match failure {
                    Failure::Other(error) => format!("{error:#}"),
                    Failure::Transport => format!("{url} refuses transport {transport} for it (461)"),
                };
                warn!("{why}; going on without its {codec}");
            }
            set_up => set_up?,
        }
    }
    let play = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Ignore);
    let session = step.wait("PLAY", session.play(play)).await?;
    let codecs: Vec<_> =
        chosen.tracks.iter().map(|&track| described.tracks[track].format.codec().name()).collect();
    info!(%url, %transport, codecs = codecs.join(" "), "camera plays");
    let pictures = chosen.decoded.map(|codec| Pictures { codec, units });
    Ok(Playing::new(session, step.relay, transport, settings.clone(), progress, pictures))
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

/// The tracks of a session.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chosen {
    /// Their numbers, in the order in which they are set up.
    tracks: Vec<usize>,
    /// The number of the video among them.
    video: Option<usize>,
    /// The codec of the video, if it is decoded.
    decoded: Option<Codec>,
}

/// Chooses one track of video: for pictures the first of H.264, otherwise the first of JPEG. For access units all tracks of
/// sound and metadata as well, and video of any codec.
fn choose(described: &Description, demand: &Demand<'_>, url: &CameraUrl) -> Result<Chosen> {
    let codecs = || described.tracks.iter().map(|track| track.format.codec());
    let first = |codec| codecs().position(|other| other == codec);
    let decodable = DECODABLE.into_iter().find_map(|codec| Some((first(codec)?, codec)));
    let (mut video, mut decoded) = (None, None);
    if demand.pictures {
        (video, decoded) = decodable.unzip();
    }
    if demand.packets.is_some() {
        video = video.or_else(|| codecs().position(|codec| codec.kind() == Kind::Video));
    }
    if demand.pictures && decoded.is_none() {
        let offered = offered(described, url)?;
        if demand.packets.is_none() {
            return Err(refused(anyhow!(
                "{url} offers {offered}, which this program cannot decode; set the camera's stream to H.264 (baseline, main \
                 or high profile, 8 bit 4:2:0, progressive), or use --packet-topic without -pt to publish H.265 and sound \
                 undecoded"
            )));
        }
        warn!(
            "{url} offers {offered}, of which this program cannot make pictures: -pt gets none, --packet-topic gets all; \
             set the camera's stream to H.264 for pictures"
        );
    }
    let others =
        codecs().enumerate().filter(|(_, codec)| demand.packets.is_some() && codec.kind() != Kind::Video);
    let tracks: Vec<usize> = video.into_iter().chain(others.map(|(track, _)| track)).collect();
    if tracks.is_empty() {
        let offered = offered(described, url)?;
        return Err(refused(anyhow!("{url} offers {offered}, which this program cannot read")));
    }
    Ok(Chosen { tracks, video, decoded })
}

/// What the camera offers, as text.
fn offered(described: &Description, url: &CameraUrl) -> Result<String> {
    let readable = described.tracks.iter().map(|track| {
        let codec = track.format.codec();
        format!("{} {}", codec.kind().name(), codec.name().to_uppercase())
    });
    let offered: Vec<String> =
        readable.chain(described.left_out.iter().map(|track| track.what.clone())).collect();
    if offered.is_empty() {
        return Err(refused(anyhow!("{url} offers no stream; check the path of the URL")));
    }
    Ok(url.scrub(&offered.join(", ")))
}

#[cfg(test)]
mod tests;
