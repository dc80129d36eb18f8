//! Sends packets to a client, in its RTSP connection or as UDP datagrams.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use super::rtp::Packets;

/// The time-out of a write, after which the client counts as dead.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of UDP packets between pauses of a millisecond. A key frame in one burst would overflow a receive
/// buffer of default size.
const UDP_BURST: usize = 16;

/// The transport that a client has set up.
pub(super) enum Delivery {
    /// The channels in the connection (RFC 2326, section 10.12).
    Interleaved { rtp: u8, rtcp: u8 },
    /// Sockets that are connected to the client's ports.
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

    /// Waits for a report of the client over UDP. Interleaved reports are messages.
    pub(super) async fn heard_rtcp(&self) {
        let Self::Udp { rtcp, .. } = self else { return std::future::pending().await };
        // An error means that an earlier datagram was rejected. It does not prove that the client is alive.
        while rtcp.recv(&mut [0; 4]).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Writes within [`WRITE_TIMEOUT`].
pub(super) async fn write(tcp: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(WRITE_TIMEOUT, tcp.write_all(bytes)).await?
}

/// Sends a datagram. Errors are ignored, because datagrams may get lost anyway.
async fn send_datagram(socket: &UdpSocket, packet: &[u8]) {
    if let Err(error) = socket.send(packet).await {
        tracing::trace!(%error, "camera cannot send a datagram");
    }
}

/// Binds a pair of sockets to an even port and its successor (RFC 3550, section 11) and connects them to the client's
/// ports. Also returns the even port.
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
