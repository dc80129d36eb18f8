//! `Transport` in a response to SETUP (RFC 2326, section 12.39).

use std::net::IpAddr;

use super::parameters::parameters;

/// How a camera sends a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transport {
    /// Over the RTSP connection, or over UDP; `None` if the camera does not state it.
    pub(crate) is_tcp: Option<bool>,
    /// The channels of RTP and RTCP in the RTSP connection.
    pub(crate) interleaved: Option<(u8, u8)>,
    /// The camera's ports of RTP and RTCP.
    pub(crate) server_port: Option<(u16, u16)>,
    /// The address that the packets come from, if the camera states another than its own.
    pub(crate) source: Option<IpAddr>,
    /// To a multicast group.
    pub(crate) is_multicast: bool,
}

impl Transport {
    /// Reads the first transport of a header. Parameters that cannot be read are absent.
    pub(crate) fn parse(header: &str) -> Self {
        let mut transport = Self::default();
        for (name, value) in parameters(first(header)) {
            match name.as_str() {
                "interleaved" => transport.interleaved = channels(value),
                "server_port" => transport.server_port = ports(value),
                // Ignores names and unspecified addresses.
                "source" => {
                    let address = value.trim_matches(['[', ']']).parse().ok();
                    transport.source = address.filter(|source: &IpAddr| !source.is_unspecified());
                }
                "multicast" => transport.is_multicast = true,
                protocol if protocol.starts_with("rtp") => {
                    transport.is_tcp = Some(protocol.ends_with("tcp"));
                }
                _ => {}
            }
        }
        // Some cameras omit the protocol, or the `/TCP` after it.
        if transport.interleaved.is_some() && transport.server_port.is_none() {
            transport.is_tcp = Some(true);
        }
        transport
    }
}

/// The first of several transports. A comma also separates the channels in `interleaved=0,1`.
fn first(header: &str) -> &str {
    let is_next = |rest: &str| {
        rest.trim_start().as_bytes().get(..3).is_some_and(|name| name.eq_ignore_ascii_case(b"rtp"))
    };
    let end = header.match_indices(',').find(|(at, _)| is_next(&header[at + 1..]));
    header[..end.map_or(header.len(), |(at, _)| at)].trim()
}

/// Parses `2-3`, `2,3`, or `2` for that channel and the next.
fn channels(text: &str) -> Option<(u8, u8)> {
    let (rtp, rtcp) = text.split_once(['-', ',']).unwrap_or((text, ""));
    let rtp: u8 = rtp.trim().parse().ok()?;
    Some((rtp, rtcp.trim().parse().unwrap_or(rtp.saturating_add(1))))
}

/// Parses `6970-6971`, or `6970` for that port and the next.
fn ports(text: &str) -> Option<(u16, u16)> {
    let (rtp, rtcp) = text.split_once('-').unwrap_or((text, ""));
    let rtp: u16 = rtp.trim().parse().ok().filter(|port| *port > 0)?;
    let rtcp = rtcp.trim().parse().ok().filter(|port| *port > 0);
    Some((rtp, rtcp.or(rtp.checked_add(1))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        let tcp = Transport { is_tcp: Some(true), ..Transport::default() };
        let udp = Transport { is_tcp: Some(false), ..Transport::default() };
        let channels = |rtp, rtcp| Transport { interleaved: Some((rtp, rtcp)), ..tcp };
        let table = [
            ("RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=0A0B0C0D;mode=\"PLAY\"", channels(2, 3)),
            ("RTP/AVP/TCP;unicast", tcp),
            ("rtp/avp/tcp ; Unicast ; INTERLEAVED = 2 - 3 ", channels(2, 3)),
            ("RTP/AVP/TCP;interleaved=2", channels(2, 3)),
            ("RTP/AVP/TCP;interleaved=0,1", channels(0, 1)),
            ("RTP/AVP/TCP;interleaved=255-256", channels(255, 255)),
            ("RTP/AVP/TCP;interleaved=256-257", tcp),
            ("RTP/AVP/TCP;interleaved=-1", tcp),
            ("unicast;interleaved=\"0-1\"", channels(0, 1)),
            ("RTP/AVP;unicast;interleaved=0-1", channels(0, 1)),
            ("RTP/AVP/TCP;interleaved=4-5, RTP/AVP;multicast;server_port=1-2", channels(4, 5)),
            ("RTP/AVP/TCP;interleaved=4,rtp/avp;multicast", channels(4, 5)),
            (
                "RTP/AVP;unicast;client_port=5000-5001;server_port=6970-6971",
                Transport { server_port: Some((6970, 6971)), ..udp },
            ),
            (
                "RTP/AVP/UDP;unicast;Server_Port=6970;source=[fd00::7]",
                Transport { server_port: Some((6970, 6971)), source: "fd00::7".parse().ok(), ..udp },
            ),
            (
                "RTP/AVP;multicast;destination=224.0.0.1;source=camera",
                Transport { is_multicast: true, ..udp },
            ),
            ("RTP/AVP;source=0.0.0.0;server_port=0-0;ssrc=x", udp),
            ("", Transport::default()),
            (",;=;,", Transport::default()),
        ];
        for (header, wanted) in table {
            assert_eq!(Transport::parse(header), wanted, "{header:?}");
        }
    }
}
