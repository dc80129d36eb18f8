//! RTSP messages as cameras write them (RFC 2326, sections 4 to 7).
//!
//! Reads what a camera can have meant: lines that end in LF, blanks around the colon, folded lines, lines without a colon,
//! a status without a reason. What this program writes follows the standard.

use bytes::Bytes;

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) start: Start,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

/// The first line of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Request { method: String, uri: String },
    Response { status: u16, reason: String },
}

/// Header lines, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value of this name, in any case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of this name, in any case.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Replaces all values of this name by one.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.0.push((name.to_owned(), value.into()));
    }
}

impl Message {
    /// A request without headers and body.
    pub(super) fn request(method: impl Into<String>, uri: impl Into<String>) -> Self {
        Self::new(Start::Request { method: method.into(), uri: uri.into() })
    }

    /// A response without headers and body.
    pub(super) fn response(status: u16, reason: impl Into<String>) -> Self {
        Self::new(Start::Response { status, reason: reason.into() })
    }

    fn new(start: Start) -> Self {
        Self { start, headers: Headers::default(), body: Bytes::new() }
    }

    /// The same message with one more header.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Reads start line and headers, up to the empty line. `None` if the start line is of another protocol.
    pub(super) fn parse_head(head: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        let mut message = Self::new(Start::parse(lines.next()?)?);
        let headers = &mut message.headers.0;
        for line in lines {
            match (line.starts_with([' ', '\t']), headers.last_mut(), line.split_once(':')) {
                // A folded line continues the one before (RFC 2326, section 4.2).
                (true, Some((_, value)), _) if !line.trim().is_empty() => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                (_, _, Some((name, value))) => {
                    headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                _ => {}
            }
        }
        Some(message)
    }

    /// The length of the body, as the headers state it. A message without the header has no body (section 4.4), and one
    /// that states no number neither.
    pub(super) fn body_length(&self) -> usize {
        let length = self.headers.get("Content-Length").unwrap_or_default();
        let digits = length.find(|c: char| !c.is_ascii_digit()).unwrap_or(length.len());
        if digits == 0 { 0 } else { length[..digits].parse().unwrap_or(usize::MAX) }
    }

    /// Appends the message as it is sent.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} RTSP/1.0\r\n"),
            Start::Response { status, reason } => format!("RTSP/1.0 {status} {reason}\r\n"),
        };
        out.extend_from_slice(start.as_bytes());
        for (name, value) in &self.headers.0 {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if !self.body.is_empty() {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
    }
}

impl Start {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let first = words.next()?;
        if is_version(first) {
            let status = words.next()?;
            let digits = status.find(|c: char| !c.is_ascii_digit()).unwrap_or(status.len());
            let reason = words.collect::<Vec<_>>().join(" ");
            return Some(Self::Response { status: status[..digits].parse().ok()?, reason });
        }
        let (uri, version) = (words.next()?, words.next()?);
        is_version(version).then(|| Self::Request { method: first.to_owned(), uri: uri.to_owned() })
    }
}

fn is_version(word: &str) -> bool {
    word.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("RTSP/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(head: &str) -> Message {
        Message::parse_head(head.as_bytes()).unwrap()
    }

    #[test]
    fn status_lines_are_read_as_cameras_write_them() {
        for line in ["RTSP/1.0 200 OK", "RTSP/1.0  200   OK", "rtsp/1.0 200 OK ", "RTSP/1.0\t200 OK"] {
            assert_eq!(parse(line).start, Start::Response { status: 200, reason: "OK".into() }, "{line:?}");
        }
        for line in ["RTSP/1.0 200", "RTSP/1.0 200\r", "RTSP/2.0 200 "] {
            assert_eq!(parse(line).start, Start::Response { status: 200, reason: String::new() }, "{line:?}");
        }
        for line in ["HTTP/1.0 200 OK", "RTSP/1.0", "RTSP/1.0 OK", "RTSP/1.0 99999 x", "", "<html>"] {
            assert_eq!(Message::parse_head(line.as_bytes()), None, "{line:?}");
        }
        let options = Start::Request { method: "OPTIONS".into(), uri: "rtsp://h/".into() };
        assert_eq!(parse("OPTIONS rtsp://h/ RTSP/1.0\r\nCSeq: 1").start, options);
    }

    #[test]
    fn headers_are_read_as_cameras_write_them() {
        let read = parse(
            "RTSP/1.0 200 OK\r\ncseq:7\nSESSION :  a b \r\n  c\r\nno colon\r\nX: 1\r\nx: 2\r\n: none\r\n",
        );
        assert_eq!((read.headers.get("CSeq"), read.headers.get("Session")), (Some("7"), Some("a b c")));
        assert_eq!(read.headers.all("X").collect::<Vec<_>>(), ["1", "2"]);
        let length = |value: &str| parse(&format!("RTSP/1.0 200 OK\nContent-Length:{value}")).body_length();
        assert_eq!(["5", " 0 ", "7;", "-1", ""].map(length), [5, 0, 7, 0, 0]);
        assert_eq!(length("18446744073709551616"), usize::MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_the_same(
            status in 100u16..600,
            headers in prop::collection::vec(("[A-Za-z-]{1,12}", "[ -~]{0,20}"), 0..6),
            body in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut message = Message::response(status, "Why");
            for (name, value) in headers {
                message = message.with(&name, value.trim());
            }
            message.body = body.into();
            let mut text = Vec::new();
            message.write(&mut text);
            let head = text.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
            let mut read = Message::parse_head(&text[..head]).unwrap();
            if !message.body.is_empty() {
                prop_assert_eq!(read.headers.0.pop().unwrap().1, message.body.len().to_string());
            }
            read.body = text[head + 4..].to_vec().into();
            prop_assert_eq!(read, message);
        }

        #[test]
        fn arbitrary_bytes_are_accepted(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse_head(&bytes);
            let _ = Message::parse_head(&[b"RTSP/1.0 200 OK\n".as_slice(), &bytes].concat());
        }
    }
}
