//! Restores the order in which RTP packets were sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a packet waits for earlier ones. ffmpeg waits as long; networks that reorder packets delay them by about a
/// tenth of it.
const MAX_WAIT: Duration = Duration::from_millis(100);

/// Limits on waiting packets: [`MAX_WAIT`] at 100 Mbit/s, more than any camera sends.
const MAX_PACKETS: usize = 1024;
const MAX_BYTES: usize = 2 << 20;

/// Packets with a sequence number further ahead or behind belong to another sequence. The limit ahead is `MAX_DROPOUT`
/// of RFC 3550, appendix A.1. The limit behind is larger than there, because two such packets in a row begin another sequence.
const MAX_AHEAD: i16 = 3000;
const MAX_BEHIND: i16 = -1000;

/// Number of skipped packets to remember, to tell a late packet from a duplicate.
const MAX_MISSING: usize = 1024;

/// How a packet relates to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is the next in order.
    InOrder,
    /// It waits for earlier packets.
    Early,
    /// It arrived after it was skipped.
    Late,
    /// It is a duplicate.
    Duplicate,
    /// Its number does not fit the sequence.
    Stray,
}

/// Holds packets back until the earlier ones have arrived or are skipped.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    /// The next number, extended beyond 16 bits.
    next: Option<u64>,
    held: BTreeMap<u64, (Instant, Box<[u8]>)>,
    held_bytes: usize,
    /// Numbers of skipped packets.
    missing: BTreeSet<u64>,
    lost: u64,
}

impl Reorder {
    /// Processes a packet with its sequence number. Passes all packets that are now in order to `emit`, with whether
    /// packets before them were skipped.
    pub(super) fn push(
        &mut self,
        number: u16,
        packet: &[u8],
        now: Instant,
        emit: &mut impl FnMut(bool, &[u8]),
    ) -> Arrival {
        // Starts above zero, so that a packet before the first has a number.
        let next = *self.next.get_or_insert((1 << 16) + u64::from(number));
        let ahead = number.wrapping_sub(next as u16).cast_signed();
        if !(MAX_BEHIND..=MAX_AHEAD).contains(&ahead) {
            return Arrival::Stray;
        }
        let place = next.wrapping_add_signed(ahead.into());
        if ahead < 0 {
            return if self.missing.remove(&place) { Arrival::Late } else { Arrival::Duplicate };
        }
        if ahead == 0 {
            emit(false, packet);
            self.next = Some(next + 1);
            self.emit_held(false, emit);
            return Arrival::InOrder;
        }
        if self.held.contains_key(&place) {
            return Arrival::Duplicate;
        }
        self.held_bytes += packet.len();
        self.held.insert(place, (now, packet.into()));
        while self.held.len() > MAX_PACKETS || self.held_bytes > MAX_BYTES {
            self.skip(emit);
        }
        Arrival::Early
    }

    /// The number of the last packet that was passed on or skipped, before the first 0.
    pub(super) fn last(&self) -> u16 {
        self.next.map_or(0, |next| (next - 1) as u16)
    }

    /// Skips packets that are overdue.
    pub(super) fn expire(&mut self, now: Instant, emit: &mut impl FnMut(bool, &[u8])) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.skip(emit);
        }
    }

    /// The stream has ended: skips all that is missing.
    pub(super) fn finish(&mut self, emit: &mut impl FnMut(bool, &[u8])) {
        while !self.held.is_empty() {
            self.skip(emit);
        }
    }

    /// When to call [`expire`](Self::expire); `None` while no packet waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.held.values().map(|(since, _)| *since + MAX_WAIT).min()
    }

    /// Number of packets skipped since the last call.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Skips the packets that the first held packet waits for.
    fn skip(&mut self, emit: &mut impl FnMut(bool, &[u8])) {
        let (Some(next), Some((&first, _))) = (self.next, self.held.first_key_value()) else { return };
        self.lost += first - next;
        self.missing.extend(next..first);
        while self.missing.len() > MAX_MISSING {
            self.missing.pop_first();
        }
        self.next = Some(first);
        self.emit_held(true, emit);
    }

    /// Emits held packets up to the next gap.
    fn emit_held(&mut self, mut after_gap: bool, emit: &mut impl FnMut(bool, &[u8])) {
        while let Some(next) = self.next
            && let Some((_, packet)) = self.held.remove(&next)
        {
            self.held_bytes -= packet.len();
            emit(after_gap, &packet);
            after_gap = false;
            self.next = Some(next + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A buffer and its output: the numbers of the packets, and whether packets before them are missing.
    #[derive(Default)]
    struct Recorded {
        reorder: Reorder,
        out: Vec<(u32, bool)>,
    }

    impl Recorded {
        fn push(&mut self, number: u32, now: Instant) -> Arrival {
            let out = &mut self.out;
            self.reorder.push(number as u16, &number.to_be_bytes(), now, &mut |after_gap, packet| {
                out.push((u32::from_be_bytes(packet.try_into().unwrap()), after_gap));
            })
        }

        fn expire(&mut self, now: Instant) {
            let out = &mut self.out;
            self.reorder.expire(now, &mut |after_gap, packet| {
                out.push((u32::from_be_bytes(packet.try_into().unwrap()), after_gap));
            });
        }
    }

    #[test]
    fn a_lost_packet_is_awaited_and_then_skipped() {
        let (mut recorded, start) = (Recorded::default(), Instant::now());
        assert_eq!(recorded.push(65_534, start), Arrival::InOrder);
        assert_eq!(recorded.push(65_536, start), Arrival::Early);
        assert_eq!(recorded.push(65_536, start), Arrival::Duplicate);
        assert_eq!(recorded.reorder.deadline(), Some(start + MAX_WAIT));
        recorded.expire(start + MAX_WAIT - Duration::from_millis(1));
        assert_eq!(recorded.out, [(65_534, false)]);
        recorded.expire(start + MAX_WAIT);
        assert_eq!(recorded.out, [(65_534, false), (65_536, true)]);
        assert_eq!((recorded.reorder.take_lost(), recorded.reorder.take_lost()), (1, 0));
        assert_eq!(recorded.push(65_535, start), Arrival::Late);
        assert_eq!(recorded.push(65_535, start), Arrival::Duplicate);
        assert_eq!(recorded.push(65_537, start), Arrival::InOrder);
        assert_eq!(recorded.reorder.deadline(), None);
    }

    #[test]
    fn a_stray_packet_is_discarded() {
        let (mut recorded, now) = (Recorded::default(), Instant::now());
        assert_eq!(recorded.push(10, now), Arrival::InOrder);
        assert_eq!(recorded.push(20_000, now), Arrival::Stray);
        assert_eq!(recorded.push(11, now), Arrival::InOrder);
        assert_eq!(recorded.out, [(10, false), (11, false)]);
        assert_eq!(recorded.reorder.last(), 11);
    }

    #[test]
    fn all_packets_come_out_at_the_end() {
        let (mut recorded, now) = (Recorded::default(), Instant::now());
        for number in [10, 12, 15] {
            recorded.push(number, now);
        }
        let out = &mut recorded.out;
        recorded.reorder.finish(&mut |after_gap, packet| {
            out.push((u32::from_be_bytes(packet.try_into().unwrap()), after_gap));
        });
        assert_eq!(recorded.out, [(10, false), (12, true), (15, true)]);
        assert_eq!((recorded.reorder.take_lost(), recorded.reorder.deadline()), (3, None));
    }

    #[test]
    fn held_bytes_are_limited() {
        let (mut reorder, now) = (Reorder::default(), Instant::now());
        let large = vec![0; 60_000];
        let mut out = 0;
        reorder.push(0, &large, now, &mut |_, _| out += 1);
        for number in 2..2000 {
            reorder.push(number, &large, now, &mut |_, _| out += 1);
            assert!(reorder.held_bytes <= MAX_BYTES);
        }
        assert_eq!((out, reorder.take_lost()), (1999, 1));
    }

    /// Consecutive numbers from a start near the wrap, without the first, each moved back by up to 20 places.
    fn shuffled() -> impl Strategy<Value = (u32, Vec<u32>)> {
        (60_000u32..70_000, prop::collection::vec(0u32..20, 1..400)).prop_map(|(start, moves)| {
            let mut order: Vec<_> =
                moves.iter().enumerate().map(|(i, by)| (i as u32 + by, start + 1 + i as u32)).collect();
            order.sort();
            (start, order.into_iter().map(|(_, number)| number).collect())
        })
    }

    proptest! {
        #[test]
        fn any_order_within_the_window_is_restored((start, numbers) in shuffled()) {
            let (mut recorded, now) = (Recorded::default(), Instant::now());
            recorded.push(start, now);
            for number in &numbers {
                recorded.push(*number, now);
            }
            let wanted: Vec<_> = (start..=start + numbers.len() as u32).map(|number| (number, false)).collect();
            prop_assert_eq!(recorded.out, wanted);
            prop_assert_eq!((recorded.reorder.take_lost(), recorded.reorder.deadline()), (0, None));
        }

        #[test]
        fn packets_are_emitted_once_in_order_and_in_time(
            start in any::<u16>(),
            steps in prop::collection::vec((prop_oneof![-30i32..60, -40_000..40_000i32], 0u64..60), 1..200)
        ) {
            let (mut recorded, mut now) = (Recorded::default(), Instant::now());
            let mut at = i64::from(start) + (1 << 20);
            let (mut lost, mut taken) = (0, 0);
            for (step, wait) in steps {
                now += Duration::from_millis(wait);
                at += i64::from(step).clamp(-30, 30) / 10;
                let number = (at + i64::from(step)) as u32;
                match recorded.push(number, now) {
                    Arrival::InOrder | Arrival::Early => taken += 1,
                    _ => {}
                }
                recorded.expire(now);
                lost += recorded.reorder.take_lost();
                prop_assert!(recorded.reorder.held.len() <= MAX_PACKETS);
                prop_assert!(recorded.reorder.deadline().is_none_or(|deadline| deadline > now));
                prop_assert_eq!(recorded.reorder.held.is_empty(), recorded.reorder.held_bytes == 0);
            }
            recorded.expire(now + MAX_WAIT);
            lost += recorded.reorder.take_lost();
            prop_assert_eq!(recorded.out.len(), taken);
            // Packets are in order, and missing ones are counted and marked.
            let mut gaps = 0;
            for pair in recorded.out.windows(2) {
                let step = (pair[1].0 as u16).wrapping_sub(pair[0].0 as u16);
                prop_assert!((1..0x8000).contains(&step));
                prop_assert_eq!(step > 1, pair[1].1);
                gaps += u64::from(step) - 1;
            }
            prop_assert_eq!(gaps, lost);
        }
    }
}
