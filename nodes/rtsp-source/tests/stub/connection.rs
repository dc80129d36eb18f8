//! A client's connection, and the responses of a well-behaved camera.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rtsp_types::headers::{AUTHORIZATION, CSEQ};
use rtsp_types::{Message, Method, ParseError, Request};

use super::footage::Footage;
use super::rtp::{Sender, interleaved};

/// The session's identifier.
pub(crate) const SESSION: &str = "4711";

pub(crate) struct Connection {
    tcp: TcpStream,
    input: Vec<u8>,
    /// The announced time-out of the session, seconds. Clients send a keepalive after half of it.
    pub(crate) lifetime: u32,
}

impl Connection {
    pub(super) fn new(tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).expect("it is a TCP socket");
        Self { tcp, input: Vec::new(), lifetime: 60 }
    }

    /// Reads the next request. Skips RTCP of the client.
    pub(crate) fn request(&mut self) -> io::Result<Request<Vec<u8>>> {
        loop {
            if let Some(request) = self.parse()? {
                return Ok(request);
            }
            self.read()?;
        }
    }

    /// A request that has already arrived; does not wait.
    pub(crate) fn request_by_now(&mut self) -> io::Result<Option<Request<Vec<u8>>>> {
        self.tcp.set_nonblocking(true)?;
        let read = self.read();
        self.tcp.set_nonblocking(false)?;
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => other?,
        }
        self.parse()
    }

    fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        match self.tcp.read(&mut bytes)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.input.extend(&bytes[..count]);
                Ok(())
            }
        }
    }

    fn parse(&mut self) -> io::Result<Option<Request<Vec<u8>>>> {
        loop {
            match Message::<Vec<u8>>::parse(&self.input) {
                Ok((message, length)) => {
                    self.input.drain(..length);
                    if let Message::Request(request) = message {
                        return Ok(Some(request));
                    }
                }
                Err(ParseError::Incomplete(_)) => return Ok(None),
                Err(ParseError::Error) => return Err(io::Error::other("not RTSP")),
            }
        }
    }

    /// Answers with a status, further header lines (each ending in CRLF) and a body.
    pub(crate) fn answer(
        &mut self,
        request: &Request<Vec<u8>>,
        status: &str,
        headers: &str,
        body: &str,
    ) -> io::Result<()> {
        self.send(answer_head(request, status, headers, body.len()) + body)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.tcp.write_all(bytes.as_ref())
    }

    /// Sends a packet on an interleaved channel.
    pub(crate) fn interleaved(&mut self, channel: u8, packet: &[u8]) -> io::Result<()> {
        self.send(interleaved(channel, packet))
    }

    /// Answers requests as a well-behaved camera does, up to and including that of method `last`.
    pub(crate) fn serve(&mut self, footage: &Footage, last: &Method) -> io::Result<()> {
        loop {
            let request = self.request()?;
            self.serve_one(&request, footage)?;
            if request.method() == last {
                return Ok(());
            }
        }
    }

    /// As [`serve`](Self::serve) until PLAY is answered, for a client that knows the nonce. Others get 401.
    pub(crate) fn serve_to(&mut self, nonce: &str, footage: &Footage) -> io::Result<()> {
        loop {
            let request = self.request()?;
            if !knows(&request, nonce) {
                self.challenge(&request, nonce)?;
                continue;
            }
            self.serve_one(&request, footage)?;
            if *request.method() == Method::Play {
                return Ok(());
            }
        }
    }

    /// Answers 401 with a challenge (RFC 7616 section 3.3).
    pub(crate) fn challenge(&mut self, request: &Request<Vec<u8>>, nonce: &str) -> io::Result<()> {
        let header =
            format!("WWW-Authenticate: Digest realm=\"camera\", nonce=\"{nonce}\", stale=\"TRUE\"\r\n");
        self.answer(request, "401 Unauthorized", &header, "")
    }

    fn serve_one(&mut self, request: &Request<Vec<u8>>, footage: &Footage) -> io::Result<()> {
        let url = request.request_uri().map(ToString::to_string).unwrap_or_default();
        match request.method() {
            Method::Describe => {
                let headers = format!("Content-Type: application/sdp\r\nContent-Base: {url}/\r\n");
                self.answer(request, "200 OK", &headers, &footage.sdp())
            }
            Method::Setup => {
                let headers = format!(
                    "Session: {SESSION};timeout={}\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
                    self.lifetime
                );
                self.answer(request, "200 OK", &headers, "")
            }
            _ => self.answer(request, "200 OK", &format!("Session: {SESSION}\r\n"), ""),
        }
    }

    /// Sends an access unit in RTP packets, with the sender's timestamp.
    pub(crate) fn unit(&mut self, sender: &mut Sender, unit: &[Vec<u8>]) -> io::Result<()> {
        for packet in sender.packets(unit) {
            self.interleaved(0, &packet)?;
        }
        Ok(())
    }

    /// Sends all of the footage in real time at `fps` frames a second, with the timestamps of `sender`.
    pub(crate) fn play(&mut self, sender: &mut Sender, footage: &Footage, fps: f64) -> io::Result<()> {
        let began = Instant::now();
        for (number, unit) in footage.units.iter().enumerate() {
            let due = began + Duration::from_secs_f64(number as f64 / fps);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.unit(sender, unit)?;
        }
        Ok(())
    }

    /// Ends the stream: closes the connection when the client has read what was sent.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Write)?;
        self.wait_for_disconnect()
    }

    /// Sends nothing more, and waits until the client disconnects.
    pub(crate) fn wait_for_disconnect(&mut self) -> io::Result<()> {
        loop {
            self.input.clear();
            self.read()?;
        }
    }
}

/// The head of an answer, with further header lines (each ending in CRLF), before a body of this length.
pub(crate) fn answer_head(request: &Request<Vec<u8>>, status: &str, headers: &str, length: usize) -> String {
    let cseq = request.header(&CSEQ).map(|value| value.as_str()).unwrap_or_default();
    let length = if length == 0 { String::new() } else { format!("Content-Length: {length}\r\n") };
    format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{headers}{length}\r\n")
}

/// Whether a request is authorised with this nonce.
pub(crate) fn knows(request: &Request<Vec<u8>>, nonce: &str) -> bool {
    let header = request.header(&AUTHORIZATION).map(|value| value.as_str()).unwrap_or_default();
    header.contains(&format!("nonce=\"{nonce}\""))
}
