//! The queue of access units between network and decoder, bounded in number and bytes.

use std::sync::Arc;

use msight_media::AccessUnit;
use msight_node::queue::{BoundedQueue, Limits, PushError};
use msight_proto::AccessUnitData;

/// Ten seconds at 30 frames a second, and more than ten seconds at the 16 Mbit/s of a 4K camera at high quality.
const LIMITS: Limits = Limits::new(300, 32 << 20);

/// A unit for the decoder.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) unit: AccessUnit,
    /// The same unit as a message, if its picture is to carry it.
    pub(crate) message: Option<Arc<AccessUnitData>>,
}

impl From<AccessUnit> for Encoded {
    fn from(unit: AccessUnit) -> Self {
        Self { unit, message: None }
    }
}

/// The result of offering a unit to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is in the queue.
    Taken,
    /// The queue was full, or it waits for a key frame since it was full.
    Dropped,
    /// The decoding thread has ended.
    Closed,
}

/// A queue that never blocks its producer. When it is full, it drops all units up to the next key frame, because none
/// of them could be decoded.
pub(crate) fn queue() -> (UnitSender, UnitReceiver) {
    bounded(LIMITS)
}

fn bounded(limits: Limits) -> (UnitSender, UnitReceiver) {
    let queue = Arc::new(BoundedQueue::new(limits));
    (UnitSender { queue: queue.clone(), needs_key: false }, UnitReceiver { queue })
}

/// The sender, for the network. Dropping it ends the queue after its remaining units.
#[derive(Debug)]
pub(crate) struct UnitSender {
    queue: Arc<BoundedQueue<Encoded>>,
    needs_key: bool,
}

impl UnitSender {
    /// Queues a unit, or drops it. Never waits.
    pub(crate) fn offer(&mut self, encoded: impl Into<Encoded>) -> Offered {
        let encoded = encoded.into();
        if self.needs_key && !encoded.unit.key {
            return if self.queue.is_closed() { Offered::Closed } else { Offered::Dropped };
        }
        let bytes = encoded.unit.data.len();
        let offered = match self.queue.try_push(encoded, bytes) {
            Ok(()) => Offered::Taken,
            Err(PushError::Full(_) | PushError::Oversized(_)) => Offered::Dropped,
            Err(PushError::Closed(_)) => Offered::Closed,
        };
        self.needs_key = offered != Offered::Taken;
        offered
    }
}

impl Drop for UnitSender {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The receiver, for the decoder. Dropping it closes the queue.
#[derive(Debug)]
pub(crate) struct UnitReceiver {
    queue: Arc<BoundedQueue<Encoded>>,
}

impl UnitReceiver {
    /// Waits for the next unit; `None` when the sender was dropped and the queue is empty. Not for async code.
    pub(crate) fn blocking_recv(&mut self) -> Option<Encoded> {
        self.queue.blocking_pop()
    }
}

impl Drop for UnitReceiver {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(pts: i64, key: bool, len: usize) -> AccessUnit {
        AccessUnit { data: vec![0; len].into(), pts, ..AccessUnit::from_annex_b(&[], key) }
    }

    #[test]
    fn overflow_drops_up_to_the_next_key_frame() {
        let (mut tx, mut rx) = bounded(Limits::new(2, 1000));
        assert_eq!(tx.offer(unit(0, true, 1)), Offered::Taken);
        assert_eq!(tx.offer(unit(1, false, 1)), Offered::Taken);
        assert_eq!(tx.offer(unit(2, false, 1)), Offered::Dropped);
        assert_eq!(rx.blocking_recv().unwrap().unit.pts, 0);
        assert_eq!(tx.offer(unit(3, false, 1)), Offered::Dropped);
        assert_eq!(tx.offer(unit(4, true, 1)), Offered::Taken);
        drop(rx);
        assert_eq!(tx.offer(unit(5, false, 1)), Offered::Closed);
        assert_eq!(tx.offer(unit(6, false, 1)), Offered::Closed);
    }

    proptest! {
        #[test]
        fn bytes_are_bounded_and_received_units_are_decodable(
            steps in prop::collection::vec((any::<bool>(), prop::bool::weighted(0.2), 0usize..60), 1..200)
        ) {
            let (mut tx, mut rx) = bounded(Limits::new(8, 100));
            let (mut inside, mut expected) = (0usize, 0);
            let mut last = None;
            for (i, (take, key, len)) in steps.into_iter().enumerate() {
                if take && expected > 0 {
                    let out = rx.blocking_recv().unwrap().unit;
                    inside -= out.data.len();
                    expected -= 1;
                    // Units are consecutive, or a key frame follows a gap.
                    prop_assert!(out.key || last.is_none_or(|last| out.pts == last + 1));
                    last = Some(out.pts);
                }
                if tx.offer(unit(i as i64, key, len)) == Offered::Taken {
                    inside += len;
                    expected += 1;
                }
                prop_assert!(inside <= 100 && expected <= 8);
                prop_assert_eq!(tx.queue.stats().waiting.bytes, inside as u64);
            }
        }
    }
}
