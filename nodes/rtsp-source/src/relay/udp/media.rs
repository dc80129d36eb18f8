//! A stream over UDP: reads its sockets, skips overdue packets and sends receiver reports.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task;
use std::time::{Duration, Instant};

use msight_media::Arrival;
use tokio::net::UdpSocket;
use tracing::debug;

use super::flow::Flow;
use super::sockets::{Sender, Sockets};
use crate::counts::Counts;
use crate::track::TrackReader;

/// Time between receiver reports (RFC 3550, section 6.2, sets 5 s as the minimum).
const REPORT_PERIOD: Duration = Duration::from_secs(5);

/// Maximum number of datagrams to read from a socket in one turn. Otherwise a flood of foreign datagrams would occupy
/// the thread.
const MAX_PER_TURN: usize = 1024;

/// The cause of missing packets.
const LOST: &str = "the network lost them; use --rtsp-transport tcp to lose none";

/// Maximum length of a datagram, bytes.
const MAX_DATAGRAM: usize = 65_535;

/// Dummy packets that make a firewall accept the camera's packets: an RTP header, and an empty receiver report.
const HOLE_PUNCH_RTP: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const HOLE_PUNCH_RTCP: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];

/// A stream that was requested over UDP.
pub(crate) struct Media {
    sockets: Sockets,
    sender: Sender,
    flow: Flow,
    reader: TrackReader,
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
        counts: Arc<Counts>,
        reader: TrackReader,
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
            sockets,
            sender,
            flow: Flow::new(reader.clock_rate(), counts),
            reader,
            ssrc: u32::from_be_bytes([s1, s2, s3, s4]),
            name: format!("{:016x}", u64::from_be_bytes(name)),
            reports_to: addresses.map(|(_, rtcp)| rtcp),
            next_report: Instant::now() + REPORT_PERIOD,
            datagram: Box::new([0; MAX_DATAGRAM]),
        })
    }

    /// When [`read`](Self::read) is due, whether or not a datagram comes.
    pub(crate) fn due(&self) -> Instant {
        self.flow.deadline().map_or(self.next_report, |due| due.min(self.next_report))
    }

    /// Whether a socket may have a datagram. Otherwise the task is woken when one has.
    pub(crate) fn poll_readable(&self, context: &mut task::Context<'_>) -> bool {
        let Sockets { rtp, rtcp, .. } = &self.sockets;
        [rtp, rtcp].into_iter().any(|socket| socket.poll_recv_ready(context).is_ready())
    }

    /// Takes the datagrams that have arrived, and does what is due. Never waits.
    ///
    /// # Errors
    /// A socket failed, or the decoding thread has ended.
    pub(crate) fn read(&mut self, arrival: Arrival) -> io::Result<()> {
        for _ in 0..MAX_PER_TURN {
            let Some((length, from)) = receive(&self.sockets.rtcp, &mut self.datagram[..])? else { break };
            let compound = &self.datagram[..length];
            if self.sender.sent(from) && self.flow.control(compound, Instant::now()) {
                if self.sender.is_peer(from) {
                    self.reports_to = Some(from);
                }
                self.reader.control(compound, arrival);
            }
        }
        let (reader, mut outcome) = (&mut self.reader, Ok(()));
        let mut emit = |after_gap: bool, packet: &[u8]| {
            if outcome.is_ok() {
                outcome = reader.packet(after_gap, packet, arrival);
            }
        };
        let mut is_empty = false;
        for _ in 0..MAX_PER_TURN {
            let Some((length, from)) = receive(&self.sockets.rtp, &mut self.datagram[..])? else {
                is_empty = true;
                break;
            };
            if self.sender.sent(from) {
                self.flow.packet(&self.datagram[..length], Instant::now(), &mut emit);
            }
        }
        let now = Instant::now();
        // Expire only after the socket is empty: an awaited packet may have been in it.
        let lost = if is_empty { self.flow.expire(now, &mut emit) } else { 0 };
        outcome.map_err(io::Error::other)?;
        self.reader.missing(lost, LOST);
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

    /// The session has ended: no packet waits for another.
    pub(crate) fn finish(&mut self, arrival: Arrival) {
        let reader = &mut self.reader;
        let lost = self.flow.finish(&mut |after_gap, packet| {
            // A decoding thread that has ended takes no more units.
            let _ = reader.packet(after_gap, packet, arrival);
        });
        self.reader.missing(lost, LOST);
        self.reader.finish(arrival);
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
