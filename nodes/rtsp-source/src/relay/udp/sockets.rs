//! A pair of UDP sockets with receive buffers that hold a key frame.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Once;

use rustix::net::sockopt;
use tokio::net::UdpSocket;
use tracing::warn;

use crate::relay::headers::Transport;

/// Requested receive buffer, bytes. Linux uses half of it for bookkeeping, so 2 MB of packets remain: one second at 16
/// Mbit/s.
const REQUESTED: usize = 4 << 20;

/// The sockets for RTP and RTCP.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    /// The even port, that of RTP; RTCP has the next one.
    pub(crate) port: u16,
}

impl Sockets {
    /// Binds an even port of `local` and its successor (RFC 3550 section 11).
    pub(crate) async fn bind(local: SocketAddr) -> io::Result<Self> {
        const ATTEMPTS: usize = 64;
        let at = |port| {
            let mut address = local;
            address.set_port(port);
            UdpSocket::bind(address)
        };
        for _ in 0..ATTEMPTS {
            let rtp = at(0).await?;
            let port = rtp.local_addr()?.port();
            if port.is_multiple_of(2)
                && let Ok(rtcp) = at(port + 1).await
            {
                enlarge(&rtp)?;
                return Ok(Self { rtp, rtcp, port });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }
}

/// Sets the receive buffer to the requested size, or to the system's limit with one warning.
fn enlarge(socket: &UdpSocket) -> io::Result<()> {
    static WARNED: Once = Once::new();
    // The first call needs CAP_NET_ADMIN; the second is limited by net.core.rmem_max. Linux grants twice the size, and
    // returns that.
    if sockopt::set_socket_recv_buffer_size_force(socket, REQUESTED).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, REQUESTED)?;
    }
    let granted = sockopt::socket_recv_buffer_size(socket)? / 2;
    if granted < REQUESTED {
        WARNED.call_once(|| {
            warn!(
                "the UDP receive buffer has {} kB instead of {} kB: large key frames may be lost; raise the system's \
                 limit with sysctl -w net.core.rmem_max={REQUESTED}",
                granted >> 10,
                REQUESTED >> 10
            );
        });
    }
    Ok(())
}

/// The addresses of the camera's packets and of reports, from its response to SETUP (RFC 2326, section 12.39).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    /// The other end of the RTSP connection.
    peer: IpAddr,
    /// Another address, if the camera states one.
    source: Option<IpAddr>,
    /// Ports of RTP and RTCP.
    ports: Option<(u16, u16)>,
}

impl Sender {
    /// The sender at `peer`, as it states its transport. An error describes what the camera does instead of UDP.
    pub(crate) fn new(transport: &Transport, peer: IpAddr) -> Result<Self, &'static str> {
        if transport.is_tcp == Some(true) {
            return Err("the camera sends over TCP although UDP was requested; use --rtsp-transport tcp");
        }
        if transport.is_multicast {
            return Err("the camera sends to a multicast group although unicast was requested");
        }
        Ok(Self { peer, source: transport.source, ports: transport.server_port })
    }

    /// Whether a packet is from the camera. The port is ignored, because some cameras send from another than they
    /// state.
    pub(crate) fn sent(&self, from: SocketAddr) -> bool {
        let from = from.ip().to_canonical();
        from == self.peer.to_canonical() || self.source.is_some_and(|source| from == source.to_canonical())
    }

    /// Whether an address is at the other end of the RTSP connection, so that packets may be sent there: one that only the
    /// camera has stated could belong to another host.
    pub(crate) fn is_peer(&self, address: SocketAddr) -> bool {
        address.ip().to_canonical() == self.peer.to_canonical()
    }

    /// The addresses of RTP and RTCP, if the camera states its ports.
    pub(crate) fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (rtp, rtcp) = self.ports?;
        Some((SocketAddr::new(self.peer, rtp), SocketAddr::new(self.peer, rtcp)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

    #[tokio::test]
    async fn ports_are_a_pair_and_the_buffer_is_larger_than_a_stock_one() {
        let sockets = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        assert_eq!(sockets.port % 2, 0);
        assert_eq!(sockets.rtcp.local_addr().unwrap().port(), sockets.port + 1);
        let stock = sockopt::socket_recv_buffer_size(&sockets.rtcp).unwrap();
        assert!(sockopt::socket_recv_buffer_size(&sockets.rtp).unwrap() > stock);
    }

    #[test]
    fn all_forms_of_the_transport_header_are_parsed() {
        let sender = |header| Sender::new(&Transport::parse(header), PEER);
        let parse = |header| sender(header).unwrap();
        let at = |port| SocketAddr::new(PEER, port);
        let usual = "RTP/AVP;unicast;client_port=5000-5001;server_port=6970-6971;ssrc=d6d6627";
        assert_eq!(parse(usual).addresses(), Some((at(6970), at(6971))));
        assert_eq!(parse("RTP/AVP/UDP;unicast;server_port=6970").addresses(), Some((at(6970), at(6971))));
        for nothing in
            ["RTP/AVP", "RTP/AVP;server_port=0-0", "RTP/AVP;server_port=65535", "", "x;server_port=-"]
        {
            assert_eq!(parse(nothing).addresses(), None, "{nothing}");
        }
        let elsewhere = parse("RTP/AVP;unicast;source=10.0.0.8;server_port=6970-6971");
        assert!(elsewhere.sent("10.0.0.8:1".parse().unwrap()) && elsewhere.sent(at(9)));
        assert!(!elsewhere.sent("10.0.0.9:6970".parse().unwrap()));
        assert!(elsewhere.is_peer(at(9)) && !elsewhere.is_peer("10.0.0.8:1".parse().unwrap()));
        assert_eq!(elsewhere.addresses(), Some((at(6970), at(6971))));
        assert!(!parse("RTP/AVP;source=0.0.0.0").sent("0.0.0.0:1".parse().unwrap()));
        assert!(sender("RTP/AVP/TCP;interleaved=0-1").unwrap_err().contains("tcp"));
        assert!(sender("RTP/AVP;multicast;destination=224.0.0.1").is_err());
    }
}
