//! RTP packets back in the order in which they were sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a packet waits for those before it. ffmpeg waits as long; a network that reorders is done in a tenth of it.
const PATIENCE: Duration = Duration::from_millis(100);

/// What may wait: [`PATIENCE`] at 100 Mbit/s, more than any camera sends.
const MOST_PACKETS: usize = 1024;
const MOST_BYTES: usize = 2 << 20;

/// A sequence number further ahead or behind belongs to another sequence. Ahead as in RFC 3550 appendix A.1
/// (`MAX_DROPOUT`); behind, more is allowed than there, as two such packets in a row end the session.
const FURTHEST_AHEAD: i16 = 3000;
const FURTHEST_BEHIND: i16 = -1000;

/// So many packets that were given up are remembered, to tell a late packet from a repeated one.
const MOST_MISSING: usize = 1024;

/// What a packet turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The next in order.
    InOrder,
    /// It was overtaken by others, which waited for it, or it waits for others now.
    Early,
    /// It came when it had been given up.
    Late,
    /// It was here before.
    Duplicate,
    /// Its number has nothing to do with those before it.
    Stray,
    /// The second stray in a row, and they follow each other: the sender has begun another sequence.
    Restarted,
}

/// Holds packets back until those before them are there, or are given up.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    /// The number to come next, counted on beyond 16 bits.
    next: Option<u64>,
    held: BTreeMap<u64, (Instant, Box<[u8]>)>,
    held_bytes: usize,
    /// Given up.
    missing: BTreeSet<u64>,
    lost: u64,
    /// The number that would follow the last stray.
    after_stray: Option<u16>,
}

impl Reorder {
    /// Takes a packet with its sequence number. All that is in order now goes to `emit`, with whether packets before
    /// it were given up.
    pub(super) fn push(
        &mut self,
        number: u16,
        packet: &[u8],
        now: Instant,
        emit: &mut impl FnMut(bool, &[u8]),
    ) -> Arrival {
        // Room below, for a packet from before the first.
        let next = *self.next.get_or_insert((1 << 16) + u64::from(number));
        let ahead = number.wrapping_sub(next as u16).cast_signed();
        if !(FURTHEST_BEHIND..=FURTHEST_AHEAD).contains(&ahead) {
            return self.stray(number);
        }
        self.after_stray = None;
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
        while self.held.len() > MOST_PACKETS || self.held_bytes > MOST_BYTES {
            self.give_up(emit);
        }
        Arrival::Early
    }

    /// Judges a packet that is not of the stream.
    pub(super) fn stray(&mut self, number: u16) -> Arrival {
        let expected = self.after_stray.replace(number.wrapping_add(1));
        if expected == Some(number) { Arrival::Restarted } else { Arrival::Stray }
    }

    /// Gives up what has been waited for too long.
    pub(super) fn expire(&mut self, now: Instant, emit: &mut impl FnMut(bool, &[u8])) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up(emit);
        }
    }

    /// When to call [`expire`](Self::expire); `None` while nothing waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.held.values().map(|(since, _)| *since + PATIENCE).min()
    }

    /// How many packets were given up since the last call.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Gives up what the first packet held waits for.
    fn give_up(&mut self, emit: &mut impl FnMut(bool, &[u8])) {
        let (Some(next), Some((&first, _))) = (self.next, self.held.first_key_value()) else { return };
        self.lost += first - next;
        self.missing.extend(next..first);
        while self.missing.len() > MOST_MISSING {
            self.missing.pop_first();
        }
        self.next = Some(first);
        self.emit_held(true, emit);
    }

    /// Emits what is held up to the next hole.
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

    /// A buffer with what came out of it: the packets' own numbers and whether something is missing before them.
    #[derive(Default)]
    struct Bench {
        reorder: Reorder,
        out: Vec<(u32, bool)>,
    }

    impl Bench {
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
    fn a_lost_packet_is_waited_for_and_then_given_up() {
        let (mut bench, start) = (Bench::default(), Instant::now());
        assert_eq!(bench.push(65_534, start), Arrival::InOrder);
        assert_eq!(bench.push(65_536, start), Arrival::Early);
        assert_eq!(bench.push(65_536, start), Arrival::Duplicate);
        assert_eq!(bench.reorder.deadline(), Some(start + PATIENCE));
        bench.expire(start + PATIENCE - Duration::from_millis(1));
        assert_eq!(bench.out, [(65_534, false)]);
        bench.expire(start + PATIENCE);
        assert_eq!(bench.out, [(65_534, false), (65_536, true)]);
        assert_eq!((bench.reorder.take_lost(), bench.reorder.take_lost()), (1, 0));
        assert_eq!(bench.push(65_535, start), Arrival::Late);
        assert_eq!(bench.push(65_535, start), Arrival::Duplicate);
        assert_eq!(bench.push(65_537, start), Arrival::InOrder);
        assert_eq!(bench.reorder.deadline(), None);
    }

    #[test]
    fn a_stray_packet_is_left_out_and_two_in_a_row_are_another_sequence() {
        let (mut bench, now) = (Bench::default(), Instant::now());
        assert_eq!(bench.push(10, now), Arrival::InOrder);
        assert_eq!(bench.push(20_000, now), Arrival::Stray);
        assert_eq!(bench.push(11, now), Arrival::InOrder);
        assert_eq!(bench.push(20_001, now), Arrival::Stray);
        assert_eq!(bench.push(20_002, now), Arrival::Restarted);
        assert_eq!(bench.out, [(10, false), (11, false)]);
    }

    #[test]
    fn not_more_is_held_than_allowed() {
        let (mut reorder, now) = (Reorder::default(), Instant::now());
        let large = vec![0; 60_000];
        let mut out = 0;
        reorder.push(0, &large, now, &mut |_, _| out += 1);
        for number in 2..2000 {
            reorder.push(number, &large, now, &mut |_, _| out += 1);
            assert!(reorder.held_bytes <= MOST_BYTES);
        }
        assert_eq!((out, reorder.take_lost()), (1999, 1));
    }

    /// Numbers from a start near the wrap, each moved back by up to 20 places, without the first.
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
        fn any_order_within_the_window_comes_out_in_order((start, numbers) in shuffled()) {
            let (mut bench, now) = (Bench::default(), Instant::now());
            bench.push(start, now);
            for number in &numbers {
                bench.push(*number, now);
            }
            let wanted: Vec<_> = (start..=start + numbers.len() as u32).map(|number| (number, false)).collect();
            prop_assert_eq!(bench.out, wanted);
            prop_assert_eq!((bench.reorder.take_lost(), bench.reorder.deadline()), (0, None));
        }

        #[test]
        fn whatever_comes_goes_out_once_in_order_and_in_time(
            start in any::<u16>(),
            steps in prop::collection::vec((prop_oneof![-30i32..60, -40_000..40_000i32], 0u64..60), 1..200)
        ) {
            let (mut bench, mut now) = (Bench::default(), Instant::now());
            let mut at = i64::from(start) + (1 << 20);
            let (mut lost, mut taken) = (0, 0);
            for (step, wait) in steps {
                now += Duration::from_millis(wait);
                at += i64::from(step).clamp(-30, 30) / 10;
                let number = (at + i64::from(step)) as u32;
                match bench.push(number, now) {
                    Arrival::InOrder | Arrival::Early => taken += 1,
                    _ => {}
                }
                bench.expire(now);
                lost += bench.reorder.take_lost();
                prop_assert!(bench.reorder.held.len() <= MOST_PACKETS);
                prop_assert!(bench.reorder.deadline().is_none_or(|deadline| deadline > now));
                prop_assert_eq!(bench.reorder.held.is_empty(), bench.reorder.held_bytes == 0);
            }
            bench.expire(now + PATIENCE);
            lost += bench.reorder.take_lost();
            prop_assert_eq!(bench.out.len(), taken);
            // In order, and what is not there has been counted and said.
            let mut gaps = 0;
            for pair in bench.out.windows(2) {
                let step = (pair[1].0 as u16).wrapping_sub(pair[0].0 as u16);
                prop_assert!((1..0x8000).contains(&step));
                prop_assert_eq!(step > 1, pair[1].1);
                gaps += u64::from(step) - 1;
            }
            prop_assert_eq!(gaps, lost);
        }
    }
}
