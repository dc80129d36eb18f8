//! Reads and writes the RTSP messages of a connection (RFC 2326), with limits on their size for both senders.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use rtsp_types::{Message, ParseError};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Maximum length of start line and headers together, bytes.
const MAX_HEAD: usize = 64 << 10;
/// Maximum length of a body, bytes. The largest is a description of a few kilobytes.
const MAX_BODY: usize = 1 << 20;
/// Buffer space for one read, bytes.
const READ: usize = 64 << 10;
/// Header length of an interleaved frame: `$`, channel and length (RFC 2326, section 10.12).
const FRAME_HEAD: usize = 4;

/// Input from a connection.
#[derive(Debug)]
pub(super) enum Received {
    /// A request or a response.
    Message(Message<Vec<u8>>),
    /// One or more complete interleaved frames, as on the wire.
    Frames(Bytes),
}

/// Why reading or writing a message failed.
#[derive(Debug, Error)]
pub(super) enum ControlError {
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

/// One RTSP connection.
pub(super) struct Control {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    input: Input,
}

impl Control {
    pub(super) fn new(tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        let (reader, writer) = tcp.into_split();
        Ok(Self { reader, writer, input: Input::default() })
    }

    /// Reads the next input; `None` at the end of the connection. Cancel safe: dropping the future loses no bytes.
    pub(super) async fn read(&mut self) -> Result<Option<Received>, ControlError> {
        loop {
            if let Some(received) = self.input.take()? {
                return Ok(Some(received));
            }
            self.input.bytes.reserve(READ);
            if self.reader.read_buf(&mut self.input.bytes).await? == 0 {
                return if self.input.is_of_another_protocol() {
                    Err(ControlError::Malformed)
                } else {
                    Ok(None)
                };
            }
        }
    }

    pub(super) async fn write(&mut self, message: &Message<Vec<u8>>) -> Result<(), ControlError> {
        let mut text = Vec::new();
        message.write(&mut text).map_err(io::Error::other)?;
        Ok(self.writer.write_all(&text).await?)
    }

    /// Writes interleaved frames (RFC 2326, section 10.12) unchanged.
    pub(super) async fn write_frames(&mut self, frames: &[u8]) -> io::Result<()> {
        self.writer.write_all(frames).await
    }
}

/// Received bytes of messages that are not complete yet.
#[derive(Debug, Default)]
struct Input {
    bytes: BytesMut,
    /// Bytes already searched for the end of the head.
    searched: usize,
    /// Minimum length of the message, once known.
    wanted: usize,
}

impl Input {
    /// Removes and returns the first message, or all frames at the start, if they are complete. Each byte is examined
    /// at most twice, also if bytes arrive one by one.
    fn take(&mut self) -> Result<Option<Received>, ControlError> {
        if self.searched == 0 && self.wanted == 0 {
            // Empty lines between messages are allowed (RFC 2326 section 4.1).
            while self.bytes.starts_with(b"\r\n") {
                self.bytes.advance(2);
            }
            if self.bytes.first() == Some(&b'$') {
                return Ok(self.frames());
            }
        }
        self.message()
    }

    /// Whether the bytes are those that a web server sends before it closes the connection.
    fn is_of_another_protocol(&self) -> bool {
        self.bytes.starts_with(b"HTTP/") || self.bytes.starts_with(b"<")
    }

    fn frames(&mut self) -> Option<Received> {
        let mut end = 0;
        while let Some([b'$', _, high, low]) = self.bytes[end..].first_chunk() {
            let next = end + FRAME_HEAD + usize::from(u16::from_be_bytes([*high, *low]));
            if next > self.bytes.len() {
                break;
            }
            end = next;
        }
        (end > 0).then(|| Received::Frames(self.bytes.split_to(end).freeze()))
    }

    fn message(&mut self) -> Result<Option<Received>, ControlError> {
        const HEAD_END: &[u8] = b"\r\n\r\n";
        if self.wanted == 0 {
            let from = self.searched;
            let end = self.bytes[from..].windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END);
            if end.map_or(self.bytes.len(), |end| from + end) > MAX_HEAD {
                return Err(ControlError::LongHead);
            }
            let Some(end) = end else {
                self.searched = self.bytes.len().saturating_sub(HEAD_END.len() - 1);
                return Ok(None);
            };
            self.wanted = from + end + HEAD_END.len();
        }
        if self.bytes.len() < self.wanted {
            return Ok(None);
        }
        match Message::parse(&self.bytes) {
            Ok((message, length)) => {
                if length > self.wanted + MAX_BODY {
                    return Err(ControlError::LongBody);
                }
                self.bytes.advance(length);
                (self.searched, self.wanted) = (0, 0);
                Ok(Some(Received::Message(message)))
            }
            Err(ParseError::Incomplete(Some(more))) if more.get() <= MAX_BODY => {
                self.wanted = self.bytes.len() + more.get();
                Ok(None)
            }
            Err(ParseError::Incomplete(Some(_))) => Err(ControlError::LongBody),
            Err(_) => Err(ControlError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `text` that arrives in pieces of `size` bytes.
    fn read(text: &[u8], size: usize) -> Result<Vec<Received>, ControlError> {
        let (mut input, mut messages) = (Input::default(), Vec::new());
        for piece in text.chunks(size) {
            input.bytes.extend_from_slice(piece);
            while let Some(received) = input.take()? {
                messages.push(received);
            }
            assert!(input.bytes.len() <= MAX_HEAD + MAX_BODY + size);
        }
        Ok(messages)
    }

    #[test]
    fn messages_are_read_from_pieces_of_any_size() {
        let text = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\na\r\n\r\n\r\n$\x00\x00\x03abc\
                     OPTIONS rtsp://10.0.0.1/x RTSP/1.0\r\nCSeq: 2\r\n\r\n";
        for size in [1, 2, 7, 1000] {
            match read(text, size).unwrap().as_slice() {
                [
                    Received::Message(Message::Response(response)),
                    Received::Frames(frames),
                    Received::Message(Message::Request(request)),
                ] => {
                    assert_eq!(response.body(), b"a\r\n\r\n");
                    assert_eq!(&frames[..], b"$\x00\x00\x03abc");
                    assert_eq!(request.request_uri().unwrap().as_str(), "rtsp://10.0.0.1/x");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_web_server_is_detected() {
        let is_other =
            |bytes: &[u8]| Input { bytes: bytes.into(), ..Input::default() }.is_of_another_protocol();
        assert!(is_other(b"<!DOCTYPE HTML>") && is_other(b"HTTP/1.0 400 Bad"));
        assert!(!is_other(b"RTSP/1.0 200 OK") && !is_other(b"$\x00\x00\x09") && !is_other(b""));
    }

    #[test]
    fn too_long_messages_are_rejected_before_they_are_buffered() {
        let endless = [b"RTSP/1.0 200 OK\r\nX: ".as_slice(), &[b'x'; 100_000]].concat();
        assert!(matches!(read(&endless, 1000), Err(ControlError::LongHead)));
        assert!(matches!(read(&b"\r".repeat(100_000), 1000), Err(ControlError::LongHead)));
        let large = b"RTSP/1.0 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
        assert!(matches!(read(large, 1000), Err(ControlError::LongBody)));
        let negative = b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n";
        assert!(matches!(read(negative, 1000), Err(ControlError::Malformed)));
        let whole =
            [b"RTSP/1.0 200 OK\r\nContent-Length: 1048577\r\n\r\n".as_slice(), &[0; 1_048_577]].concat();
        assert!(matches!(read(&whole, whole.len()), Err(ControlError::LongBody)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_accepted_or_rejected(bytes in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'$'), any::<u8>()], 0..300), size in 1usize..50) {
            let _ = read(&bytes, size);
            let _ = read(&[b"RTSP/1.0 200 OK\r\nContent-Length: 10\r\n".as_slice(), &bytes].concat(), size);
        }
    }
}
