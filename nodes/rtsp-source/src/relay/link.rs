//! The relay between retina and a camera: one connection on each side.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rtsp_types::headers::{
    AUTHORIZATION, CONTENT_BASE, CONTENT_LOCATION, CSEQ, HeaderName, HeaderValue, SESSION, TRANSPORT,
    USER_AGENT, WWW_AUTHENTICATE,
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

/// Maximum number of unanswered requests. There is more than one only if a session ends while a keepalive is
/// unanswered.
const MAX_PENDING: usize = 4;

/// Maximum number of bytes that the client receives without completing a frame, because it keeps them in memory. The
/// largest key frames of a 4K camera at high quality have two megabytes.
const MAX_UNFINISHED: usize = 32 << 20;

/// Maximum number of streams in a camera's description, because the client parses the description again for each
/// stream.
const MAX_STREAMS: usize = 32;

/// An RTSP server on the loopback interface that offers the camera's stream to one client, and ends when that client
/// disconnects.
pub(crate) struct Relay {
    url: Url,
    failure: Arc<OnceLock<String>>,
    unfinished: Arc<AtomicUsize>,
}

impl Relay {
    /// Connects to the camera, whose stream comes over this transport. `relays` tracks the relay's task.
    ///
    /// # Errors
    /// Connecting to the camera, or opening a port on the loopback interface, failed.
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
        let reported = failure.clone();
        let work = async move {
            let outcome = link.run(listener).await;
            debug!(?outcome, "the relay ended");
            if let Err(error) = outcome {
                // Set the failure before the connections close, because the client notices their end.
                let _ = reported.set(error.to_string());
            }
            drop(link);
        };
        relays.spawn(work.in_current_span());
        Ok(Self { url, failure, unfinished })
    }

    /// The client has completed a frame from the bytes it received.
    pub(crate) fn frame_completed(&self) {
        self.unfinished.store(0, Ordering::Relaxed);
    }

    /// The URL for the client, which uses TCP and sends no credentials.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Why the relay ended, if the client cannot know.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}

/// A URL with a random token, by which the relay recognises its own client.
fn address(listener: &TcpListener) -> io::Result<Url> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(io::Error::other)?;
    let text = format!("rtsp://{}/{:032x}", listener.local_addr()?, u128::from_be_bytes(token));
    Url::parse(&text).map_err(io::Error::other)
}

/// A request that was forwarded to the camera.
struct Pending {
    request: Request<Vec<u8>>,
    /// `CSeq` of the client's request.
    client_sequence: String,
    /// `CSeq` of the request to the camera.
    sequence: u32,
}

struct Link {
    camera: Control,
    transport: Transport,
    /// Bytes that the client received since it last completed a frame.
    unfinished: Arc<AtomicUsize>,
    url: CameraUrl,
    /// The relay's own URL. In requests, the camera's URL replaces it.
    address: Url,
    local: SocketAddr,
    peer: SocketAddr,
    login: Login,
    pending: VecDeque<Pending>,
    next_sequence: u32,
    /// The sockets between SETUP and its response.
    ports: Option<Sockets>,
    media: Option<Media>,
    /// The PLAY request, once the camera has accepted it.
    play: Option<Request<Vec<u8>>>,
    counts: Arc<Counts>,
}

impl Link {
    /// Runs until one side ends the connection. When the client ends it, the camera gets a TEARDOWN, because over UDP
    /// it would continue to send until its session times out.
    async fn run(&mut self, listener: TcpListener) -> Result<(), ControlError> {
        let (mut client, first) = self.accept(&listener).await?;
        drop(listener);
        self.forward_request(first).await?;
        let mut frames = Vec::new();
        loop {
            tokio::select! {
                received = client.read() => match received {
                    Ok(Some(Received::Message(Message::Request(request)))) => self.forward_request(request).await?,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return self.tear_down().await,
                },
                received = self.camera.read() => match received? {
                    Some(Received::Message(Message::Response(response))) => {
                        if let Some(response) = self.forward_response(response).await?
                            && client.write(&Message::Response(response)).await.is_err()
                        {
                            return self.tear_down().await;
                        }
                    }
                    // Frames before the response to PLAY are dropped, because the client would drop them.
                    Some(Received::Frames(frames)) if self.transport == Transport::Tcp && self.play.is_some() => {
                        if self.forward_frames(&mut client, &frames).await?.is_break() {
                            return self.tear_down().await;
                        }
                    }
                    // Ignores packets over TCP that were not requested, and requests of a camera, which need no
                    // response.
                    Some(_) => {}
                    None => return Ok(()),
                },
                // Packets stay in the sockets until the client has its response to PLAY.
                received = next(&mut self.media, &mut frames), if self.play.is_some() => {
                    received?;
                    if !frames.is_empty() {
                        if self.forward_frames(&mut client, &frames).await?.is_break() {
                            return self.tear_down().await;
                        }
                        frames.clear();
                    }
                }
            }
        }
    }

    /// Forwards frames to the client. Breaks if the client has closed its connection.
    async fn forward_frames(
        &self,
        client: &mut Control,
        frames: &[u8],
    ) -> Result<ControlFlow<()>, ControlError> {
        let before = self.unfinished.fetch_add(frames.len(), Ordering::Relaxed);
        if before + frames.len() > MAX_UNFINISHED {
            let what = format!("the camera has sent {} MB but no frame", MAX_UNFINISHED >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what).into());
        }
        Ok(match client.write_frames(frames).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    }

    /// Accepts the one client, with its first request.
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
                _ => debug!("rejected a connection to the loopback port: not from retina"),
            }
        }
    }

    /// Forwards a request of the client to the camera.
    async fn forward_request(&mut self, mut request: Request<Vec<u8>>) -> Result<(), ControlError> {
        if self.pending.len() >= MAX_PENDING {
            return Err(
                io::Error::new(io::ErrorKind::TimedOut, "the camera does not respond to requests").into()
            );
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
        let sent = Pending { request, client_sequence, sequence: 0 };
        self.send(sent).await
    }

    /// Sends a request with the next number, and with credentials if the camera has requested them.
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

    /// Converts a response of the camera for the client. `None` if the relay sends the request to the camera again
    /// instead.
    async fn forward_response(
        &mut self,
        mut response: Response<Vec<u8>>,
    ) -> Result<Option<Response<Vec<u8>>>, ControlError> {
        let Some(pending) = self.take_pending(&response) else {
            debug!("response dropped: it matches no request");
            return Ok(None);
        };
        if response.status() != StatusCode::Unauthorized {
            self.login.accepted();
        } else if self
            .login
            .challenge(response.header(&WWW_AUTHENTICATE).map(HeaderValue::as_str).into_iter())
        {
            self.send(pending).await?;
            return Ok(None);
        }
        response.insert_header(CSEQ, pending.client_sequence);
        if !response.status().is_success() {
            return Ok(Some(response));
        }
        match pending.request.method() {
            Method::Describe => response = self.describe(response)?,
            Method::Setup => self.set_up(&mut response)?,
            Method::Play => self.play = Some(pending.request),
            _ => {}
        }
        Ok(Some(response))
    }

    /// Finds the request for a response by its number. If only one is pending, it matches any number, because some
    /// cameras send a wrong one.
    fn take_pending(&mut self, response: &Response<Vec<u8>>) -> Option<Pending> {
        let number = response.header(&CSEQ).and_then(|number| number.as_str().trim().parse().ok());
        let index = self.pending.iter().position(|pending| Some(pending.sequence) == number);
        let index = index.or((self.pending.len() == 1).then_some(0))?;
        self.pending.remove(index)
    }

    /// Checks the camera's description, and completes it so that the client finds the camera's URLs for later requests.
    fn describe(&self, response: Response<Vec<u8>>) -> Result<Response<Vec<u8>>, ControlError> {
        let lines = response.body().split(|byte| *byte == b'\n');
        if lines.filter(|line| line.starts_with(b"m=")).count() > MAX_STREAMS {
            let what = format!("the camera describes more than {MAX_STREAMS} streams");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what).into());
        }
        // Removes the server's name: retina warns of old live555 versions that are unsafe over TCP, and would send its
        // own TEARDOWN.
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

    /// If the camera sends over UDP, opens the stream and tells the client to expect interleaved TCP.
    fn set_up(&mut self, response: &mut Response<Vec<u8>>) -> Result<(), ControlError> {
        let Some(ports) = self.ports.take() else { return Ok(()) };
        let transport = response.header(&TRANSPORT).map_or("", |transport| transport.as_str());
        let sender = Sender::parse(transport, self.peer.ip()).map_err(io::Error::other)?;
        self.media = Some(Media::new(ports, sender, self.url.clone(), self.counts.clone())?);
        let transport = format!("RTP/AVP/TCP;unicast;interleaved={RTP_CHANNEL}-{RTCP_CHANNEL}");
        response.insert_header(TRANSPORT, transport);
        Ok(())
    }

    /// Sends a TEARDOWN if the camera plays. It does not wait for the response, because the connection ends next.
    async fn tear_down(&mut self) -> Result<(), ControlError> {
        let Some(play) = self.play.take() else { return Ok(()) };
        let request = Request::builder(Method::Teardown, Version::V1_0)
            .header(SESSION, header(&play, &SESSION))
            .header(USER_AGENT, header(&play, &USER_AGENT));
        let request =
            play.request_uri().cloned().into_iter().fold(request, rtsp_types::RequestBuilder::request_uri);
        let request = request.build(Vec::new());
        self.send(Pending { request, client_sequence: String::new(), sequence: 0 }).await
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
