//! One RTSP connection: messages and interleaved frames in, messages out, with limits on what a peer may send.
//!
//! Cameras send stray bytes between messages, and cut frames off when their network is slow. The reader then looks for the
//! next frame or message.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::message::Message;

/// Maximum length of start line and headers together, bytes.
const MAX_HEAD: usize = 64 << 10;
/// Maximum length of a body, bytes. The largest is a description of a few kilobytes.
const MAX_BODY: usize = 1 << 20;
/// Buffer space for one read, bytes.
const READ: usize = 64 << 10;
/// Time-out for the peer to take a message. Nothing is read meanwhile.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Header length of an interleaved frame: `$`, channel and length (RFC 2326, section 10.12).
const FRAME_HEAD: usize = 4;

/// Maximum length of a frame that is neither expected nor RTP, bytes: a longer one is rather a `$` among other bytes.
const MAX_UNEXPECTED: usize = 2048;

/// What messages can begin with: a response, or a request (RFC 2326, section 10).
const MESSAGE_STARTS: [&[u8]; 11] = [
    b"RTSP/",
    b"OPTIONS ",
    b"ANNOUNCE ",
    b"DESCRIBE ",
    b"GET_PARAMETER ",
    b"SET_PARAMETER ",
    b"REDIRECT ",
    b"TEARDOWN ",
    b"SETUP ",
    b"PLAY ",
    b"PAUSE ",
];

/// Maximum length of another method, bytes, and what follows it.
const MAX_METHOD: usize = 32;
const REQUEST_URI: &[u8] = b" rtsp://";

/// Input from a connection.
#[derive(Debug)]
pub(super) enum Received {
    /// A request or a response.
    Message(Message),
    /// One or more complete interleaved frames, as on the wire.
    Frames(Bytes),
    /// Bytes that belong to neither, which were skipped.
    Stray,
}

/// Why reading or writing a message failed.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Start line and headers exceed [`MAX_HEAD`].
    #[error("an RTSP header of more than {} kB", MAX_HEAD >> 10)]
    LongHead,
    /// The body, announced or received, exceeds [`MAX_BODY`].
    #[error("an RTSP body of more than {} kB", MAX_BODY >> 10)]
    LongBody,
    /// The server does not speak RTSP.
    #[error("the server does not speak RTSP; check the URL's host and port")]
    Malformed,
}

/// A stream of bytes in both directions: TCP, or TLS over it.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> ByteStream for S {}

/// One RTSP connection.
pub(super) struct Connection {
    stream: Box<dyn ByteStream>,
    input: Input,
    output: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: impl ByteStream + 'static) -> Self {
        Self { stream: Box::new(stream), input: Input::default(), output: Vec::new() }
    }

    /// Reads the next input; `None` at the end of the connection. Cancel safe: dropping the future loses no bytes.
    pub(super) async fn read(&mut self) -> Result<Option<Received>, ConnectionError> {
        loop {
            if let Some(received) = self.input.take()? {
                return Ok(Some(received));
            }
            self.input.bytes.reserve(READ);
            if self.stream.read_buf(&mut self.input.bytes).await? == 0 {
                return if self.input.is_of_another_protocol() {
                    Err(ConnectionError::Malformed)
                } else {
                    Ok(None)
                };
            }
        }
    }

    pub(super) async fn write(&mut self, message: &Message) -> Result<(), ConnectionError> {
        self.output.clear();
        message.write(&mut self.output);
        let write = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the camera takes no requests");
        Ok(timeout(WRITE_TIMEOUT, write).await.map_err(|_| late())??)
    }

    /// Frames are expected on the channels below this one.
    pub(super) fn expect_channels(&mut self, below: u8) {
        self.input.channels = below;
    }
}

/// Received bytes of messages that are not complete yet.
#[derive(Debug, Default)]
struct Input {
    bytes: BytesMut,
    /// Bytes already searched for the end of the head.
    searched: usize,
    /// A message whose body is not complete: its head without the body, and where the body begins and ends.
    partial: Option<(Message, usize, usize)>,
    /// Bytes were skipped, and no frame or message was found yet.
    is_astray: bool,
    /// Whether a message was ever received.
    has_message: bool,
    channels: u8,
    /// Bytes skipped since the last frame or message.
    skipped: usize,
}

/// What stands at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// A whole frame of this length.
    Frame(usize),
    /// A message.
    Message,
    /// Too few bytes to tell.
    Unknown,
    /// Neither.
    Stray,
}

impl Input {
    /// Removes and returns the first message, or all frames at the start, if they are complete. Each byte is examined a
    /// few times at most, also if bytes arrive one by one.
    fn take(&mut self) -> Result<Option<Received>, ConnectionError> {
        loop {
            if self.partial.is_none() && self.searched == 0 {
                // Empty lines between messages are allowed (RFC 2326, section 4.1).
                let empty = self.bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                self.bytes.advance(empty);
                match self.at(0) {
                    At::Frame(_) => return Ok(Some(self.frames())),
                    At::Message => {}
                    At::Unknown => return Ok(None),
                    At::Stray if self.skip()? => return Ok(Some(Received::Stray)),
                    At::Stray => continue,
                }
            }
            let message = self.message()?;
            if message.is_some() || self.partial.is_some() || self.searched > 0 {
                return Ok(message);
            }
            // The bytes only looked like a message.
        }
    }

    /// Removes all whole frames at the start.
    fn frames(&mut self) -> Received {
        (self.is_astray, self.skipped) = (false, 0);
        let mut end = 0;
        while let At::Frame(length) = self.at(end) {
            end += length;
        }
        Received::Frames(self.bytes.split_to(end).freeze())
    }

    /// Skips bytes up to the next that may begin a frame or a message. Returns whether the bytes before were in order.
    fn skip(&mut self) -> Result<bool, ConnectionError> {
        let was_in_order = !std::mem::replace(&mut self.is_astray, true);
        let next = (1..self.bytes.len()).find(|&at| self.at(at) != At::Stray).unwrap_or(self.bytes.len());
        self.skipped += next;
        if !self.has_message && (self.is_of_another_protocol() || self.skipped > MAX_HEAD) {
            return Err(ConnectionError::Malformed);
        }
        self.bytes.advance(next);
        Ok(was_in_order)
    }

    /// Whether the bytes are those that a web server sends before it closes the connection.
    fn is_of_another_protocol(&self) -> bool {
        self.bytes.starts_with(b"HTTP/") || self.bytes.starts_with(b"<")
    }

    fn at(&self, start: usize) -> At {
        let bytes = &self.bytes[start..];
        if bytes.first() != Some(&b'$') {
            return message_at(bytes);
        }
        let Some(&[_, channel, high, low]) = bytes.first_chunk() else { return At::Unknown };
        let length = FRAME_HEAD + usize::from(u16::from_be_bytes([high, low]));
        let is_expected = channel < self.channels;
        // Every packet of RTP and RTCP begins with its version, 2 (RFC 3550, sections 5.1 and 6.4.1).
        let is_rtp = bytes.get(FRAME_HEAD).map(|first| first >> 6 == 2);
        match is_rtp {
            Some(true) if is_expected => {}
            // A `$` among stray bytes begins a frame only if its head fits.
            _ if self.is_astray && (is_rtp.is_some() || !is_expected) => return At::Stray,
            None if length > FRAME_HEAD => return At::Unknown,
            Some(false) if !is_expected && length > MAX_UNEXPECTED => return At::Stray,
            // A frame of another kind is one only if something that can follow a frame follows.
            _ => match bytes.get(length) {
                Some(b'$' | b'\r' | b'\n') => {}
                Some(_) if message_at(&bytes[length..]) != At::Stray => {}
                Some(_) => return At::Stray,
                None if is_rtp == Some(true) || length == FRAME_HEAD => {}
                None => return At::Unknown,
            },
        }
        if bytes.len() < length { At::Unknown } else { At::Frame(length) }
    }

    fn message(&mut self) -> Result<Option<Received>, ConnectionError> {
        let (head, start, end) = match self.partial.take() {
            Some(partial) => partial,
            None => match self.head()? {
                Some(partial) => partial,
                None => return Ok(None),
            },
        };
        if self.bytes.len() < end {
            self.partial = Some((head, start, end));
            return Ok(None);
        }
        let mut all = self.bytes.split_to(end).freeze();
        self.searched = 0;
        self.skipped = 0;
        (self.is_astray, self.has_message) = (false, true);
        Ok(Some(Received::Message(Message { body: all.split_off(start), ..head })))
    }

    /// Reads the head of a message once it is complete, with the start and the end of the body.
    fn head(&mut self) -> Result<Option<(Message, usize, usize)>, ConnectionError> {
        let end = end_of_head(&self.bytes, self.searched);
        let head = end.map_or(self.bytes.len(), |(head, _)| head);
        if let Some(frame) = self.frame_within(head) {
            // The message has no end: a frame follows its part.
            self.bytes.advance(frame);
            (self.searched, self.is_astray) = (0, true);
            return Ok(None);
        }
        if head > MAX_HEAD {
            return self.give_up(ConnectionError::LongHead);
        }
        let Some((head, start)) = end else {
            self.searched = self.bytes.len();
            return Ok(None);
        };
        let Some(message) = Message::parse_head(&self.bytes[..head]) else {
            return self.give_up(ConnectionError::Malformed);
        };
        let length = message.body_length();
        if length > MAX_BODY {
            return self.give_up(ConnectionError::LongBody);
        }
        Ok(Some((message, start, start + length)))
    }

    /// The start of a frame in the head of a message, whose text has no such bytes.
    fn frame_within(&self, head: usize) -> Option<usize> {
        let from = self.searched.saturating_sub(FRAME_HEAD);
        let candidates = self.bytes.get(from..head)?.windows(FRAME_HEAD + 1);
        let is_frame = |bytes: &[u8]| {
            bytes[0] == b'$' && bytes[1] < self.channels.min(b'\t') && bytes[FRAME_HEAD] >> 6 == 2
        };
        candidates.into_iter().position(is_frame).map(|at| from + at)
    }

    /// The bytes only look like a message. That ends a session only before it plays.
    fn give_up<T>(&mut self, error: ConnectionError) -> Result<Option<T>, ConnectionError> {
        if !self.has_message || self.channels == 0 {
            return Err(error);
        }
        self.bytes.advance(1);
        (self.searched, self.is_astray) = (0, true);
        Ok(None)
    }
}

/// Whether a message begins here.
fn message_at(bytes: &[u8]) -> At {
    let mut at = At::Stray;
    // Cameras have methods of their own.
    let is_of_name = |byte: &&u8| byte.is_ascii_uppercase() || **byte == b'_';
    let name = bytes.iter().take(MAX_METHOD + 1).take_while(is_of_name).count();
    if (1..=MAX_METHOD).contains(&name) {
        let behind = &bytes[name..];
        if behind.starts_with(REQUEST_URI) {
            return At::Message;
        }
        if REQUEST_URI.starts_with(behind) {
            at = At::Unknown;
        }
    }
    for start in MESSAGE_STARTS {
        let length = start.len().min(bytes.len());
        if bytes[..length].eq_ignore_ascii_case(&start[..length]) {
            if length == start.len() {
                return At::Message;
            }
            at = At::Unknown;
        }
    }
    at
}

/// The end of the head, an empty line, and the start of what follows it. Bytes before `searched` have no end.
fn end_of_head(bytes: &[u8], searched: usize) -> Option<(usize, usize)> {
    let mut rest = searched.saturating_sub(3);
    loop {
        let line_end = rest + bytes[rest..].iter().position(|&byte| byte == b'\n')?;
        let after = bytes[line_end + 1..].iter().position(|&byte| byte != b'\r')?;
        if bytes[line_end + 1 + after] == b'\n' {
            return Some((line_end, line_end + 2 + after));
        }
        rest = line_end + 1;
    }
}

#[cfg(test)]
mod tests;
