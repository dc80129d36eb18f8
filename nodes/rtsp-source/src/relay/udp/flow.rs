//! Puts the RTP packets of a stream in order, and keeps what its receiver reports need.

use std::sync::Arc;
use std::time::Instant;

use msight_rtp::{Fault, Packet};
use retina::rtcp::PacketRef;

use super::reorder::{Arrival, Reorder};
use super::report::Reception;
use crate::counts::{Counts, Discard};

/// One stream of RTP packets.
pub(crate) struct Flow {
    reorder: Reorder,
    /// Set by the first packet.
    reception: Option<Reception>,
    /// The camera has begun another sequence, of which no packet was passed on yet.
    has_restarted: bool,
    counts: Arc<Counts>,
}

impl Flow {
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        Self { reorder: Reorder::default(), reception: None, has_restarted: false, counts }
    }

    /// Processes a packet, and passes the packets that are now in order to `emit`, with whether packets before them are
    /// missing.
    ///
    /// The first packet sets the stream's SSRC, because the `ssrc` that cameras announce is often wrong. Two packets in a
    /// row of another SSRC, or of numbers that do not fit, begin another sequence.
    pub(crate) fn packet(&mut self, packet: &[u8], now: Instant, emit: &mut impl FnMut(bool, &[u8])) {
        let Ok(header) = Packet::parse(packet) else {
            return self.counts.fault(Fault::Malformed).inc();
        };
        let mut arrival = self.place(&header, packet, now, emit);
        if arrival == Arrival::Restarted {
            (self.reorder, self.reception, self.has_restarted) = (Reorder::default(), None, true);
            arrival = self.place(&header, packet, now, emit);
        }
        match arrival {
            Arrival::InOrder => {}
            Arrival::Early => self.counts.reordered.inc(),
            Arrival::Late => self.counts.discarded(Discard::Late).inc(),
            Arrival::Duplicate => self.counts.discarded(Discard::Duplicate).inc(),
            Arrival::Stray | Arrival::Restarted => self.counts.discarded(Discard::Stray).inc(),
        }
    }

    fn place(
        &mut self,
        header: &Packet<'_>,
        packet: &[u8],
        now: Instant,
        emit: &mut impl FnMut(bool, &[u8]),
    ) -> Arrival {
        let Packet { sequence, timestamp, ssrc, .. } = *header;
        match &mut self.reception {
            Some(reception) if reception.ssrc() != ssrc => return self.reorder.stray(sequence),
            Some(reception) => reception.packet(sequence, timestamp, now),
            reception => *reception = Some(Reception::new(ssrc, sequence, timestamp, now)),
        }
        let has_restarted = &mut self.has_restarted;
        self.reorder.push(sequence, packet, now, &mut |after_gap, packet| {
            emit(std::mem::take(has_restarted) || after_gap, packet);
        })
    }

    /// Processes a compound RTCP packet. Returns whether it is one.
    pub(crate) fn control(&mut self, compound: &[u8], now: Instant) -> bool {
        if !is_rtcp(compound) {
            self.counts.discarded(Discard::Stray).inc();
            return false;
        }
        if let Some(reception) = &mut self.reception {
            reception.control(compound, now);
        }
        true
    }

    /// When to call [`expire`](Self::expire), if ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.reorder.deadline()
    }

    /// Skips packets that are overdue. Returns how many were skipped since the last call.
    pub(crate) fn expire(&mut self, now: Instant, emit: &mut impl FnMut(bool, &[u8])) -> u64 {
        self.reorder.expire(now, emit);
        self.reorder.take_lost()
    }

    /// A receiver report, after the first packet.
    pub(crate) fn report(&mut self, own: u32, name: &str, now: Instant) -> Option<Vec<u8>> {
        Some(self.reception.as_mut()?.report(own, name, now))
    }
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

    fn packet(number: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 96];
        packet.extend_from_slice(&number.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet
    }

    /// A flow, and the packets that came out of it: their numbers, and whether packets before them are missing.
    struct Recorded {
        flow: Flow,
        counts: Arc<Counts>,
        out: Vec<(u8, bool)>,
    }

    impl Recorded {
        fn new() -> Self {
            let counts = Arc::new(Counts::new(&Metrics::default()));
            Self { flow: Flow::new(counts.clone()), counts, out: Vec::new() }
        }

        fn take(&mut self, bytes: &[u8], now: Instant) {
            self.flow.packet(bytes, now, &mut |after_gap, packet| self.out.push((packet[3], after_gap)));
        }

        fn expire(&mut self, now: Instant) -> u64 {
            self.flow.expire(now, &mut |after_gap, packet| self.out.push((packet[3], after_gap)))
        }
    }

    #[test]
    fn the_order_is_restored_and_a_gap_is_marked() {
        let (mut recorded, now) = (Recorded::new(), Instant::now());
        for number in [0, 2, 1, 1, 3, 5] {
            recorded.take(&packet(number, 0, 1), now);
        }
        assert_eq!(recorded.out, [0, 1, 2, 3].map(|number| (number, false)));
        assert_eq!(recorded.expire(now + Duration::from_secs(1)), 1);
        assert_eq!(recorded.out[4..], [(5, true)]);
        assert_eq!(recorded.counts.discarded(Discard::Duplicate).get(), 1);
        assert_eq!(recorded.counts.reordered.get(), 2);
    }

    #[test]
    fn packets_of_another_stream_are_discarded_until_two_follow_each_other() {
        let (mut recorded, now) = (Recorded::new(), Instant::now());
        for bytes in [packet(1, 0, 1), packet(2, 0, 2), packet(2, 0, 1), vec![], vec![0; 12], packet(7, 0, 2)]
        {
            recorded.take(&bytes, now);
        }
        assert_eq!(recorded.out, [(1, false), (2, false)]);
        assert_eq!(recorded.counts.discarded(Discard::Stray).get(), 2);
        assert_eq!(recorded.counts.fault(Fault::Malformed).get(), 2);
        recorded.take(&packet(8, 0, 2), now);
        recorded.take(&packet(9, 0, 2), now);
        assert_eq!(recorded.out[2..], [(8, true), (9, false)]);
    }

    #[test]
    fn only_rtcp_is_taken_for_it() {
        let (mut recorded, now) = (Recorded::new(), Instant::now());
        assert!(!recorded.flow.control(b"", now) && !recorded.flow.control(&[0x80, 200, 0, 6], now));
        assert!(recorded.flow.control(&[0x80, 201, 0, 1, 0, 0, 0, 0], now));
    }

    proptest! {
        #[test]
        fn arbitrary_packets_are_accepted(
            packets in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..60)
        ) {
            let (mut recorded, mut now) = (Recorded::new(), Instant::now());
            for (ours, mut bytes) in packets {
                // Half of them belong to one stream, so that the code behind the header check runs.
                if let (true, Some(header)) = (ours, bytes.first_chunk_mut::<12>()) {
                    header[0] = 0x80;
                    header[2] = 0;
                    header[8..].fill(0);
                }
                recorded.take(&bytes, now);
                recorded.flow.control(&bytes, now);
                now += Duration::from_millis(30);
                recorded.expire(now);
                let _ = recorded.flow.report(1, "name", now);
            }
        }
    }
}
