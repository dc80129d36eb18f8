//! A client's connection: its requests, and the packets it receives.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use msight_listener::{Client, Work};
use rtsp_types::headers::{
    ACCEPT, CONTENT_BASE, CONTENT_TYPE, CSEQ, PUBLIC, RANGE, REQUIRE, RTP_INFO, SERVER, SESSION, TRANSPORT,
    UNSUPPORTED,
};
use rtsp_types::{Message, Method, Request, Response, ResponseBuilder, StatusCode, Url, Version};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::delivery::{Delivery, bind_pair, write};
use super::feed::{CapturedUnit, Viewer};
use super::rtp::{self, Packets};
use super::rtsp::{self, Input, Sdp, TRACK, Transport};
use super::stream::Stream;

/// How long a playing client may send nothing over RTSP or RTCP. A client over TCP is alive as long as it reads.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a connection may be open without playing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The time between sender reports (RFC 3550, section 6.2: at least 5 s).
const REPORT_PERIOD: Duration = Duration::from_secs(5);

/// A client's connection and its session.
pub(super) struct Connection {
    tcp: TcpStream,
    client: Client,
    stream: Arc<Stream>,
    input: Vec<u8>,
    session: Option<Session>,
    last_heard: Instant,
}

/// The session, from SETUP on.
struct Session {
    id: String,
    delivery: Delivery,
    sender: rtp::Sender,
    /// The RTP timestamp of the stream's start.
    base: u32,
    packets: Packets,
    /// Set by PLAY.
    playing: Option<Playing>,
    next_report: Instant,
}

/// A stream that a client gets, for which it keeps its place.
struct Playing {
    viewer: Viewer,
    _work: Work,
}

/// An event that a connection waits for.
enum Event {
    Read(io::Result<usize>),
    Unit(Arc<CapturedUnit>),
    Report,
    HeardRtcp,
    Silent,
    Evicted,
    Stop,
}

impl Connection {
    pub(super) fn new(tcp: TcpStream, client: Client, stream: Arc<Stream>) -> Self {
        Self { tcp, client, stream, input: Vec::new(), session: None, last_heard: Instant::now() }
    }

    /// Serves the client until it disconnects, fails or times out, or the camera stops.
    pub(super) async fn serve(mut self, stop: CancellationToken) -> io::Result<()> {
        // Send packets immediately: delay matters more than efficiency.
        self.tcp.set_nodelay(true)?;
        loop {
            match self.event(&stop).await {
                Event::Read(read) => {
                    if read? == 0 || !self.answer_all().await? {
                        return Ok(());
                    }
                }
                Event::Unit(unit) => self.send_unit(&unit).await?,
                Event::Report => self.send_report().await?,
                Event::HeardRtcp => self.last_heard = Instant::now(),
                Event::Silent => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "time-out: no request or report"));
                }
                Event::Evicted => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "ended for a newer one"));
                }
                Event::Stop => return self.send_bye().await,
            }
        }
    }

    async fn event(&mut self, stop: &CancellationToken) -> Event {
        let Self { tcp, client, input, session, last_heard, .. } = self;
        let playing = session.as_ref().filter(|session| session.playing.is_some());
        let time_limit = match playing.map(|session| &session.delivery) {
            Some(Delivery::Interleaved { .. }) => None,
            Some(Delivery::Udp { .. }) => Some(SESSION_TIMEOUT),
            None => Some(IDLE_TIMEOUT),
        };
        tokio::select! {
            () = stop.cancelled() => Event::Stop,
            () = client.evicted() => Event::Evicted,
            read = tcp.read_buf(input) => Event::Read(read),
            unit = next_unit(playing) => Event::Unit(unit),
            () = report_due(playing) => Event::Report,
            () = heard_rtcp(playing) => Event::HeardRtcp,
            () = wait_until(time_limit.map(|time_limit| *last_heard + time_limit)) => Event::Silent,
        }
    }

    /// Answers every complete request; `false` closes the connection.
    async fn answer_all(&mut self) -> io::Result<bool> {
        loop {
            let (response, keep_open) = match rtsp::parse(&self.input) {
                Input::Incomplete => return Ok(true),
                Input::TooLong => (refusal(StatusCode::RequestMessageBodyTooLarge), false),
                Input::Malformed => (refusal(StatusCode::BadRequest), false),
                Input::Message(message, length) => {
                    self.input.drain(..length);
                    self.last_heard = Instant::now();
                    match message {
                        Message::Request(request) => (self.answer(&request).await, true),
                        // RTCP of the client, and responses to requests that were never sent.
                        Message::Data(_) | Message::Response(_) => continue,
                    }
                }
            };
            let mut text = Vec::new();
            Message::Response(response).write(&mut text).map_err(io::Error::other)?;
            write(&mut self.tcp, &text).await?;
            if !keep_open {
                return Ok(false);
            }
        }
    }

    async fn answer(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let header = |name| request.header(&name).map(|value| value.as_str());
        // Only a number is echoed: the header of a hostile client could contain anything.
        let Some(sequence) = header(CSEQ).and_then(|cseq| cseq.trim().parse::<u32>().ok()) else {
            return refusal(StatusCode::BadRequest);
        };
        let respond = |status| response(status).header(CSEQ, sequence.to_string());
        if request.version() != Version::V1_0 {
            return respond(StatusCode::RTSPVersionNotSupported).build(Vec::new());
        }
        if header(REQUIRE).is_some() {
            return respond(StatusCode::OptionNotSupported).header(UNSUPPORTED, "all").build(Vec::new());
        }
        let result = match self.check(request.method(), request.request_uri(), header(SESSION)) {
            Ok(()) => self.perform(request, &respond).await,
            Err(status) => Err(status),
        };
        result.unwrap_or_else(|status| respond(status).build(Vec::new()))
    }

    /// Checks that the request names the existing stream and session.
    fn check(&self, method: &Method, url: Option<&Url>, session: Option<&str>) -> Result<(), StatusCode> {
        let needs_stream = matches!(method, Method::Describe | Method::Setup | Method::Play | Method::Pause);
        if needs_stream && !url.is_some_and(|url| rtsp::names(url, &self.stream.path)) {
            return Err(StatusCode::NotFound);
        }
        let own = self.session.as_ref().map(|session| session.id.as_str());
        let asked = session.map(|session| session.split(';').next().unwrap_or_default().trim());
        match method {
            Method::Play | Method::Pause | Method::Teardown if own.is_none() || asked != own => {
                Err(StatusCode::SessionNotFound)
            }
            _ if asked.is_some() && asked != own => Err(StatusCode::SessionNotFound),
            _ => Ok(()),
        }
    }

    async fn perform(
        &mut self,
        request: &Request<Vec<u8>>,
        respond: &impl Fn(StatusCode) -> ResponseBuilder,
    ) -> Result<Response<Vec<u8>>, StatusCode> {
        let ok = respond(StatusCode::Ok);
        let base = request.request_uri().map(rtsp::base).unwrap_or_default();
        let response = match request.method() {
            Method::Options => ok.header(
                PUBLIC,
                "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN",
            ),
            Method::Describe => {
                let takes = |types: &str| types.contains("application/sdp") || types.contains("*/*");
                if request.header(&ACCEPT).is_some_and(|accept| !takes(accept.as_str())) {
                    return Err(StatusCode::NotAcceptable);
                }
                let local = self.tcp.local_addr().map_err(|_| StatusCode::InternalServerError)?.ip();
                let sdp = self.describe(local).to_string();
                return Ok(ok
                    .header(CONTENT_BASE, base)
                    .header(CONTENT_TYPE, "application/sdp")
                    .build(sdp.into_bytes()));
            }
            Method::Setup => {
                let transport =
                    request.header(&TRANSPORT).and_then(|header| Transport::choose(header.as_str()));
                let (session, transport) =
                    self.set_up(transport.ok_or(StatusCode::UnsupportedTransport)?).await?;
                let timeout = SESSION_TIMEOUT.as_secs();
                let response = ok
                    .header(TRANSPORT, transport)
                    .header(SESSION, format!("{};timeout={timeout}", session.id));
                self.session = Some(session);
                response
            }
            Method::Play => {
                let session = self.session.as_mut().ok_or(StatusCode::SessionNotFound)?;
                let now = rtp::timestamp(session.base, self.stream.began.elapsed());
                let sequence = session.sender.sequence;
                if session.playing.is_none() {
                    let viewer = self.stream.feed.watch();
                    session.playing = Some(Playing { viewer, _work: self.client.work() });
                    session.next_report = Instant::now();
                }
                ok.header(SESSION, session.id.as_str())
                    .header(RANGE, "npt=now-")
                    .header(RTP_INFO, format!("url={base}{TRACK};seq={sequence};rtptime={now}"))
            }
            Method::Pause => {
                let session = self.session.as_mut().ok_or(StatusCode::SessionNotFound)?;
                session.playing = None;
                ok.header(SESSION, session.id.as_str())
            }
            Method::Teardown => {
                self.session = None;
                ok
            }
            // An empty request keeps the session alive. There are no parameters.
            Method::GetParameter | Method::SetParameter if request.body().is_empty() => match &self.session {
                Some(session) => ok.header(SESSION, session.id.as_str()),
                None => ok,
            },
            Method::GetParameter | Method::SetParameter => return Err(StatusCode::ParameterNotUnderstood),
            _ => return Err(StatusCode::NotImplemented),
        };
        Ok(response.build(Vec::new()))
    }

    fn describe(&self, local: IpAddr) -> Sdp<'_> {
        let Stream { origin, fps, bitrate, parameter_sets, .. } = &*self.stream;
        Sdp { local, origin: *origin, fps: *fps, bitrate: *bitrate, parameter_sets }
    }

    /// Makes a session and the `Transport` header of the answer. SETUP replaces a session unless it plays (RFC 2326,
    /// section 10.4).
    async fn set_up(&self, transport: Transport) -> Result<(Session, String), StatusCode> {
        if self.session.as_ref().is_some_and(|session| session.playing.is_some()) {
            return Err(StatusCode::MethodNotValidInThisState);
        }
        let sender = rtp::Sender::new();
        let ssrc = sender.ssrc;
        let (delivery, transport) = match transport {
            Transport::Interleaved(rtp, rtcp) => (
                Delivery::Interleaved { rtp, rtcp },
                format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};ssrc={ssrc:08X}"),
            ),
            Transport::Udp(rtp, rtcp) => {
                let sockets = async {
                    let (local, client) = (self.tcp.local_addr()?.ip(), self.tcp.peer_addr()?.ip());
                    bind_pair(local, SocketAddr::new(client, rtp), SocketAddr::new(client, rtcp)).await
                };
                let (socket, control, port) = sockets.await.map_err(|error| {
                    tracing::warn!(%error, "camera has no free pair of UDP ports");
                    StatusCode::ServiceUnavailable
                })?;
                (
                    Delivery::Udp { rtp: socket, rtcp: control },
                    format!(
                        "RTP/AVP;unicast;client_port={rtp}-{rtcp};server_port={port}-{};ssrc={ssrc:08X}",
                        port + 1
                    ),
                )
            }
        };
        let session = Session {
            id: format!("{:016x}", fastrand::u64(..)),
            delivery,
            sender,
            base: fastrand::u32(..),
            packets: Packets::default(),
            playing: None,
            next_report: Instant::now(),
        };
        Ok((session, transport))
    }

    async fn send_unit(&mut self, unit: &CapturedUnit) -> io::Result<()> {
        // The client should know the capture time of the first picture.
        if self.session.as_ref().is_some_and(|session| session.next_report <= Instant::now()) {
            self.send_report().await?;
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        let time = rtp::timestamp(session.base, unit.captured.duration_since(self.stream.began));
        session.packets.restart(session.delivery.rtp_channel());
        session.sender.packetize(&unit.nals, time, &mut session.packets);
        session.delivery.send_media(&mut self.tcp, &session.packets).await?;
        self.stream.feed.count_sent();
        Ok(())
    }

    /// Tells the client the wall clock time of the current timestamp.
    async fn send_report(&mut self) -> io::Result<()> {
        let began = self.stream.began;
        self.send_control(|session| {
            session.next_report = Instant::now() + REPORT_PERIOD;
            let now = rtp::timestamp(session.base, began.elapsed());
            session.sender.report(SystemTime::now(), now, &mut session.packets);
        })
        .await
    }

    async fn send_bye(&mut self) -> io::Result<()> {
        self.send_control(|session| session.sender.bye(&mut session.packets)).await
    }

    async fn send_control(&mut self, make: impl FnOnce(&mut Session)) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        session.packets.restart(session.delivery.rtcp_channel());
        make(session);
        session.delivery.send_control(&mut self.tcp, &session.packets).await
    }
}

fn response(status: StatusCode) -> ResponseBuilder {
    Response::builder(Version::V1_0, status).header(SERVER, concat!("msight/", env!("CARGO_PKG_VERSION")))
}

/// A response without a sequence number, for requests that cannot be parsed.
pub(super) fn refusal(status: StatusCode) -> Response<Vec<u8>> {
    response(status).build(Vec::new())
}

async fn next_unit(playing: Option<&Session>) -> Arc<CapturedUnit> {
    match playing.and_then(|session| session.playing.as_ref()) {
        Some(playing) => playing.viewer.next().await,
        None => std::future::pending().await,
    }
}

async fn report_due(playing: Option<&Session>) {
    wait_until(playing.map(|session| session.next_report)).await;
}

async fn heard_rtcp(playing: Option<&Session>) {
    match playing {
        Some(session) => session.delivery.heard_rtcp().await,
        None => std::future::pending().await,
    }
}

async fn wait_until(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
