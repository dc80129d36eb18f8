//! A stream over UDP: its sockets, and what is due when.

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

/// The time between receiver reports (RFC 3550 section 6.2 has 5 s as the least).
const REPORT_PERIOD: Duration = Duration::from_secs(5);

/// When so much has been taken from the sockets, it is handed on before more is, bytes.
const ENOUGH: usize = 256 << 10;
/// Datagrams of a socket that are looked at before others get their turn: who floods it with what is not ours would
/// otherwise have the thread to themselves.
const MOST_AT_ONCE: usize = 1024;

/// The longest datagram.
const MOST_DATAGRAM: usize = 65_535;

/// Dummies that tell a firewall to let the camera's packets in: an RTP header, and an empty receiver report.
const HOLE_PUNCH_RTP: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const HOLE_PUNCH_RTCP: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];

/// A stream that was asked for over UDP.
pub(crate) struct Media {
    camera: CameraUrl,
    sockets: Sockets,
    sender: Sender,
    flow: Flow,
    lost: Repeated,
    /// Our own SSRC and name: random, as they are to tell nothing (RFC 7022).
    ssrc: u32,
    name: String,
    /// Where the camera's RTCP comes from.
    reports_to: Option<SocketAddr>,
    next_report: Instant,
    datagram: Box<[u8; MOST_DATAGRAM]>,
}

impl Media {
    /// The stream that `sender` has agreed to send to `sockets`. Opens the way through a firewall.
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
            datagram: Box::new([0; MOST_DATAGRAM]),
        })
    }

    /// Waits for packets or for time to pass, and appends what can be handed on to `frames`: often nothing. Nothing is
    /// lost when the future is dropped.
    ///
    /// # Errors
    /// Those of the sockets, and a camera that has begun another stream.
    pub(crate) async fn next(&mut self, frames: &mut Vec<u8>) -> io::Result<()> {
        let due = self.flow.deadline().map_or(self.next_report, |due| due.min(self.next_report));
        tokio::select! {
            ready = self.sockets.rtp.readable() => ready?,
            ready = self.sockets.rtcp.readable() => ready?,
            () = sleep_until(due.into()) => {}
        }
        for _ in 0..MOST_AT_ONCE {
            let Some((length, from)) = receive(&self.sockets.rtcp, &mut self.datagram[..])? else { break };
            let now = Instant::now();
            if self.sender.sent(from) && self.flow.control(&self.datagram[..length], now, frames) {
                self.reports_to = Some(from);
            }
            if frames.len() >= ENOUGH {
                return Ok(());
            }
        }
        let mut emptied = false;
        for _ in 0..MOST_AT_ONCE {
            let Some((length, from)) = receive(&self.sockets.rtp, &mut self.datagram[..])? else {
                emptied = true;
                break;
            };
            if self.sender.sent(from) {
                self.flow.packet(&self.datagram[..length], Instant::now(), frames).map_err(|Restarted| {
                    io::Error::other("it has begun another RTP stream within the session")
                })?;
            }
            if frames.len() >= ENOUGH {
                return Ok(());
            }
        }
        if !emptied {
            // Under a flood others get their turn, too.
            tokio::task::yield_now().await;
        }
        // Only now: what is waited for may have been in the socket.
        let now = Instant::now();
        let lost = self.flow.expire(now, frames);
        if lost > 0 {
            let camera = self.camera.clone();
            self.lost.add(lost, move |lost| {
                warn!("{camera}: {lost} RTP packets were lost on the way; --rtsp-transport tcp loses none");
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

/// A datagram, if there is one.
fn receive(socket: &UdpSocket, datagram: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
    loop {
        match socket.try_recv_from(datagram) {
            Ok(received) => return Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            // An answer to something sent before, by a camera that does not listen there.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends a datagram. One that is lost on the way is not missed either, so errors count for nothing.
fn send(socket: &UdpSocket, datagram: &[u8], to: SocketAddr) {
    if let Err(error) = socket.try_send_to(datagram, to) {
        debug!("a datagram to the camera was not sent: {error}");
    }
}
