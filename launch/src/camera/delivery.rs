//! How packets reach a client: within its RTSP connection, or as datagrams.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use super::rtp::Packets;

/// How long a write may take before the client counts as dead.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Over UDP, so many packets are sent at once, then there is a pause of a millisecond. A key frame in one burst
/// would overflow the receive buffer that a system gives by default.
const UDP_BURST: usize = 16;

/// What a client has set up for its packets.
pub(super) enum Delivery {
    /// The channels in the connection (RFC 2326, section 10.12).
    Interleaved { rtp: u8, rtcp: u8 },
    /// Sockets bound to the client's.
    Udp { rtp: UdpSocket, rtcp: UdpSocket },
}

impl Delivery {
    pub(super) fn rtp_channel(&self) -> Option<u8> {
        if let Self::Interleaved { rtp, .. } = self { Some(*rtp) } else { None }
    }

    pub(super) fn rtcp_channel(&self) -> Option<u8> {
        if let Self::Interleaved { rtcp, .. } = self { Some(*rtcp) } else { None }
    }

    /// Sends the packets of a picture.
    pub(super) async fn send_media(&self, tcp: &mut TcpStream, packets: &Packets) -> io::Result<()> {
        match self {
            Self::Interleaved { .. } => write(tcp, packets.as_bytes()).await?,
            Self::Udp { rtp, .. } => {
                for (index, packet) in packets.iter().enumerate() {
                    if index > 0 && index.is_multiple_of(UDP_BURST) {
                        sleep(Duration::from_millis(1)).await;
                    }
                    send_datagram(rtp, packet).await;
                }
            }
        }
        Ok(())
    }

    /// Sends one RTCP packet.
    pub(super) async fn send_control(&self, tcp: &mut TcpStream, packets: &Packets) -> io::Result<()> {
        match self {
            Self::Interleaved { .. } => write(tcp, packets.as_bytes()).await,
            Self::Udp { rtcp, .. } => {
                send_datagram(rtcp, packets.as_bytes()).await;
                Ok(())
            }
        }
    }

    /// Returns when the client has reported something over UDP; interleaved reports are messages.
    pub(super) async fn heard_rtcp(&self) {
        let Self::Udp { rtcp, .. } = self else { return std::future::pending().await };
        // An error tells that an earlier datagram was refused: no sign of life.
        while rtcp.recv(&mut [0; 4]).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Writes within [`WRITE_TIMEOUT`].
pub(super) async fn write(tcp: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(WRITE_TIMEOUT, tcp.write_all(bytes)).await?
}

/// Sends a datagram. One that is lost on the way is not missed either, so errors count for nothing.
async fn send_datagram(socket: &UdpSocket, packet: &[u8]) {
    if let Err(error) = socket.send(packet).await {
        tracing::trace!(%error, "a datagram was not sent");
    }
}

/// A pair of sockets on an even port and its successor (RFC 3550, section 11), each bound to one of the
/// client's, and the even port.
pub(super) async fn bind_pair(
    local: IpAddr,
    rtp: SocketAddr,
    rtcp: SocketAddr,
) -> io::Result<(UdpSocket, UdpSocket, u16)> {
    const ATTEMPTS: usize = 32;
    for _ in 0..ATTEMPTS {
        let media = UdpSocket::bind((local, 0)).await?;
        let port = media.local_addr()?.port();
        if !port.is_multiple_of(2) {
            continue;
        }
        if let Ok(control) = UdpSocket::bind((local, port + 1)).await {
            media.connect(rtp).await?;
            control.connect(rtcp).await?;
            return Ok((media, control, port));
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
