//! RTSP messages of a connection (RFC 2326), bounded in size for either sender.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use rtsp_types::{Message, ParseError};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The longest start line and headers together, bytes.
const MOST_HEAD: usize = 64 << 10;
/// The longest body, bytes; a description of a few kilobytes is the largest there is.
const MOST_BODY: usize = 1 << 20;
/// Room for what one read may bring, bytes.
const READ: usize = 64 << 10;
/// Of an interleaved frame: `$`, channel and length (RFC 2326 section 10.12).
const FRAME_HEAD: usize = 4;

/// What comes over a connection.
#[derive(Debug)]
pub(super) enum Received {
    /// A request or a response.
    Message(Message<Vec<u8>>),
    /// One or more whole interleaved frames, as they are on the wire.
    Frames(Bytes),
}

/// Why no message can be read or written.
#[derive(Debug, Error)]
pub(super) enum ControlError {
    /// Of the connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// More than [`MOST_HEAD`].
    #[error("an RTSP header of more than {} kB", MOST_HEAD >> 10)]
    LongHead,
    /// More than [`MOST_BODY`], said or sent.
    #[error("an RTSP body of more than {} kB", MOST_BODY >> 10)]
    LongBody,
    /// Not RTSP.
    #[error("the server does not speak RTSP; check the URL's host and port")]
    Malformed,
}

/// One side of the conversation.
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

    /// What comes next, `None` at the end of the connection. Nothing is lost when the future is dropped.
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

    /// Writes interleaved frames (RFC 2326 section 10.12) as they are.
    pub(super) async fn write_frames(&mut self, frames: &[u8]) -> io::Result<()> {
        self.writer.write_all(frames).await
    }
}

/// What has been received of messages that are not whole yet.
#[derive(Debug, Default)]
struct Input {
    bytes: BytesMut,
    /// No head ends before this.
    searched: usize,
    /// The message is not shorter than this.
    wanted: usize,
}

impl Input {
    /// Takes the first message out, or all frames in front of it, if they are whole. Each byte is looked at twice at
    /// most, however slowly they come.
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

    /// Whether the bytes are what a web server sends before it closes the connection.
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
            if end.map_or(self.bytes.len(), |end| from + end) > MOST_HEAD {
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
                if length > self.wanted + MOST_BODY {
                    return Err(ControlError::LongBody);
                }
                self.bytes.advance(length);
                (self.searched, self.wanted) = (0, 0);
                Ok(Some(Received::Message(message)))
            }
            Err(ParseError::Incomplete(Some(more))) if more.get() <= MOST_BODY => {
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

    /// What comes out when `text` arrives in pieces of `size`.
    fn read(text: &[u8], size: usize) -> Result<Vec<Received>, ControlError> {
        let (mut input, mut messages) = (Input::default(), Vec::new());
        for piece in text.chunks(size) {
            input.bytes.extend_from_slice(piece);
            while let Some(received) = input.take()? {
                messages.push(received);
            }
            assert!(input.bytes.len() <= MOST_HEAD + MOST_BODY + size);
        }
        Ok(messages)
    }

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
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
    fn a_web_server_is_told_from_a_camera() {
        let is_other =
            |bytes: &[u8]| Input { bytes: bytes.into(), ..Input::default() }.is_of_another_protocol();
        assert!(is_other(b"<!DOCTYPE HTML>") && is_other(b"HTTP/1.0 400 Bad"));
        assert!(!is_other(b"RTSP/1.0 200 OK") && !is_other(b"$\x00\x00\x09") && !is_other(b""));
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_held() {
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
        fn no_bytes_panic(bytes in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'$'), any::<u8>()], 0..300), size in 1usize..50) {
            let _ = read(&bytes, size);
            let _ = read(&[b"RTSP/1.0 200 OK\r\nContent-Length: 10\r\n".as_slice(), &bytes].concat(), size);
        }
    }
}
