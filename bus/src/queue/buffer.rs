//! The items of a queue and its limits, without locks and waiting.

use std::collections::VecDeque;

use super::limits::Limits;
use super::push_error::PushError;
use super::stats::{QueueStats, Tally};

#[derive(Debug)]
pub(super) struct Buffer<T> {
    pub(super) limits: Limits,
    waiting: VecDeque<(T, usize)>,
    /// The size of the item in flight.
    in_flight: Option<usize>,
    /// Bytes of the waiting items and the item in flight.
    bytes: usize,
    pub(super) closed: bool,
    /// All counters but `waiting` and `in_flight`, which [`stats`](Self::stats) fills in.
    stats: QueueStats,
}

impl<T> Buffer<T> {
    pub(super) fn new(limits: Limits) -> Self {
        let (waiting, stats) = (VecDeque::new(), QueueStats::default());
        Self { limits, waiting, in_flight: None, bytes: 0, closed: false, stats }
    }

    /// Appends an item if there is room. A full queue is not counted, because the producer may wait.
    pub(super) fn admit(&mut self, item: T, bytes: usize) -> Result<(), PushError<T>> {
        if self.closed {
            return Err(PushError::Closed(item));
        }
        if bytes > self.limits.max_item_bytes {
            self.stats.oversized += Tally::one(bytes);
            return Err(PushError::Oversized(item));
        }
        if !self.has_room(bytes) {
            return Err(PushError::Full(item));
        }
        self.stats.accepted += Tally::one(bytes);
        self.bytes += bytes;
        self.waiting.push_back((item, bytes));
        Ok(())
    }

    /// Appends an item if there is room; otherwise counts it as rejected.
    pub(super) fn admit_or_reject(&mut self, item: T, bytes: usize) -> Result<(), PushError<T>> {
        let outcome = self.admit(item, bytes);
        if let Err(PushError::Full(_)) = outcome {
            self.stats.rejected += Tally::one(bytes);
        }
        outcome
    }

    /// Removes the oldest waiting items until one of `bytes` fits, then appends it. Returns the removed items.
    pub(super) fn admit_and_evict(&mut self, item: T, bytes: usize) -> Result<Vec<T>, PushError<T>> {
        let mut evicted = Vec::new();
        if !self.closed && bytes <= self.limits.max_item_bytes {
            while !self.has_room(bytes) {
                let Some((oldest, size)) = self.remove_oldest() else { break };
                self.stats.evicted += Tally::one(size);
                evicted.push(oldest);
            }
        }
        self.admit_or_reject(item, bytes).map(|()| evicted)
    }

    /// Removes the oldest waiting item.
    pub(super) fn take(&mut self) -> Option<T> {
        self.remove_oldest().map(|(item, _)| item)
    }

    /// Removes the oldest waiting item, which keeps its room until [`complete`](Self::complete).
    pub(super) fn take_in_flight(&mut self) -> Option<T> {
        let (item, bytes) = self.waiting.pop_front()?;
        debug_assert!(self.in_flight.is_none(), "one item can be in flight");
        self.in_flight = Some(bytes);
        Some(item)
    }

    /// Frees the room of the item in flight.
    pub(super) fn complete(&mut self) {
        self.bytes -= self.in_flight.take().unwrap_or(0);
    }

    /// Closes the queue and drops its items. Returns the waiting items, and the number of lost items including the one
    /// in flight.
    pub(super) fn abandon(&mut self) -> (VecDeque<(T, usize)>, usize) {
        let lost = Tally { items: self.len() as u64, bytes: self.bytes as u64 };
        self.stats.abandoned += lost;
        self.closed = true;
        self.in_flight = None;
        self.bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        (waiting, lost.items as usize)
    }

    /// Whether no item waits. One may be in flight.
    pub(super) fn has_none_waiting(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a consumer has to wait: the queue is open, and no item waits.
    pub(super) fn is_idle(&self) -> bool {
        self.has_none_waiting() && !self.closed
    }

    /// Items that wait or are in flight.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.in_flight.is_some())
    }

    pub(super) fn stats(&self) -> QueueStats {
        let in_flight = self.in_flight.map(Tally::one).unwrap_or_default();
        let bytes = self.bytes as u64 - in_flight.bytes;
        let waiting = Tally { items: self.waiting.len() as u64, bytes };
        QueueStats { waiting, in_flight, ..self.stats }
    }

    fn has_room(&self, bytes: usize) -> bool {
        let Limits { max_items, max_bytes, .. } = self.limits;
        let fits = self.len() < max_items && self.bytes.saturating_add(bytes) <= max_bytes;
        self.waiting.is_empty() || fits
    }

    fn remove_oldest(&mut self) -> Option<(T, usize)> {
        let (item, bytes) = self.waiting.pop_front()?;
        self.bytes -= bytes;
        Some((item, bytes))
    }
}
