//! The messages that a node has taken and not finished. Its end leaves them unacknowledged, and reports them as lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use msight_proto::{LossSpan, Receipt, Sample, Utc, WeakReceipt};
use tracing::error;

use crate::losses::shortened;
use crate::metrics::Counter;

/// Sensors with a log line of their own.
const MAX_SENSORS: usize = 16;

/// Entries to keep before those of finished messages are removed.
const MIN_ENTRIES: usize = 64;

/// The messages of a node, from all of its inputs, whose receipts are held somewhere. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Unfinished(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    messages: Vec<Entry>,
    /// The number of entries at which those of finished messages are removed next.
    full: usize,
}

#[derive(Debug)]
struct Entry {
    receipt: WeakReceipt,
    sensor: String,
    captured: f64,
    lost: Counter,
}

impl Unfinished {
    /// Watches over a sample that the node gets: it counts as unfinished until its receipt is dropped or passed on. `lost`
    /// counts it if the node ends before.
    pub(super) fn watch<M>(&self, mut sample: Sample<M>, lost: &Counter) -> Sample<M> {
        // One of this node: that of the message can have been passed on by another node of the process.
        let receipt = Receipt::join(sample.take_receipt().into_iter().collect());
        let sensor = sample.head.sensor_name.as_deref().unwrap_or_default();
        let entry = Entry {
            receipt: receipt.downgrade(),
            sensor: shortened(sensor),
            captured: sample.head.capture_timestamp,
            lost: lost.clone(),
        };
        self.state().add(entry);
        sample.with_receipt(receipt)
    }

    /// A guard to be dropped before the node: it ends the messages that the node still holds. It also does so when the
    /// node panics.
    pub(super) fn until_the_end(&self) -> EndGuard {
        EndGuard(self.clone())
    }

    /// Leaves the messages that are still held unacknowledged, and counts and logs them as lost.
    fn end(&self, reason: &str) {
        let entries = std::mem::take(&mut self.state().messages);
        let mut losses = BTreeMap::<String, LossSpan>::new();
        for entry in entries {
            let Some(receipt) = entry.receipt.upgrade().filter(Receipt::is_held) else { continue };
            receipt.abandon();
            entry.lost.inc();
            let loss = losses.entry(entry.sensor).or_default();
            *loss = loss.merge(LossSpan::one(entry.captured));
        }
        let others: Vec<_> = losses.values().skip(MAX_SENSORS).map(|loss| loss.count).collect();
        for (sensor, LossSpan { count, from, to }) in losses.iter().take(MAX_SENSORS) {
            error!(sensor, lost = count, from = %Utc(*from), to = %Utc(*to), "messages lost: {reason}");
        }
        if !others.is_empty() {
            let (sensors, lost) = (others.len(), others.iter().sum::<u64>());
            error!(sensors, lost, "messages of further sensors lost: {reason}");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, entry: Entry) {
        if self.messages.len() >= self.full {
            self.messages.retain(|entry| !entry.receipt.is_dropped());
            self.full = (2 * self.messages.len()).max(MIN_ENTRIES);
        }
        self.messages.push(entry);
    }
}

/// Ends the messages of a node when it is dropped. See [`Unfinished::until_the_end`].
pub(super) struct EndGuard(Unfinished);

impl Drop for EndGuard {
    fn drop(&mut self) {
        let has_failed = std::thread::panicking();
        self.0.end(if has_failed {
            "the node failed while it worked on them"
        } else {
            "the node stopped before it had finished them"
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use msight_proto::Head;

    use super::*;

    #[test]
    fn only_what_is_held_is_lost() {
        let (unfinished, lost, acknowledged) =
            (Unfinished::default(), Counter::default(), Arc::new(AtomicUsize::new(0)));
        let sample = |time| {
            let acknowledged = acknowledged.clone();
            let receipt = Receipt::new(move || {
                acknowledged.fetch_add(1, Relaxed);
            });
            let sample = Sample::new(Head::new("gate".to_owned(), time), ()).with_receipt(receipt);
            unfinished.watch(sample, &lost)
        };
        let end = unfinished.until_the_end();
        drop(sample(1.0));
        let (passed_on, abandoned, held) = (sample(2.0), sample(3.0), sample(4.0));
        passed_on.receipt().expect("it has one").pass_on();
        abandoned.receipt().expect("it has one").abandon();
        drop(end);
        drop((passed_on, abandoned, held));
        assert_eq!((lost.get(), acknowledged.load(Relaxed)), (1, 2));
    }

    #[test]
    fn finished_messages_take_no_room() {
        let (unfinished, lost) = (Unfinished::default(), Counter::default());
        let sample = || unfinished.watch(Sample::new(Head::new(None, 0.0), ()), &lost);
        let held: Vec<_> = (0..10).map(|_| sample()).collect();
        for _ in 0..10_000 {
            drop(sample());
        }
        assert!(unfinished.state().messages.len() <= MIN_ENTRIES);
        drop(unfinished.until_the_end());
        assert_eq!(lost.get(), held.len() as u64);
    }
}
