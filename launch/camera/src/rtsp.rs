//! RTSP requests, transports and the stream's description (RFC 2326, RFC 8866).

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rtsp_types::{Message, ParseError, Url};

use super::feed::ParameterSets;
use super::rtp::{CLOCK_RATE, PAYLOAD_TYPE};

/// The name of the only track, appended to the path of the stream.
pub(super) const TRACK: &str = "trackID=0";

/// The maximum size of a request with its body.
pub(super) const MAX_REQUEST: usize = 16 << 10;

/// The maximum size of an interleaved frame: a header of four bytes and up to 65,535 bytes.
const MAX_INTERLEAVED: usize = 4 + 0xffff;

/// The result of parsing the received bytes.
#[derive(Debug)]
pub(super) enum Input {
    /// A whole message, and its length in bytes.
    Message(Message<Vec<u8>>, usize),
    /// The message is incomplete.
    Incomplete,
    /// The message is too long.
    TooLong,
    /// Not RTSP.
    Malformed,
}

/// Parses the first message of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Input {
    let limit = if bytes.first() == Some(&b'$') { MAX_INTERLEAVED } else { MAX_REQUEST };
    match Message::parse(bytes) {
        Ok((_, length)) if length > limit => Input::TooLong,
        Ok((message, length)) => Input::Message(message, length),
        Err(ParseError::Incomplete(_)) if bytes.len() < limit => Input::Incomplete,
        Err(ParseError::Incomplete(_)) => Input::TooLong,
        Err(ParseError::Error) => Input::Malformed,
    }
}

/// The transport that a client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// In the RTSP connection, on these channels for RTP and RTCP.
    Interleaved(u8, u8),
    /// To these UDP ports of the client for RTP and RTCP.
    Udp(u16, u16),
}

impl Transport {
    /// The first acceptable alternative of a `Transport` header (RFC 2326, section 12.39).
    ///
    /// Packets always go to the client's own address. `destination` is ignored, so that the camera cannot be used to
    /// flood another host.
    pub(super) fn choose(header: &str) -> Option<Self> {
        header.split(',').find_map(Self::parse)
    }

    fn parse(alternative: &str) -> Option<Self> {
        let mut parts = alternative.split(';').map(str::trim);
        let specification = parts.next()?;
        let is_tcp = specification.eq_ignore_ascii_case("RTP/AVP/TCP");
        if !is_tcp && !["RTP/AVP", "RTP/AVP/UDP"].iter().any(|udp| specification.eq_ignore_ascii_case(udp)) {
            return None;
        }
        let (mut channels, mut ports) = (Some((0, 1)), None);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.to_ascii_lowercase().as_str() {
                "multicast" => return None,
                "mode" if !value.trim_matches('"').eq_ignore_ascii_case("play") => return None,
                "interleaved" => channels = pair(value),
                "client_port" => ports = pair(value),
                _ => {}
            }
        }
        if is_tcp {
            return channels.map(|(rtp, rtcp)| Self::Interleaved(rtp, rtcp));
        }
        // Ports below 1024 belong to services, not to video players.
        ports
            .filter(|(rtp, rtcp): &(u16, u16)| *rtp >= 1024 && *rtcp >= 1024)
            .map(|(rtp, rtcp)| Self::Udp(rtp, rtcp))
    }
}

/// Parses `5-6`, or `5` as 5 and 6.
fn pair<T: std::str::FromStr + TryFrom<u32> + Into<u32> + Copy>(text: &str) -> Option<(T, T)> {
    match text.split_once('-') {
        Some((first, second)) => Some((first.trim().parse().ok()?, second.trim().parse().ok()?)),
        None => {
            let first: T = text.trim().parse().ok()?;
            Some((first, T::try_from(first.into() + 1).ok()?))
        }
    }
}

/// Whether a request's URL is that of the stream at `path` or of its track.
pub(super) fn names(url: &Url, path: &str) -> bool {
    let requested = url.path().trim_end_matches('/');
    let requested = requested.strip_suffix(TRACK).map_or(requested, |stream| stream.trim_end_matches('/'));
    requested == path.trim_end_matches('/')
}

/// The URL of the stream as the client wrote it, with a trailing slash and without credentials.
pub(super) fn base(url: &Url) -> String {
    let mut url = url.clone();
    // This fails only for URLs that cannot have credentials.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    let text = url.as_str().trim_end_matches('/');
    let text = text.strip_suffix(TRACK).unwrap_or(text).trim_end_matches('/');
    format!("{text}/")
}

/// The SDP description of the stream.
#[derive(Debug)]
pub(super) struct Sdp<'a> {
    pub(super) local: IpAddr,
    /// A session id that differs at every start of the camera.
    pub(super) origin: u64,
    pub(super) fps: f32,
    pub(super) bitrate: u32,
    pub(super) parameter_sets: &'a ParameterSets,
}

impl fmt::Display for Sdp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParameterSets { sequence, picture } = self.parameter_sets;
        let (family, any) = if self.local.is_ipv6() { ("IP6", "::") } else { ("IP4", "0.0.0.0") };
        // Profile, constraints and level are the three bytes after the NAL unit header.
        let level: String = sequence.iter().skip(1).take(3).map(|byte| format!("{byte:02X}")).collect();
        let lines = [
            "v=0".to_owned(),
            format!("o=- {} 1 IN {family} {}", self.origin, self.local),
            "s=msight test picture".to_owned(),
            format!("c=IN {family} {any}"),
            "t=0 0".to_owned(),
            "a=range:npt=now-".to_owned(),
            "a=control:*".to_owned(),
            format!("m=video 0 RTP/AVP {PAYLOAD_TYPE}"),
            format!("b=AS:{}", self.bitrate.div_ceil(1000)),
            format!("a=rtpmap:{PAYLOAD_TYPE} H264/{CLOCK_RATE}"),
            format!(
                "a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={level};sprop-parameter-sets={},{}",
                BASE64_STANDARD.encode(sequence),
                BASE64_STANDARD.encode(picture),
            ),
            format!("a=framerate:{}", self.fps),
            format!("a=control:{TRACK}"),
        ];
        lines.iter().try_for_each(|line| write!(f, "{line}\r\n"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn transports_of_all_forms_are_parsed() {
        use Transport::{Interleaved, Udp};
        for (header, expected) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1", Some(Interleaved(0, 1))),
            ("RTP/AVP/TCP;interleaved=4-9;unicast;mode=\"PLAY\"", Some(Interleaved(4, 9))),
            ("rtp/avp/tcp;unicast", Some(Interleaved(0, 1))),
            ("RTP/AVP;unicast;client_port=4588-4589", Some(Udp(4588, 4589))),
            ("RTP/AVP/UDP;unicast;client_port=5000", Some(Udp(5000, 5001))),
            ("RTP/AVP;multicast;client_port=4588-4589, RTP/AVP/TCP;interleaved=2-3", Some(Interleaved(2, 3))),
            ("RTP/AVP;unicast;client_port=53-54", None),
            ("RTP/AVP;unicast;client_port=65535", None),
            ("RTP/AVP;unicast", None),
            ("RTP/AVP/TCP;interleaved=0-999", None),
            ("RTP/AVP/TCP;interleaved=0-1;mode=record", None),
            ("RTP/SAVP/TCP;interleaved=0-1", None),
            ("", None),
        ] {
            assert_eq!(Transport::choose(header), expected, "{header}");
        }
    }

    #[test]
    fn the_stream_is_found_by_its_path_and_its_track() {
        let names = |url: &str| names(&Url::parse(url).expect("a URL"), "/live.stream");
        assert!(names("rtsp://camera:8554/live.stream"));
        assert!(names("rtsp://camera/live.stream/"));
        assert!(names("rtsp://camera/live.stream/trackID=0"));
        assert!(!names("rtsp://camera/live.stream/trackID=1"));
        assert!(!names("rtsp://camera/live"));
        assert!(!names("rtsp://camera"));
    }

    #[test]
    fn the_base_url_has_no_credentials() {
        let base = |url: &str| base(&Url::parse(url).expect("a URL"));
        assert_eq!(base("rtsp://user:secret@camera:8554/live.stream?x=1"), "rtsp://camera:8554/live.stream/");
        assert_eq!(base("rtsp://camera/live.stream/trackID=0"), "rtsp://camera/live.stream/");
    }

    #[test]
    fn the_size_of_messages_is_limited() {
        let endless = vec![b'a'; MAX_REQUEST];
        assert!(matches!(parse(b"OPTIONS * RTSP/1.0\r\nX: "), Input::Incomplete));
        assert!(matches!(parse(&[b"OPTIONS * RTSP/1.0\r\nX: ", &endless[..]].concat()), Input::TooLong));
        let huge = b"OPTIONS * RTSP/1.0\r\nContent-Length: 18446744073709551615\r\n\r\n";
        assert!(matches!(parse(huge), Input::Incomplete));
        assert!(matches!(parse(&[huge, &endless[..]].concat()), Input::TooLong));
        assert!(matches!(parse(&[b"$\x01\xff\xff", &endless[..]].concat()), Input::Incomplete));
        assert!(matches!(parse(b"GET / HTTP/1.1\r\n\r\n"), Input::Malformed));
    }

    proptest! {
        #[test]
        fn arbitrary_input_is_accepted_or_rejected(bytes: Vec<u8>, text in "\\PC*", url in "rtsp://[ -~]{0,40}") {
            parse(&bytes);
            parse(format!("SETUP {url} RTSP/1.0\r\nTransport: {text}\r\nCSeq: {text}\r\n\r\n").as_bytes());
            Transport::choose(&text);
            Transport::choose(&format!("RTP/AVP;{text}"));
            if let Ok(url) = Url::parse(&url) {
                names(&url, "/live.stream");
                prop_assert!(base(&url).ends_with('/'));
            }
        }
    }
}
