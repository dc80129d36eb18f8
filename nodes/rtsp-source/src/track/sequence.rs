//! The order of RTP packets that come over TCP.
//!
//! TCP keeps the order, so a number that does not follow means that the camera left packets out, began another sequence,
//! numbers in a way of its own, or sent something that does not belong to the stream. The packets after it tell which.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Instant;

use msight_rtp::Packet;

use super::probation::{MIN_SEQUENTIAL, Probation, Waiting};

/// A packet that is equal to one of this many before was sent twice.
const MAX_REPEATED: usize = 16;
/// Packets are equal if this many bytes at both ends are.
const COMPARED: usize = 48;
/// A number that is ahead by at most this many continues the sequence after a loss (`MAX_DROPOUT` of RFC 3550, appendix
/// A.1). One further ahead begins another sequence.
const MAX_AHEAD: u16 = 3000;

/// How a packet relates to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the next in order.
    InOrder,
    /// It waits for the packets after it.
    Held,
    /// It was there before.
    Repeated,
}

/// Passes on the packets of one stream.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    current: Option<Current>,
    /// Digests of the last packets.
    recent: VecDeque<u64>,
    probation: Probation,
    lost: u64,
}

/// The sender of the stream.
#[derive(Clone, Copy, Debug)]
struct Current {
    sender: u32,
    /// The number of the last packet.
    last: u16,
    /// By how much numbers increase: 1, unless the camera has a way of its own.
    step: u16,
    /// Number of packets of other payload types that followed the last packet.
    others: u16,
}

impl Current {
    fn next(&self) -> u16 {
        self.last.wrapping_add(self.step)
    }
}

impl Sequence {
    /// Processes a packet, whose `header` was read from `bytes`. Passes those that are now in order to `emit`, with whether
    /// packets before them are missing.
    pub(crate) fn push(
        &mut self,
        header: &Packet<'_>,
        bytes: &[u8],
        now: Instant,
        emit: &mut impl FnMut(bool, &[u8]),
    ) -> Place {
        let (sender, number) = (header.ssrc, header.sequence);
        let is_held = self.probation.last(sender).is_some_and(|waiting| *waiting.bytes == *bytes);
        let digest = digest(bytes);
        if is_held || self.recent.contains(&digest) {
            return Place::Repeated;
        }
        let Some(current) = self.current else {
            self.current = Some(Current { sender, last: number, step: 1, others: 0 });
            self.remember(digest);
            emit(false, bytes);
            return Place::InOrder;
        };
        if self.is_next(&current, sender, number) {
            self.probation.confirm(current.sender, now);
            self.current = Some(Current { sender, last: number, others: 0, ..current });
            self.remember(digest);
            emit(false, bytes);
            return Place::InOrder;
        }
        match self.probation.push(header, bytes, (current.sender, current.last), now) {
            Some(packets) => {
                self.go_on(sender, &packets, emit);
                self.probation.confirm(sender, now);
                Place::InOrder
            }
            None => Place::Held,
        }
    }

    fn is_next(&self, current: &Current, sender: u32, number: u16) -> bool {
        if current.sender != sender {
            return number == current.next() && !self.probation.is_stranger(sender);
        }
        // The numbers have increased by more than 1, and now they do by 1.
        let before = self.probation.last(sender).map(|waiting| waiting.number);
        let is_of_step_1 = current.step != 1 && before == Some(number.wrapping_sub(1));
        number.wrapping_sub(current.next()) <= current.others && !is_of_step_1
    }

    /// Takes a packet of another payload type. If it belongs to the sender's sequence, as redundancy and comfort noise do,
    /// no packet is missing for it (RFC 3550, section 5.1).
    pub(crate) fn other(&mut self, header: &Packet<'_>) {
        if let Some(current) = &mut self.current
            && current.sender == header.ssrc
            && current.others < MAX_AHEAD
            && current.next().wrapping_add(current.others) == header.sequence
        {
            current.others += 1;
        }
    }

    /// Emits packets that were not in order, and goes on behind them.
    fn go_on(&mut self, sender: u32, packets: &VecDeque<Waiting>, emit: &mut impl FnMut(bool, &[u8])) {
        let Some(last) = packets.back() else { return };
        let mut steps = packets.iter().filter_map(|packet| packet.step);
        let is_regular =
            packets.len() >= MIN_SEQUENTIAL as usize && steps.all(|step| last.step == Some(step));
        let step = last.step.filter(|_| is_regular).unwrap_or(1);
        for packet in packets {
            let after_gap = packet.step.is_none_or(|by| by != 1 && by != step);
            if let Some(by @ 2..=MAX_AHEAD) = packet.step.filter(|_| after_gap) {
                self.lost += u64::from(by - 1);
            }
            self.remember(digest(&packet.bytes));
            emit(after_gap, &packet.bytes);
        }
        self.current = Some(Current { sender, last: last.number, step, others: 0 });
    }

    fn remember(&mut self, digest: u64) {
        if self.recent.len() == MAX_REPEATED {
            self.recent.pop_front();
        }
        self.recent.push_back(digest);
    }

    /// The stream has ended: a packet out of order waits for no other.
    pub(crate) fn finish(&mut self, emit: &mut impl FnMut(bool, &[u8])) {
        if let Some(current) = self.current {
            let packets = self.probation.finish(current.sender);
            self.go_on(current.sender, &packets, emit);
        }
    }

    /// Number of packets missing since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Number of packets since the last call that did not belong to the stream.
    pub(crate) fn take_strays(&mut self) -> u64 {
        self.probation.take_strays()
    }
}

/// Tells packets from each other that have the same number.
fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let (first, last) = (bytes.len().min(COMPARED), bytes.len().saturating_sub(COMPARED));
    (bytes.len(), &bytes[..first], &bytes[last..]).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::probation::TAKEOVER;

    use super::*;

    const CAMERA: u32 = 7;

    fn bytes(sender: u32, number: u16) -> Vec<u8> {
        [&[0x80, 96][..], &number.to_be_bytes(), &[0; 4], &sender.to_be_bytes()].concat()
    }

    /// Pushes packets of these senders and numbers. Returns what comes out: the numbers, and whether packets before are
    /// missing.
    fn out(sequence: &mut Sequence, packets: &[(u32, u16)]) -> Vec<(u16, bool)> {
        out_at(sequence, packets, Instant::now())
    }

    fn out_at(sequence: &mut Sequence, packets: &[(u32, u16)], now: Instant) -> Vec<(u16, bool)> {
        let mut out = Vec::new();
        for (sender, number) in packets {
            let bytes = bytes(*sender, *number);
            sequence.push(&Packet::parse(&bytes).unwrap(), &bytes, now, &mut |after_gap, packet| {
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
            sequence.push(
                &Packet::parse(&bytes).unwrap(),
                &bytes,
                Instant::now(),
                &mut |after_gap, packet| {
                    out.push((Packet::parse(packet).unwrap().sequence, after_gap));
                },
            );
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
        let got = out(&mut sequence, &[(CAMERA, 1), (CAMERA, 30_000), (CAMERA, 30_001), (9, 5), (9, 6)]);
        assert_eq!(got, [(1, false), (30_000, true), (30_001, false)]);
        // The camera's packets wait until the sender before them is silent. None of them is lost.
        let got = out_at(&mut sequence, &[(9, 7), (8, 8)], Instant::now() + Duration::from_secs(1));
        assert_eq!(got, [(5, true), (6, false), (7, false), (8, false)]);
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
        assert!(!out_at(&mut sequence, &alone, Instant::now() + Duration::from_secs(1)).is_empty());
    }

    #[test]
    fn a_sequence_of_another_sender_does_not_take_over_at_once() {
        let mut sequence = Sequence::default();
        let mut packets = of_camera(&[0, 1]);
        packets.extend(
            (0..50).flat_map(|i| (0..80).map(move |k| (9, 500 + 80 * i + k)).chain([(CAMERA, 2 + i)])),
        );
        let got = out(&mut sequence, &packets);
        assert_eq!(got, (0..52).map(|number| (number, false)).collect::<Vec<_>>());
        assert_eq!((sequence.take_lost(), sequence.take_strays()), (0, 4000));
    }

    #[test]
    fn numbers_by_two_are_the_cameras_way() {
        let mut sequence = Sequence::default();
        let twos: Vec<_> = (0..50).map(|i| 2 * i).collect();
        let got = out(&mut sequence, &of_camera(&twos));
        assert_eq!(got, twos.iter().map(|number| (*number, false)).collect::<Vec<_>>());
        // Numbers by one again.
        let ones: Vec<_> = (99..140).collect();
        let got = out(&mut sequence, &of_camera(&ones));
        assert_eq!(got, ones.iter().map(|number| (*number, false)).collect::<Vec<_>>());
        assert_eq!((sequence.take_lost(), sequence.take_strays()), (0, 0));
    }

    #[test]
    fn a_standing_number_loses_no_packet() {
        let mut sequence = Sequence::default();
        let mut out = Vec::new();
        for i in 0..50u8 {
            // Each comes twice.
            for _ in 0..2 {
                let bytes = [&bytes(CAMERA, 0)[..], &[i]].concat();
                sequence.push(
                    &Packet::parse(&bytes).unwrap(),
                    &bytes,
                    Instant::now(),
                    &mut |after_gap, packet| {
                        out.push((packet[12], after_gap));
                    },
                );
            }
        }
        assert_eq!(out, (0..50).map(|i| (i, false)).collect::<Vec<_>>());
    }

    #[test]
    fn gaps_at_every_packet_are_marked_and_the_last_packets_come_out() {
        let mut sequence = Sequence::default();
        let numbers = [0, 2, 5, 9, 11, 16, 18, 21];
        let mut got = out(&mut sequence, &of_camera(&numbers));
        sequence
            .finish(&mut |after_gap, packet| got.push((Packet::parse(packet).unwrap().sequence, after_gap)));
        assert_eq!(got, numbers.map(|number| (number, number > 0)));
        assert_eq!((sequence.take_lost(), sequence.take_strays()), (14, 0));
    }

    #[test]
    fn packets_of_other_types_with_numbers_of_the_sequence_leave_no_gap() {
        let mut sequence = Sequence::default();
        let mut got = out(&mut sequence, &of_camera(&[1]));
        for (sender, number) in [(CAMERA, 2), (9, 3), (CAMERA, 3), (CAMERA, 9)] {
            let bytes = bytes(sender, number);
            sequence.other(&Packet::parse(&bytes).unwrap());
        }
        // The second packet with the number 3 was noise.
        got.extend(out(&mut sequence, &of_camera(&[3, 4])));
        assert_eq!(got, [1, 3, 4].map(|number| (number, false)));
        assert_eq!((sequence.take_lost(), sequence.take_strays()), (0, 0));
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
