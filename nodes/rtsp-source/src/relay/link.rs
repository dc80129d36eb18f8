//! The relay between retina and a camera: one connection on each side.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rtsp_types::headers::{
    AUTHORIZATION, CONTENT_BASE, CONTENT_LOCATION, CSEQ, HeaderName, SESSION, TRANSPORT, USER_AGENT,
    WWW_AUTHENTICATE,
};
use rtsp_types::{Message, Method, Request, Response, StatusCode, Version};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug};
use url::{Host, Url};

use super::control::{Control, ControlError, Received};
use super::login::Login;
use super::udp::{Media, RTCP_CHANNEL, RTP_CHANNEL, Sender, Sockets};
use crate::counts::Counts;
use crate::settings::Transport;
use crate::url::CameraUrl;

/// Time-out for the client to connect over the loopback and to send its first request.
const LOOPBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests without an answer; more than one only when a session ends while a keepalive is on its way.
const MOST_PENDING: usize = 4;

/// Maximum number of bytes that the client gets without completing a frame, because it keeps them in memory. The largest
/// key frames of a good 4K camera have two megabytes.
const MOST_UNFINISHED: usize = 32 << 20;

/// The most streams in a camera's description: the client reads it anew for each.
const MOST_STREAMS: usize = 32;

/// An RTSP server on the loopback that offers the camera's stream to one client, and ends with it.
pub(crate) struct Relay {
    url: Url,
    failure: Arc<OnceLock<String>>,
    unfinished: Arc<AtomicUsize>,
}

impl Relay {
    /// Connects to the camera, to ask it for its stream over this transport. The work is one of `relays`.
    ///
    /// # Errors
    /// Those of the connection, and of opening a port on the loopback.
    pub(crate) async fn open(
        camera: &CameraUrl,
        transport: Transport,
        counts: Arc<Counts>,
        relays: &TaskTracker,
    ) -> io::Result<Self> {
        let url = camera.bare();
        let port = url.port().unwrap_or(554);
        let tcp = match url.host() {
            Some(Host::Domain(name)) => TcpStream::connect((name, port)).await?,
            Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await?,
            Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await?,
            None => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let (local, peer) = (tcp.local_addr()?, tcp.peer_addr()?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = address(&listener)?;
        let (failure, unfinished) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
        let mut link = Link {
            camera: Control::new(tcp)?,
            transport,
            unfinished: unfinished.clone(),
            url: camera.clone(),
            address: url.clone(),
            local,
            peer,
            login: Login::new(camera.credentials()),
            pending: VecDeque::new(),
            next_sequence: 1,
            ports: None,
            media: None,
            play: None,
            counts,
        };
        let told = failure.clone();
        let work = async move {
            let outcome = link.run(listener).await;
            debug!(?outcome, "the relay ended");
            if let Err(error) = outcome {
                // Before the connections are closed, which is what the client notices.
                let _ = told.set(error.to_string());
            }
            drop(link);
        };
        relays.spawn(work.in_current_span());
        Ok(Self { url, failure, unfinished })
    }

    /// The client has made a frame of what it got.
    pub(crate) fn frame_came_out(&self) {
        self.unfinished.store(0, Ordering::Relaxed);
    }

    /// What the client is to ask for, over TCP and without credentials.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Why the relay has ended, where the client cannot know.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}

/// An address with a random token, by which the relay recognises its own client.
fn address(listener: &TcpListener) -> io::Result<Url> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(io::Error::other)?;
    let text = format!("rtsp://{}/{:032x}", listener.local_addr()?, u128::from_be_bytes(token));
    Url::parse(&text).map_err(io::Error::other)
}

/// A request that was sent on to the camera.
struct Pending {
    request: Request<Vec<u8>>,
    /// What the client numbered it, and what it was numbered for the camera.
    client_sequence: String,
    sequence: u32,
    /// Has been sent with an answer to the camera's challenge.
    repeated: bool,
}

struct Link {
    camera: Control,
    transport: Transport,
    /// Bytes that the client got since it last made a frame of them.
    unfinished: Arc<AtomicUsize>,
    url: CameraUrl,
    /// Our own, in whose place the camera's is asked for.
    address: Url,
    local: SocketAddr,
    peer: SocketAddr,
    login: Login,
    pending: VecDeque<Pending>,
    next_sequence: u32,
    /// From SETUP to its answer.
    ports: Option<Sockets>,
    media: Option<Media>,
    /// The request that made it play, once answered.
    play: Option<Request<Vec<u8>>>,
    counts: Arc<Counts>,
}

impl Link {
    /// Until one side ends the conversation. However the client ends it, with what it has not read yet or without,
    /// the camera is told: over UDP it would send on until its session times out.
    async fn run(&mut self, listener: TcpListener) -> Result<(), ControlError> {
        let (mut client, first) = self.accept(&listener).await?;
        drop(listener);
        self.ask(first).await?;
        let mut frames = Vec::new();
        loop {
            tokio::select! {
                received = client.read() => match received {
                    Ok(Some(Received::Message(Message::Request(request)))) => self.ask(request).await?,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return self.tear_down().await,
                },
                received = self.camera.read() => match received? {
                    Some(Received::Message(Message::Response(response))) => {
                        if let Some(response) = self.answer(response).await?
                            && client.write(&Message::Response(response)).await.is_err()
                        {
                            return self.tear_down().await;
                        }
                    }
                    // The client drops what comes before its answer to PLAY.
                    Some(Received::Frames(frames)) if self.transport == Transport::Tcp && self.play.is_some() => {
                        if self.hand_on(&mut client, &frames).await?.is_break() {
                            return self.tear_down().await;
                        }
                    }
                    // Packets by TCP that were not asked for; requests of a camera, which need no answer.
                    Some(_) => {}
                    None => return Ok(()),
                },
                // As over TCP: packets wait in the sockets until the client has its answer to PLAY.
                received = next(&mut self.media, &mut frames), if self.play.is_some() => {
                    received?;
                    if !frames.is_empty() {
                        if self.hand_on(&mut client, &frames).await?.is_break() {
                            return self.tear_down().await;
                        }
                        frames.clear();
                    }
                }
            }
        }
    }

    /// Breaks when the client is gone.
    async fn hand_on(&self, client: &mut Control, frames: &[u8]) -> Result<ControlFlow<()>, ControlError> {
        let before = self.unfinished.fetch_add(frames.len(), Ordering::Relaxed);
        if before + frames.len() > MOST_UNFINISHED {
            let what = format!("it has sent {} MB that make no frame", MOST_UNFINISHED >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what).into());
        }
        Ok(match client.write_frames(frames).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    }

    /// The one client, with its first request.
    async fn accept(&self, listener: &TcpListener) -> Result<(Control, Request<Vec<u8>>), ControlError> {
        loop {
            let (tcp, _) = timeout(LOOPBACK_TIMEOUT, listener.accept()).await.map_err(io::Error::from)??;
            let mut client = Control::new(tcp)?;
            match timeout(LOOPBACK_TIMEOUT, client.read()).await {
                Ok(Ok(Some(Received::Message(Message::Request(request)))))
                    if request.request_uri() == Some(&self.address) =>
                {
                    return Ok((client, request));
                }
                _ => debug!("connection to the loopback port refused: not from retina"),
            }
        }
    }

    /// Sends a request of the client's on to the camera.
    async fn ask(&mut self, mut request: Request<Vec<u8>>) -> Result<(), ControlError> {
        if self.pending.len() >= MOST_PENDING {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer requests").into());
        }
        if request.request_uri() == Some(&self.address) {
            request.set_request_uri(Some(self.url.bare().clone()));
        }
        if *request.method() == Method::Setup && self.transport == Transport::Udp {
            let ports = Sockets::bind(self.local).await?;
            let port = ports.port;
            request.insert_header(TRANSPORT, format!("RTP/AVP;unicast;client_port={port}-{}", port + 1));
            self.ports = Some(ports);
        }
        let client_sequence = header(&request, &CSEQ);
        let sent = Pending { request, client_sequence, sequence: 0, repeated: false };
        self.send(sent).await
    }

    /// Sends a request under the next number, with an answer to the camera's challenge if there was one.
    async fn send(&mut self, mut sent: Pending) -> Result<(), ControlError> {
        sent.sequence = self.next_sequence;
        self.next_sequence += 1;
        sent.request.insert_header(CSEQ, sent.sequence.to_string());
        let uri = sent.request.request_uri().map_or("*", Url::as_str);
        let method: &str = sent.request.method().into();
        if let Some(authorization) = self.login.authorization(method, uri) {
            sent.request.insert_header(AUTHORIZATION, authorization);
        }
        let message = Message::Request(sent.request.clone());
        self.pending.push_back(sent);
        self.camera.write(&message).await
    }

    /// What the client is to get for an answer of the camera's; nothing when the camera is asked once more instead.
    async fn answer(
        &mut self,
        mut response: Response<Vec<u8>>,
    ) -> Result<Option<Response<Vec<u8>>>, ControlError> {
        let Some(mut asked) = self.take_pending(&response) else {
            debug!("response dropped: it matches no request");
            return Ok(None);
        };
        // A nonce may have ended in mid-session. A second refusal of one request is one of the password.
        if response.status() == StatusCode::Unauthorized
            && !asked.repeated
            && let Some(challenge) = response.header(&WWW_AUTHENTICATE)
            && self.login.challenge(challenge.as_str())
        {
            asked.repeated = true;
            self.send(asked).await?;
            return Ok(None);
        }
        response.insert_header(CSEQ, asked.client_sequence);
        if !response.status().is_success() {
            return Ok(Some(response));
        }
        match asked.request.method() {
            Method::Describe => response = self.describe(response)?,
            Method::Setup => self.set_up(&mut response)?,
            Method::Play => self.play = Some(asked.request),
            _ => {}
        }
        Ok(Some(response))
    }

    /// The request that is answered: by its number, and where there is but one, whatever number the camera says.
    fn take_pending(&mut self, response: &Response<Vec<u8>>) -> Option<Pending> {
        let number = response.header(&CSEQ).and_then(|number| number.as_str().trim().parse().ok());
        let index = self.pending.iter().position(|asked| Some(asked.sequence) == number);
        let index = index.or((self.pending.len() == 1).then_some(0))?;
        self.pending.remove(index)
    }

    /// Lets the client find the camera's addresses for the requests to come.
    fn describe(&self, response: Response<Vec<u8>>) -> Result<Response<Vec<u8>>, ControlError> {
        let lines = response.body().split(|byte| *byte == b'\n');
        if lines.filter(|line| line.starts_with(b"m=")).count() > MOST_STREAMS {
            let what = format!("it describes more than {MOST_STREAMS} streams");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what).into());
        }
        // retina warns of old versions of live555 that are unsafe over TCP, and would tear down by itself.
        let mut response = response.map_body(|body| {
            let tool = |line: &&[u8]| line.starts_with(b"a=tool:");
            body.split_inclusive(|byte| *byte == b'\n')
                .filter(|line| !tool(line))
                .collect::<Vec<_>>()
                .concat()
        });
        if response.header(&CONTENT_BASE).is_none() && response.header(&CONTENT_LOCATION).is_none() {
            response.insert_header(CONTENT_BASE, self.url.bare().as_str());
        }
        Ok(response)
    }

    /// Where the camera sends over UDP, the client gets it over TCP.
    fn set_up(&mut self, response: &mut Response<Vec<u8>>) -> Result<(), ControlError> {
        let Some(ports) = self.ports.take() else { return Ok(()) };
        let transport = response.header(&TRANSPORT).map_or("", |transport| transport.as_str());
        let sender = Sender::parse(transport, self.peer.ip()).map_err(io::Error::other)?;
        self.media = Some(Media::new(ports, sender, self.url.clone(), self.counts.clone())?);
        let transport = format!("RTP/AVP/TCP;unicast;interleaved={RTP_CHANNEL}-{RTCP_CHANNEL}");
        response.insert_header(TRANSPORT, transport);
        Ok(())
    }

    /// Tells the camera to stop sending. The answer is not waited for: the end of the connection says the same.
    async fn tear_down(&mut self) -> Result<(), ControlError> {
        let Some(play) = self.play.take() else { return Ok(()) };
        let request = Request::builder(Method::Teardown, Version::V1_0)
            .header(SESSION, header(&play, &SESSION))
            .header(USER_AGENT, header(&play, &USER_AGENT));
        let request =
            play.request_uri().cloned().into_iter().fold(request, rtsp_types::RequestBuilder::request_uri);
        let request = request.build(Vec::new());
        self.send(Pending { request, client_sequence: String::new(), sequence: 0, repeated: true }).await
    }
}

async fn next(media: &mut Option<Media>, frames: &mut Vec<u8>) -> io::Result<()> {
    match media {
        Some(media) => media.next(frames).await,
        None => std::future::pending().await,
    }
}

fn header(request: &Request<Vec<u8>>, name: &HeaderName) -> String {
    request.header(name).map(|value| value.as_str().to_owned()).unwrap_or_default()
}
