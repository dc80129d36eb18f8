//! Turns RTP packets from the network into interleaved frames in order.

use std::sync::Arc;
use std::time::Instant;

use retina::rtcp::PacketRef;

use super::reorder::{Arrival, Reorder};
use super::report::Reception;
use super::whole::WholeFrames;
use crate::counts::{Counts, Discard};

/// The channels of the interleaved frames.
pub(crate) const RTP_CHANNEL: u8 = 0;
pub(crate) const RTCP_CHANNEL: u8 = 1;

/// The camera has begun a stream that does not continue the previous one.
#[derive(Debug)]
pub(crate) struct Restarted;

/// One stream of RTP packets.
pub(crate) struct Flow {
    reorder: Reorder,
    whole: WholeFrames,
    /// Set by the first packet.
    reception: Option<Reception>,
    counts: Arc<Counts>,
}

/// The fields of an RTP header that are used here (RFC 3550, section 5.1).
#[derive(Clone, Copy, Debug)]
struct Header {
    marker: bool,
    number: u16,
    timestamp: u32,
    ssrc: u32,
}

impl Header {
    fn parse(packet: &[u8]) -> Option<Self> {
        let [first, second, n1, n2, t1, t2, t3, t4, s1, s2, s3, s4, ..] = *packet else { return None };
        (first >> 6 == 2).then_some(Self {
            marker: second & 0x80 != 0,
            number: u16::from_be_bytes([n1, n2]),
            timestamp: u32::from_be_bytes([t1, t2, t3, t4]),
            ssrc: u32::from_be_bytes([s1, s2, s3, s4]),
        })
    }
}

impl Flow {
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        Self { reorder: Reorder::default(), whole: WholeFrames::default(), reception: None, counts }
    }

    /// Processes a packet, and appends the packets that are now in order to `frames`.
    ///
    /// The first packet sets the stream's SSRC, because the `ssrc` that cameras announce is often wrong.
    pub(crate) fn packet(
        &mut self,
        packet: &[u8],
        now: Instant,
        frames: &mut Vec<u8>,
    ) -> Result<(), Restarted> {
        let Some(Header { number, timestamp, ssrc, .. }) = Header::parse(packet) else {
            self.counts.discarded(Discard::Stray).inc();
            return Ok(());
        };
        let arrival = match &mut self.reception {
            Some(reception) if reception.ssrc() != ssrc => self.reorder.stray(number),
            reception => {
                match reception {
                    Some(reception) => reception.packet(number, timestamp, now),
                    None => *reception = Some(Reception::new(ssrc, number, timestamp, now)),
                }
                self.reorder.push(
                    number,
                    packet,
                    now,
                    &mut append_whole(&mut self.whole, &self.counts, frames),
                )
            }
        };
        match arrival {
            Arrival::InOrder => {}
            Arrival::Early => self.counts.reordered.inc(),
            Arrival::Late => self.counts.discarded(Discard::Late).inc(),
            Arrival::Duplicate => self.counts.discarded(Discard::Duplicate).inc(),
            Arrival::Stray => self.counts.discarded(Discard::Stray).inc(),
            Arrival::Restarted => return Err(Restarted),
        }
        Ok(())
    }

    /// Processes a compound RTCP packet. Returns whether it is one.
    pub(crate) fn control(&mut self, compound: &[u8], now: Instant, frames: &mut Vec<u8>) -> bool {
        if !is_rtcp(compound) {
            self.counts.discarded(Discard::Stray).inc();
            return false;
        }
        if let Some(reception) = &mut self.reception {
            reception.control(compound, now);
        }
        frame(RTCP_CHANNEL, compound, frames);
        true
    }

    /// When to call [`expire`](Self::expire), if ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.reorder.deadline()
    }

    /// Skips packets that are overdue. Returns how many were skipped since the last call.
    pub(crate) fn expire(&mut self, now: Instant, frames: &mut Vec<u8>) -> u64 {
        self.reorder.expire(now, &mut append_whole(&mut self.whole, &self.counts, frames));
        let lost = self.reorder.take_lost();
        self.counts.lost_packets.inc_by(lost);
        lost
    }

    /// A receiver report, after the first packet.
    pub(crate) fn report(&mut self, own: u32, name: &str, now: Instant) -> Option<Vec<u8>> {
        Some(self.reception.as_mut()?.report(own, name, now))
    }
}

/// Appends packets of whole frames.
fn append_whole(whole: &mut WholeFrames, counts: &Counts, frames: &mut Vec<u8>) -> impl FnMut(bool, &[u8]) {
    move |after_gap, packet| {
        let Some(header) = Header::parse(packet) else { return };
        if whole.admit(after_gap, header.timestamp, header.marker) {
            frame(RTP_CHANNEL, packet, frames);
        } else {
            counts.discarded(Discard::BrokenFrame).inc();
        }
    }
}

/// Appends an interleaved frame (RFC 2326 section 10.12). A UDP datagram is shorter than the limit of 65,535 bytes.
fn frame(channel: u8, packet: &[u8], frames: &mut Vec<u8>) {
    let Ok(length) = u16::try_from(packet.len()) else { return };
    frames.extend_from_slice(&[b'$', channel]);
    frames.extend_from_slice(&length.to_be_bytes());
    frames.extend_from_slice(packet);
}

fn is_rtcp(mut compound: &[u8]) -> bool {
    while let Ok((_, rest)) = PacketRef::parse(compound) {
        if rest.is_empty() {
            return true;
        }
        compound = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use msight_node::metrics::Metrics;
    use proptest::prelude::*;

    use super::*;

    fn packet(number: u16, timestamp: u32, marker: bool, ssrc: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 96 | u8::from(marker) << 7];
        packet.extend_from_slice(&number.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet
    }

    /// The sequence numbers in interleaved frames of RTP.
    fn numbers(frames: &[u8]) -> Vec<u8> {
        frames.chunks(16).map(|frame| frame[7]).collect()
    }

    #[test]
    fn reordered_frames_are_restored_and_broken_ones_discarded() {
        let counts = Arc::new(Counts::new(&Metrics::default()));
        let (mut flow, now, mut frames) = (Flow::new(counts.clone()), Instant::now(), Vec::new());
        // Frames of three packets. The first is reordered and has a duplicate; the second lacks a packet.
        for number in [0, 2, 1, 1, 3, 5, 6, 7, 8] {
            let sent = packet(number, u32::from(number / 3), number % 3 == 2, 1);
            assert!(flow.packet(&sent, now, &mut frames).is_ok());
        }
        assert_eq!(numbers(&frames), [0, 1, 2, 3]);
        assert_eq!(flow.expire(now + Duration::from_secs(1), &mut frames), 1);
        assert_eq!(numbers(&frames), [0, 1, 2, 3, 6, 7, 8]);
        let discarded = |why| counts.discarded(why).get();
        assert_eq!((discarded(Discard::BrokenFrame), discarded(Discard::Duplicate)), (1, 1));
        assert_eq!((counts.lost_packets.get(), counts.reordered.get()), (1, 5));
    }

    #[test]
    fn packets_of_another_stream_are_discarded_until_two_follow_each_other() {
        let counts = Arc::new(Counts::new(&Metrics::default()));
        let (mut flow, now, mut frames) = (Flow::new(counts.clone()), Instant::now(), Vec::new());
        let mut take = |bytes: &[u8]| flow.packet(bytes, now, &mut frames).is_ok();
        assert!(take(&packet(1, 0, true, 1)) && take(&packet(2, 0, true, 2)) && take(&packet(2, 0, true, 1)));
        assert!(take(b"") && take(&[0; 12]) && take(&packet(7, 0, true, 2)));
        assert!(!take(&packet(8, 0, true, 2)));
        assert!(!flow.control(b"", now, &mut frames) && !flow.control(&[0x80, 200, 0, 6], now, &mut frames));
        assert_eq!(numbers(&frames), [1, 2]);
        assert_eq!(counts.discarded(Discard::Stray).get(), 6);
        assert!(flow.control(&[0x80, 201, 0, 1, 0, 0, 0, 0], now, &mut frames));
        assert_eq!(frames[32..36], [b'$', RTCP_CHANNEL, 0, 8]);
    }

    proptest! {
        #[test]
        fn arbitrary_packets_are_accepted(
            packets in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..60)
        ) {
            let (mut flow, mut frames) = (Flow::new(Arc::new(Counts::new(&Metrics::default()))), Vec::new());
            let mut now = Instant::now();
            for (ours, mut bytes) in packets {
                // Half of them belong to one stream, so that the code behind the header check runs.
                if let (true, Some(header)) = (ours, bytes.first_chunk_mut::<12>()) {
                    header[0] = 0x80;
                    header[2] = 0;
                    header[8..].fill(0);
                }
                let _ = flow.packet(&bytes, now, &mut frames);
                flow.control(&bytes, now, &mut frames);
                now += Duration::from_millis(30);
                flow.expire(now, &mut frames);
                let _ = flow.report(1, "name", now);
            }
        }
    }
}
