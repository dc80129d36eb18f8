//! The link between the RTSP client and a camera: one connection on each side.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use msight_rtp::sdp::Description;
use tracing::debug;
use url::Url;

use super::canonical;
use super::connection::{Connection, ConnectionError, Received};
use super::dial::Dialed;
use super::headers::{self, resolve};
use super::login::Login;
use super::message::{Message, Start};
use super::streams::{Outputs, Streams};
use super::udp::{Sender, Sockets};
use crate::settings::{Settings, Transport};

/// Maximum number of unanswered requests.
const MAX_PENDING: usize = 4;

/// Maximum number of the camera's own requests that are answered in a session. Cameras send a keepalive a minute at most.
const MAX_ANSWERED: u32 = 10_000;

/// Maximum number of redirections that are followed.
const MAX_REDIRECTS: u32 = 3;

/// The session's time-out, unless the camera states one (RFC 2326, section 12.37).
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

const UNAUTHORIZED: u16 = 401;

fn describe(url: &Url) -> Message {
    Message::request("DESCRIBE", url.as_str()).with("Accept", "application/sdp")
}

/// What both sides of the relay know.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) failure: OnceLock<String>,
    pub(super) description: OnceLock<Description>,
}

/// What a request to the camera is for.
#[derive(Debug)]
enum Purpose {
    Describe,
    /// Of the track with this number, for the client's channels, over UDP to these sockets.
    SetUp {
        track: usize,
        channels: (u8, u8),
        sockets: Option<Sockets>,
    },
    Play,
    /// A keepalive or a TEARDOWN, whose answer the client does not get.
    Aside,
}

/// A request that was sent to the camera.
#[derive(Debug)]
struct Pending {
    request: Message,
    purpose: Purpose,
    /// `CSeq` of the client's request.
    client_sequence: String,
    /// `CSeq` of the request to the camera.
    sequence: u32,
}

pub(super) struct Link {
    camera: Connection,
    transport: Transport,
    /// The relay's own URL.
    address: Url,
    local: SocketAddr,
    peer: SocketAddr,
    login: Login,
    pending: VecDeque<Pending>,
    next_sequence: u32,
    /// The session that the camera has opened.
    session: Option<headers::Session>,
    /// The URL of the description: the user's, or where the camera redirects to.
    base: Url,
    redirects: u32,
    /// The URL of all tracks together.
    presentation: Url,
    /// The URLs of the tracks.
    tracks: Vec<Url>,
    /// The camera has named `GET_PARAMETER` among its methods.
    takes_get_parameter: bool,
    plays: bool,
    /// Requests of the camera that were answered.
    answered: u32,
    streams: Streams,
    shared: Arc<Shared>,
}

impl Link {
    /// A link to the camera, for the client at `address`.
    pub(super) fn new(
        dialed: Dialed,
        settings: &Settings,
        transport: Transport,
        outputs: Outputs,
        address: Url,
        shared: Arc<Shared>,
    ) -> Self {
        let Dialed { connection, local, peer } = dialed;
        Self {
            camera: connection,
            transport,
            address,
            local,
            peer,
            login: Login::new(settings.url.credentials()),
            pending: VecDeque::new(),
            next_sequence: 1,
            session: None,
            base: settings.url.bare().clone(),
            redirects: 0,
            presentation: settings.url.bare().clone(),
            tracks: Vec::new(),
            takes_get_parameter: false,
            plays: false,
            answered: 0,
            streams: Streams::new(outputs, settings.clone()),
            shared,
        }
    }

    /// Hands on what still waits, at the end of the session.
    pub(super) fn finish(&mut self) {
        self.streams.finish();
    }

    /// Runs until one side ends the connection. When the client ends it, the camera gets a TEARDOWN, because over UDP it
    /// would continue to send until its session times out.
    pub(super) async fn run(
        &mut self,
        mut client: Connection,
        first: Message,
    ) -> Result<(), ConnectionError> {
        self.request(first, &mut client).await?;
        loop {
            tokio::select! {
                received = client.read() => match received {
                    Ok(Some(Received::Message(request))) => self.request(request, &mut client).await?,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return self.tear_down().await,
                },
                received = self.camera.read() => match received? {
                    Some(Received::Message(message)) => {
                        if let Some(answer) = self.message(message).await?
                            && client.write(&answer).await.is_err()
                        {
                            return self.tear_down().await;
                        }
                    }
                    // Frames before PLAY belong to a session that the camera has not ended.
                    Some(Received::Frames(frames)) if self.plays => self.streams.frames(&frames)?,
                    Some(Received::Frames(_)) => {}
                    Some(Received::Stray) => self.streams.stray_bytes(),
                    None => return Ok(()),
                },
                () = self.streams.datagrams_wait() => self.streams.datagrams()?,
            }
        }
    }

    /// Makes the camera's request of one of the client.
    async fn request(&mut self, request: Message, client: &mut Connection) -> Result<(), ConnectionError> {
        let Start::Request { method, uri } = &request.start else { return Ok(()) };
        let client_sequence = request.headers.get("CSeq").unwrap_or_default().to_owned();
        let (message, purpose) = match method.as_str() {
            "DESCRIBE" => (describe(&self.base), Purpose::Describe),
            "SETUP" => self.set_up(&request, uri).await?,
            "PLAY" => {
                self.plays = true;
                (
                    Message::request("PLAY", self.presentation.as_str()).with("Range", "npt=0.000-"),
                    Purpose::Play,
                )
            }
            // A keepalive. Some cameras never answer them, so the client has its answer at once.
            _ => {
                let answer = canonical::done().with("CSeq", client_sequence);
                if client.write(&answer).await.is_err() {
                    return self.tear_down().await;
                }
                self.pending.retain(|pending| !matches!(pending.purpose, Purpose::Aside));
                let method = if self.takes_get_parameter { "GET_PARAMETER" } else { "OPTIONS" };
                let message = Message::request(method, self.presentation.as_str());
                return self.send(message, Purpose::Aside, String::new()).await;
            }
        };
        self.send(message, purpose, client_sequence).await
    }

    async fn set_up(&self, request: &Message, uri: &str) -> Result<(Message, Purpose), ConnectionError> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let track = uri.rsplit('/').next().and_then(|number| number.parse().ok()).ok_or_else(invalid)?;
        let url: &Url = self.tracks.get(track).ok_or_else(invalid)?;
        let asked = headers::Transport::parse(request.headers.get("Transport").unwrap_or_default());
        let channels @ (rtp, rtcp) = asked.interleaved.ok_or_else(invalid)?;
        let (transport, sockets) = match self.transport {
            Transport::Tcp => (format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}"), None),
            Transport::Udp => {
                let sockets = Sockets::bind(self.local).await?;
                let port = sockets.port;
                (format!("RTP/AVP;unicast;client_port={port}-{}", port + 1), Some(sockets))
            }
        };
        let message = Message::request("SETUP", url.as_str()).with("Transport", transport);
        Ok((message, Purpose::SetUp { track, channels, sockets }))
    }

    /// Sends a request with the next number, and with credentials if the camera has requested them.
    async fn send(
        &mut self,
        request: Message,
        purpose: Purpose,
        client_sequence: String,
    ) -> Result<(), ConnectionError> {
        if self.pending.len() >= MAX_PENDING {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the camera does not respond to requests");
            return Err(error.into());
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let Start::Request { method, uri } = &request.start else { return Ok(()) };
        let authorization = self.login.authorization(method, uri);
        let mut message = Message::request(method, uri)
            .with("CSeq", sequence.to_string())
            .with("User-Agent", concat!("msight_launch_rtsp/", env!("CARGO_PKG_VERSION")));
        if let Some(session) = &self.session {
            message = message.with("Session", &session.id);
        }
        if let Some(authorization) = authorization {
            message = message.with("Authorization", authorization);
        }
        for (name, value) in request.headers.iter() {
            message = message.with(name, value);
        }
        self.pending.push_back(Pending { request, purpose, client_sequence, sequence });
        self.camera.write(&message).await
    }

    /// Takes a message of the camera. Returns what the client gets.
    async fn message(&mut self, message: Message) -> Result<Option<Message>, ConnectionError> {
        let status = match &message.start {
            Start::Response { status, .. } => *status,
            Start::Request { .. } if self.answered >= MAX_ANSWERED => return Ok(None),
            Start::Request { method, .. } => {
                self.answered += 1;
                // As ffmpeg answers it.
                let (status, reason) =
                    if method == "OPTIONS" { (200, "OK") } else { (501, "Not Implemented") };
                let sequence = message.headers.get("CSeq").unwrap_or_default();
                self.camera.write(&Message::response(status, reason).with("CSeq", sequence)).await?;
                return Ok(None);
            }
        };
        let Some(pending) = self.take_pending(&message) else {
            debug!("response dropped: it matches no request");
            return Ok(None);
        };
        if status != UNAUTHORIZED {
            self.login.accepted();
        } else if self.login.challenge(message.headers.all("WWW-Authenticate")) {
            self.send(pending.request, pending.purpose, pending.client_sequence).await?;
            return Ok(None);
        }
        if let (Purpose::Describe, Some(url)) = (&pending.purpose, self.redirection(status, &message)) {
            self.base = url;
            let request = describe(&self.base);
            self.send(request, Purpose::Describe, pending.client_sequence).await?;
            return Ok(None);
        }
        let is_success = (200..300).contains(&status);
        let answer = match (pending.purpose, is_success) {
            (Purpose::Aside, _) => {
                self.takes_get_parameter |= message
                    .headers
                    .all("Public")
                    .any(|methods| methods.to_ascii_uppercase().contains("GET_PARAMETER"));
                return Ok(None);
            }
            (_, false) => Message::response(status, "Refused"),
            (Purpose::Describe, true) => self.described(&message),
            (Purpose::SetUp { track, channels, sockets }, true) => {
                self.set_up_done(&message, track, channels, sockets)?
            }
            (Purpose::Play, true) => canonical::done(),
        };
        Ok(Some(answer.with("CSeq", pending.client_sequence)))
    }

    /// Finds the request for a response by its number. If only one is pending, it matches any number, because some
    /// cameras send a wrong one.
    fn take_pending(&mut self, response: &Message) -> Option<Pending> {
        let number = response.headers.get("CSeq").and_then(headers::sequence);
        let index = self.pending.iter().position(|pending| Some(pending.sequence) == number);
        let index = index.or((self.pending.len() == 1).then_some(0))?;
        self.pending.remove(index)
    }

    /// Where the camera redirects to, if that is another path of its own: another host could be any.
    fn redirection(&mut self, status: u16, response: &Message) -> Option<Url> {
        let location = response.headers.get("Location").filter(|_| (300..400).contains(&status))?;
        let url = self.base.join(location).ok()?;
        let is_own = (url.scheme(), url.host(), url.port())
            == (self.base.scheme(), self.base.host(), self.base.port());
        self.redirects += 1;
        (is_own && self.redirects <= MAX_REDIRECTS).then_some(url)
    }

    /// Reads the camera's description.
    fn described(&mut self, response: &Message) -> Message {
        let description = Description::parse(&response.body);
        let base = response.headers.get("Content-Base").or(response.headers.get("Content-Location"));
        let url = &self.base;
        let session = description.control.as_deref();
        self.presentation = resolve(url, base, session, None);
        let control = |control: &Option<String>| resolve(url, base, session, control.as_deref());
        self.tracks = description.tracks.iter().map(|track| control(&track.control)).collect();
        let answer = canonical::description(&self.address, &description.tracks);
        let _ = self.shared.description.set(description);
        answer
    }

    /// Opens a track that the camera has set up.
    fn set_up_done(
        &mut self,
        response: &Message,
        track: usize,
        channels: (u8, u8),
        sockets: Option<Sockets>,
    ) -> Result<Message, ConnectionError> {
        if self.session.is_none() {
            self.session = response.headers.get("Session").and_then(headers::Session::parse);
        }
        let transport = headers::Transport::parse(response.headers.get("Transport").unwrap_or_default());
        let described = self.shared.description.get().and_then(|description| description.tracks.get(track));
        let Some(described) = described else { return Ok(canonical::done()) };
        match sockets {
            None => {
                self.streams.open_tcp(described, transport.interleaved.unwrap_or(channels));
                self.camera.expect_channels(self.streams.channels());
            }
            Some(sockets) => {
                let sender = Sender::new(&transport, self.peer.ip()).map_err(io::Error::other)?;
                self.streams.open_udp(described, sockets, sender)?;
            }
        }
        let timeout = self.session.as_ref().and_then(|session| session.timeout).unwrap_or(SESSION_TIMEOUT);
        Ok(canonical::set_up(channels, timeout.as_secs().max(1)))
    }

    /// Sends a TEARDOWN if the camera plays. It does not wait for the response, because the connection ends next.
    async fn tear_down(&mut self) -> Result<(), ConnectionError> {
        if !std::mem::take(&mut self.plays) {
            return Ok(());
        }
        self.pending.clear();
        let request = Message::request("TEARDOWN", self.presentation.as_str());
        self.send(request, Purpose::Aside, String::new()).await
    }
}
