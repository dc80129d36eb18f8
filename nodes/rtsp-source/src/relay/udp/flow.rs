//! Puts the RTP packets of a stream in order, and keeps what its receiver reports need.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use msight_rtp::{Fault, Packet};
use retina::rtcp::PacketRef;

use super::reorder::{Arrival, Reorder};
use super::report::Reception;
use crate::counts::{Counts, Discard};
use crate::track::{Probation, Waiting};

/// One stream of RTP packets.
pub(crate) struct Flow {
    clock_rate: u32,
    reorder: Reorder,
    /// Set by the first packet.
    reception: Option<Reception>,
    probation: Probation,
    counts: Arc<Counts>,
}

impl Flow {
    pub(crate) fn new(clock_rate: u32, counts: Arc<Counts>) -> Self {
        let (reorder, probation) = (Reorder::default(), Probation::default());
        Self { clock_rate, reorder, reception: None, probation, counts }
    }

    /// Processes a packet, and passes the packets that are now in order to `emit`, with whether packets before them are
    /// missing.
    ///
    /// The first packet sets the stream's SSRC, because the `ssrc` that cameras announce is often wrong. Packets of another
    /// SSRC, or of numbers that do not fit, are on probation: they may begin another sequence.
    pub(crate) fn packet(&mut self, packet: &[u8], now: Instant, emit: &mut impl FnMut(bool, &[u8])) {
        let Ok(header) = Packet::parse(packet) else {
            return self.counts.fault(Fault::Malformed).inc();
        };
        let current = self.reception.as_ref().map(|reception| (reception.ssrc(), self.reorder.last()));
        match (self.place(&header, packet, now, emit), current) {
            (Arrival::InOrder, Some((sender, _))) => self.probation.confirm(sender, now),
            (Arrival::Stray, Some(current)) => {
                if let Some(packets) = self.probation.push(&header, packet, current, now) {
                    self.restart(&packets, now, emit);
                }
            }
            (arrival, _) => self.count(arrival),
        }
        self.counts.discarded(Discard::Stray).inc_by(self.probation.take_strays());
    }

    /// Begins another sequence with these packets.
    fn restart(&mut self, packets: &VecDeque<Waiting>, now: Instant, emit: &mut impl FnMut(bool, &[u8])) {
        (self.reorder, self.reception) = (Reorder::default(), None);
        let mut has_begun = false;
        for packet in packets {
            let Ok(header) = Packet::parse(&packet.bytes) else { continue };
            let arrival = self.place(&header, &packet.bytes, now, &mut |after_gap, packet| {
                emit(after_gap || !std::mem::replace(&mut has_begun, true), packet);
            });
            self.count(arrival);
        }
        if let Some(reception) = &self.reception {
            self.probation.confirm(reception.ssrc(), now);
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
        if self.reception.as_ref().is_some_and(|reception| reception.ssrc() != ssrc) {
            return Arrival::Stray;
        }
        let arrival = self.reorder.push(sequence, packet, now, emit);
        match &mut self.reception {
            Some(_) if arrival == Arrival::Stray => {}
            Some(reception) => reception.packet(sequence, timestamp, now),
            reception => {
                *reception = Some(Reception::new(self.clock_rate, ssrc, sequence, timestamp, now));
            }
        }
        arrival
    }

    fn count(&self, arrival: Arrival) {
        match arrival {
            Arrival::InOrder => {}
            Arrival::Early => self.counts.reordered.inc(),
            Arrival::Late => self.counts.discarded(Discard::Late).inc(),
            Arrival::Duplicate => self.counts.discarded(Discard::Duplicate).inc(),
            Arrival::Stray => self.counts.discarded(Discard::Stray).inc(),
        }
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

    /// The stream has ended: no packet waits for another. Returns how many were skipped since the last call.
    pub(crate) fn finish(&mut self, emit: &mut impl FnMut(bool, &[u8])) -> u64 {
        self.reorder.finish(emit);
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
            Self { flow: Flow::new(90_000, counts.clone()), counts, out: Vec::new() }
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
    fn another_stream_takes_over_when_the_first_is_silent() {
        let (mut recorded, now) = (Recorded::new(), Instant::now());
        for bytes in [packet(1, 0, 1), packet(2, 0, 1), vec![], vec![0; 12], packet(7, 0, 2), packet(8, 0, 2)]
        {
            recorded.take(&bytes, now);
        }
        assert_eq!(recorded.out, [(1, false), (2, false)]);
        assert_eq!(recorded.counts.fault(Fault::Malformed).get(), 2);
        recorded.take(&packet(9, 0, 2), now + Duration::from_secs(1));
        assert_eq!(recorded.out[2..], [(7, true), (8, false), (9, false)]);
        assert_eq!(recorded.counts.discarded(Discard::Stray).get(), 0);
    }

    #[test]
    fn a_sequence_that_begins_again_goes_on() {
        let (mut recorded, now) = (Recorded::new(), Instant::now());
        for number in [1, 2, 30_000, 3, 20_000, 20_001] {
            recorded.take(&packet(number, 0, 1), now);
        }
        let [a, b] = [20_000u16, 20_001].map(|number| number.to_be_bytes()[1]);
        assert_eq!(recorded.out, [(1, false), (2, false), (3, false), (a, true), (b, false)]);
        assert_eq!(recorded.counts.discarded(Discard::Stray).get(), 1);
    }

    #[test]
    fn noise_of_another_sender_with_numbers_in_order_does_not_take_over() {
        let (mut recorded, mut now) = (Recorded::new(), Instant::now());
        recorded.take(&packet(0, 0, 1), now);
        // 2,000 packets of noise a second, and 25 of the camera.
        for frame in 1..100 {
            recorded.take(&packet(frame, 0, 1), now);
            for noise in 0..80 {
                recorded.take(&packet(frame * 80 + noise, 0, 9), now);
            }
            now += Duration::from_millis(40);
        }
        assert_eq!(recorded.out, (0..100).map(|number| (number, false)).collect::<Vec<_>>());
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
