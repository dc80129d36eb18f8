//! A stream over UDP: reads its sockets, skips overdue packets and sends receiver reports.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use msight_node::logs::Repeated;
use tokio::net::UdpSocket;
use tokio::time::sleep_until;
use tracing::{debug, warn};

use super::flow::{Flow, Restarted};
use super::sockets::{Sender, Sockets};
use crate::counts::Counts;
use crate::url::CameraUrl;

/// Time between receiver reports (RFC 3550, section 6.2, sets 5 s as the minimum).
const REPORT_PERIOD: Duration = Duration::from_secs(5);

/// Bytes after which packets are forwarded before more are read.
const FORWARD_AT: usize = 256 << 10;
/// Maximum number of datagrams to read from a socket in one turn. Otherwise a flood of foreign datagrams would occupy
/// the thread.
const MAX_PER_TURN: usize = 1024;

/// Maximum length of a datagram, bytes.
const MAX_DATAGRAM: usize = 65_535;

/// Dummy packets that make a firewall accept the camera's packets: an RTP header, and an empty receiver report.
const HOLE_PUNCH_RTP: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const HOLE_PUNCH_RTCP: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];

/// A stream that was requested over UDP.
pub(crate) struct Media {
    camera: CameraUrl,
    sockets: Sockets,
    sender: Sender,
    flow: Flow,
    lost: Repeated,
    /// Our own SSRC and name. They are random, so that they reveal nothing (RFC 7022).
    ssrc: u32,
    name: String,
    /// Address that the camera's RTCP comes from.
    reports_to: Option<SocketAddr>,
    next_report: Instant,
    datagram: Box<[u8; MAX_DATAGRAM]>,
}

impl Media {
    /// The stream that `sender` has agreed to send to `sockets`. Sends dummy packets to open a firewall.
    pub(crate) fn new(
        sockets: Sockets,
        sender: Sender,
        camera: CameraUrl,
        counts: Arc<Counts>,
    ) -> io::Result<Self> {
        let mut random = [0; 12];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let [s1, s2, s3, s4, name @ ..] = random;
        let addresses = sender.addresses();
        if let Some((rtp, rtcp)) = addresses {
            send(&sockets.rtp, &HOLE_PUNCH_RTP, rtp);
            send(&sockets.rtcp, &HOLE_PUNCH_RTCP, rtcp);
        }
        Ok(Self {
            camera,
            sockets,
            sender,
            flow: Flow::new(counts),
            lost: Repeated::new(),
            ssrc: u32::from_be_bytes([s1, s2, s3, s4]),
            name: format!("{:016x}", u64::from_be_bytes(name)),
            reports_to: addresses.map(|(_, rtcp)| rtcp),
            next_report: Instant::now() + REPORT_PERIOD,
            datagram: Box::new([0; MAX_DATAGRAM]),
        })
    }

    /// Waits for packets or for the next deadline, and appends packets to forward to `frames`, often none. Cancel safe:
    /// dropping the future loses no packets.
    ///
    /// # Errors
    /// A socket failed, or the camera has begun another stream.
    pub(crate) async fn next(&mut self, frames: &mut Vec<u8>) -> io::Result<()> {
        let due = self.flow.deadline().map_or(self.next_report, |due| due.min(self.next_report));
        tokio::select! {
            ready = self.sockets.rtp.readable() => ready?,
            ready = self.sockets.rtcp.readable() => ready?,
            () = sleep_until(due.into()) => {}
        }
        for _ in 0..MAX_PER_TURN {
            let Some((length, from)) = receive(&self.sockets.rtcp, &mut self.datagram[..])? else { break };
            let now = Instant::now();
            if self.sender.sent(from) && self.flow.control(&self.datagram[..length], now, frames) {
                self.reports_to = Some(from);
            }
            if frames.len() >= FORWARD_AT {
                return Ok(());
            }
        }
        let mut emptied = false;
        for _ in 0..MAX_PER_TURN {
            let Some((length, from)) = receive(&self.sockets.rtp, &mut self.datagram[..])? else {
                emptied = true;
                break;
            };
            if self.sender.sent(from) {
                self.flow.packet(&self.datagram[..length], Instant::now(), frames).map_err(|Restarted| {
                    io::Error::other("the camera has begun another RTP stream within the session")
                })?;
            }
            if frames.len() >= FORWARD_AT {
                return Ok(());
            }
        }
        if !emptied {
            // Lets other tasks run during a flood.
            tokio::task::yield_now().await;
        }
        // Expire only after the sockets are empty: an awaited packet may have been in one.
        let now = Instant::now();
        let lost = self.flow.expire(now, frames);
        if lost > 0 {
            let camera = self.camera.clone();
            self.lost.add(lost, move |lost| {
                warn!(
                    "{camera}: {lost} RTP packets lost in the network; use --rtsp-transport tcp to lose none"
                );
            });
        }
        if now >= self.next_report {
            self.next_report = now + REPORT_PERIOD;
            if let Some(to) = self.reports_to
                && let Some(report) = self.flow.report(self.ssrc, &self.name, now)
            {
                send(&self.sockets.rtcp, &report, to);
            }
        }
        Ok(())
    }
}

/// Reads a datagram, if there is one.
fn receive(socket: &UdpSocket, datagram: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
    loop {
        match socket.try_recv_from(datagram) {
            Ok(received) => return Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            // The ICMP response to an earlier packet, from a camera that does not listen on that port.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends a datagram. Errors are only logged at debug level, because the network may lose datagrams anyway.
fn send(socket: &UdpSocket, datagram: &[u8], to: SocketAddr) {
    if let Err(error) = socket.try_send_to(datagram, to) {
        debug!("cannot send a datagram to the camera: {error}");
    }
}
