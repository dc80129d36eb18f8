//! The queue of access units between network and decoder, bounded in number and bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use msight_media::AccessUnit;
use tokio::sync::mpsc;

/// Ten seconds at 30 frames a second.
const MOST_UNITS: usize = 300;
/// More than ten seconds at the 16 Mbit/s of a good 4K camera.
const MOST_BYTES: usize = 32 << 20;

/// What became of a unit that was offered to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is in the queue.
    Taken,
    /// The queue was full, or still waits for a key frame since it was.
    Dropped,
    /// Nobody takes units any more.
    Closed,
}

/// A queue that never makes its producer wait: when it is full, everything up to the next key frame is dropped, since
/// nothing of that could be decoded.
pub(crate) fn queue() -> (UnitSender, UnitReceiver) {
    bounded(MOST_UNITS, MOST_BYTES)
}

fn bounded(most_units: usize, most_bytes: usize) -> (UnitSender, UnitReceiver) {
    let (tx, rx) = mpsc::channel(most_units);
    let bytes = Arc::new(AtomicUsize::new(0));
    (UnitSender { tx, bytes: bytes.clone(), most_bytes, needs_key: false }, UnitReceiver { rx, bytes })
}

#[derive(Debug)]
pub(crate) struct UnitSender {
    tx: mpsc::Sender<AccessUnit>,
    bytes: Arc<AtomicUsize>,
    most_bytes: usize,
    needs_key: bool,
}

impl UnitSender {
    /// Puts a unit into the queue or drops it; never waits.
    pub(crate) fn offer(&mut self, unit: AccessUnit) -> Offered {
        let len = unit.data.len();
        if self.needs_key && !unit.key || self.bytes.load(Ordering::Relaxed) + len > self.most_bytes {
            self.needs_key = true;
            return if self.tx.is_closed() { Offered::Closed } else { Offered::Dropped };
        }
        self.bytes.fetch_add(len, Ordering::Relaxed);
        let offered = match self.tx.try_send(unit) {
            Ok(()) => Offered::Taken,
            Err(mpsc::error::TrySendError::Full(_)) => Offered::Dropped,
            Err(mpsc::error::TrySendError::Closed(_)) => Offered::Closed,
        };
        self.needs_key = offered != Offered::Taken;
        if self.needs_key {
            self.bytes.fetch_sub(len, Ordering::Relaxed);
        }
        offered
    }
}

#[derive(Debug)]
pub(crate) struct UnitReceiver {
    rx: mpsc::Receiver<AccessUnit>,
    bytes: Arc<AtomicUsize>,
}

impl UnitReceiver {
    /// Waits for the next unit; `None` when the producer is gone and the queue is empty. Not for async code.
    pub(crate) fn blocking_recv(&mut self) -> Option<AccessUnit> {
        let unit = self.rx.blocking_recv()?;
        self.bytes.fetch_sub(unit.data.len(), Ordering::Relaxed);
        Some(unit)
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
        let (mut tx, mut rx) = bounded(2, 1000);
        assert_eq!(tx.offer(unit(0, true, 1)), Offered::Taken);
        assert_eq!(tx.offer(unit(1, false, 1)), Offered::Taken);
        assert_eq!(tx.offer(unit(2, false, 1)), Offered::Dropped);
        assert_eq!(rx.blocking_recv().unwrap().pts, 0);
        assert_eq!(tx.offer(unit(3, false, 1)), Offered::Dropped);
        assert_eq!(tx.offer(unit(4, true, 1)), Offered::Taken);
        drop(rx);
        assert_eq!(tx.offer(unit(5, false, 1)), Offered::Closed);
        assert_eq!(tx.offer(unit(6, false, 1)), Offered::Closed);
    }

    proptest! {
        #[test]
        fn bytes_are_bounded_and_what_comes_out_is_decodable(
            steps in prop::collection::vec((any::<bool>(), prop::bool::weighted(0.2), 0usize..60), 1..200)
        ) {
            let (mut tx, mut rx) = bounded(8, 100);
            let (mut inside, mut expected) = (0usize, 0);
            let mut last = None;
            for (i, (take, key, len)) in steps.into_iter().enumerate() {
                if take && expected > 0 {
                    let out = rx.blocking_recv().unwrap();
                    inside -= out.data.len();
                    expected -= 1;
                    // Consecutive, or a key frame after a hole.
                    prop_assert!(out.key || last.is_none_or(|last| out.pts == last + 1));
                    last = Some(out.pts);
                }
                if tx.offer(unit(i as i64, key, len)) == Offered::Taken {
                    inside += len;
                    expected += 1;
                }
                prop_assert!(inside <= 100 && expected <= 8);
                prop_assert_eq!(tx.bytes.load(Ordering::Relaxed), inside);
            }
        }
    }
}
