//! The order of RTP packets that come over TCP.
//!
//! TCP keeps the order, so a number that does not follow means that the camera left packets out, began another sequence,
//! or sent something that does not belong to the stream. The packet after it tells which: a packet out of order waits for
//! one that follows it.

use std::collections::VecDeque;

use msight_rtp::Packet;

/// A number that is behind by at most this many, with the same timestamp, belongs to a packet that was sent twice.
const MAX_REPEATED: u16 = 16;
/// A number that is ahead by at most this many continues the sequence after a loss (`MAX_DROPOUT` of RFC 3550, appendix
/// A.1). One further ahead begins another sequence.
const MAX_AHEAD: u16 = 3000;
/// Maximum number of other senders that are remembered: those with a packet out of order, and those of whose packets one
/// did not belong to the stream.
const MAX_SENDERS: usize = 8;
/// Such a sender takes over the stream after this many packets in a row.
const TAKEOVER: u32 = 100;

/// How a packet relates to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the next in order.
    InOrder,
    /// It waits for the packet after it.
    Held,
    /// It was there before.
    Repeated,
}

/// Passes on the packets of one stream.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// The sender and the next number.
    next: Option<(u32, u16)>,
    /// The timestamps of the last packets, by their number modulo [`MAX_REPEATED`].
    timestamps: [u32; MAX_REPEATED as usize],
    /// Packets out of order: the last one of each sender.
    held: VecDeque<Held>,
    /// Senders of packets that did not belong to the stream.
    strangers: VecDeque<u32>,
    lost: u64,
    strays: u64,
}

/// A packet out of order, with the number of packets in a row that its sender has sent.
#[derive(Debug)]
struct Held {
    sender: u32,
    number: u16,
    timestamp: u32,
    packet: Box<[u8]>,
    run: u32,
}

impl Sequence {
    /// Processes a packet, whose `header` was read from `bytes`. Passes those that are now in order to `emit`, with whether
    /// packets before them are missing.
    pub(crate) fn push(
        &mut self,
        header: &Packet<'_>,
        bytes: &[u8],
        emit: &mut impl FnMut(bool, &[u8]),
    ) -> Place {
        let (sender, number) = (header.ssrc, header.sequence);
        let (current, next) = *self.next.get_or_insert((sender, number));
        if number == next && (sender == current || !self.strangers.contains(&sender)) {
            while let Some(held) = self.held.pop_front() {
                self.reject(&held, current);
            }
            self.next = Some((sender, number.wrapping_add(1)));
            *self.timestamp_of(number) = header.timestamp;
            emit(false, bytes);
            return Place::InOrder;
        }
        let is_behind = (1..=MAX_REPEATED).contains(&next.wrapping_sub(number));
        if sender == current && is_behind && *self.timestamp_of(number) == header.timestamp {
            return Place::Repeated;
        }
        let held = Held { sender, number, timestamp: header.timestamp, packet: bytes.into(), run: 1 };
        let of_sender = self.held.iter().position(|before| before.sender == sender);
        match of_sender.and_then(|at| self.held.remove(at)) {
            Some(before) if before.number.wrapping_add(1) == number => self.follow(&before, held, emit),
            before => {
                let is_full = self.held.len() == MAX_SENDERS;
                let oldest = if is_full { self.held.pop_front() } else { None };
                self.strays += u64::from(before.is_some()) + u64::from(oldest.is_some());
                self.held.push_back(held);
                Place::Held
            }
        }
    }

    /// A packet has followed one that was held.
    fn follow(&mut self, before: &Held, mut packet: Held, emit: &mut impl FnMut(bool, &[u8])) -> Place {
        packet.run = before.run + 1;
        if self.strangers.contains(&packet.sender) && packet.run < TAKEOVER {
            self.strays += 1;
            self.held.push_back(packet);
            return Place::Held;
        }
        self.strangers.retain(|sender| *sender != packet.sender);
        if let Some((current, next)) = self.next {
            let missing = before.number.wrapping_sub(next);
            if current == before.sender && missing <= MAX_AHEAD {
                self.lost += u64::from(missing);
            }
        }
        self.next = Some((packet.sender, packet.number.wrapping_add(1)));
        *self.timestamp_of(before.number) = before.timestamp;
        *self.timestamp_of(packet.number) = packet.timestamp;
        emit(true, &before.packet);
        emit(false, &packet.packet);
        Place::InOrder
    }

    fn timestamp_of(&mut self, number: u16) -> &mut u32 {
        &mut self.timestamps[usize::from(number % MAX_REPEATED)]
    }

    fn reject(&mut self, held: &Held, current: u32) {
        self.strays += 1;
        if held.sender != current && !self.strangers.contains(&held.sender) {
            if self.strangers.len() == MAX_SENDERS {
                self.strangers.pop_front();
            }
            self.strangers.push_back(held.sender);
        }
    }

    /// Number of packets missing since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Number of packets since the last call that did not belong to the stream.
    pub(crate) fn take_strays(&mut self) -> u64 {
        std::mem::take(&mut self.strays)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAMERA: u32 = 7;

    fn bytes(sender: u32, number: u16) -> Vec<u8> {
        [&[0x80, 96][..], &number.to_be_bytes(), &[0; 4], &sender.to_be_bytes()].concat()
    }

    /// Pushes packets of these senders and numbers. Returns what comes out: the numbers, and whether packets before are
    /// missing.
    fn out(sequence: &mut Sequence, packets: &[(u32, u16)]) -> Vec<(u16, bool)> {
        let mut out = Vec::new();
        for (sender, number) in packets {
            let bytes = bytes(*sender, *number);
            sequence.push(&Packet::parse(&bytes).unwrap(), &bytes, &mut |after_gap, packet| {
                out.push((Packet::parse(packet).unwrap().sequence, after_gap));
            });
        }
        out
    }

    fn of_camera(numbers: &[u16]) -> Vec<(u32, u16)> {
        numbers.iter().map(|number| (CAMERA, *number)).collect()
    }

    #[test]
    fn a_gap_is_counted_and_repetitions_are_dropped() {
        let mut sequence = Sequence::default();
        let got = out(&mut sequence, &of_camera(&[65_534, 65_535, 65_535, 0, 3, 4, 3, 5]));
        assert_eq!(got, [(65_534, false), (65_535, false), (0, false), (3, true), (4, false), (5, false)]);
        assert_eq!((sequence.take_lost(), sequence.take_strays()), (2, 0));
    }

    #[test]
    fn a_sequence_that_begins_again_a_little_behind_is_no_repetition() {
        let mut sequence = Sequence::default();
        let mut out = Vec::new();
        for (number, timestamp) in [(10, 0), (11, 0), (9, 3600), (10, 3600), (11, 7200), (11, 7200)] {
            let mut bytes = bytes(CAMERA, number);
            bytes[4..8].copy_from_slice(&u32::to_be_bytes(timestamp));
            sequence.push(&Packet::parse(&bytes).unwrap(), &bytes, &mut |after_gap, packet| {
                out.push((Packet::parse(packet).unwrap().sequence, after_gap));
            });
        }
        assert_eq!(out, [(10, false), (11, false), (9, true), (10, false), (11, false)]);
        assert_eq!((sequence.take_lost(), sequence.take_strays()), (0, 0));
    }

    #[test]
    fn a_stream_is_found_among_packets_of_another_sender() {
        let mut sequence = Sequence::default();
        let noise = |i: u16| (9, i.wrapping_mul(7919));
        let packets: Vec<_> = (0..100u16)
            .flat_map(|i| (0..5).map(move |k| noise(5 * i + k)).chain([(CAMERA, 500 + i)]))
            .collect();
        let got = out(&mut sequence, &packets);
        let expected: Vec<_> = (0..100).map(|i| (500 + i, i == 0)).collect();
        assert_eq!(got[0], (0, false), "the first packet of all");
        assert_eq!(got[1..], expected);
    }

    #[test]
    fn a_stray_packet_disturbs_no_other() {
        let mut sequence = Sequence::default();
        let got = out(&mut sequence, &[(CAMERA, 1), (CAMERA, 40), (CAMERA, 2), (9, 5), (CAMERA, 3)]);
        assert_eq!(got, [(1, false), (2, false), (3, false)]);
        assert_eq!((sequence.take_lost(), sequence.take_strays()), (0, 2));
    }

    #[test]
    fn another_sequence_and_another_sender_take_over() {
        let mut sequence = Sequence::default();
        let got =
            out(&mut sequence, &[(CAMERA, 1), (CAMERA, 30_000), (CAMERA, 30_001), (9, 5), (9, 6), (8, 7)]);
        assert_eq!(got, [(1, false), (30_000, true), (30_001, false), (5, true), (6, false), (7, false)]);
        assert_eq!((sequence.take_lost(), sequence.take_strays()), (0, 0));
    }

    #[test]
    fn a_second_sender_with_a_sequence_of_its_own_does_not_take_over() {
        let mut sequence = Sequence::default();
        let mut packets = vec![(CAMERA, 0), (9, 500), (CAMERA, 1)];
        packets.extend((0..50).flat_map(|i| [(9, 501 + 2 * i), (9, 502 + 2 * i), (CAMERA, 2 + i)]));
        let got = out(&mut sequence, &packets);
        assert_eq!(got, (0..52).map(|number| (number, false)).collect::<Vec<_>>());
        // The camera has fallen silent.
        let alone: Vec<_> = (0..TAKEOVER as u16 + 2).map(|i| (9, 601 + i)).collect();
        assert!(!out(&mut sequence, &alone).is_empty());
    }

    proptest! {
        #[test]
        fn all_packets_come_out_between_any_noise(
            noise in prop::collection::vec(prop::option::of((any::<u32>(), any::<u16>())), 1..300),
        ) {
            let (mut packets, mut number) = (vec![(CAMERA, 0)], 0);
            for noise in noise {
                // A number that fits is the noise's one chance in 65,536.
                packets.extend(noise.filter(|(_, n)| *n != number + 1));
                number += 1;
                packets.push((CAMERA, number));
            }
            let got = out(&mut Sequence::default(), &packets);
            prop_assert_eq!(got, (0..=number).map(|number| (number, false)).collect::<Vec<_>>());
        }
    }
}
