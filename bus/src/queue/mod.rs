//! A queue that is limited in items and bytes, for tasks and threads on both ends.

mod buffer;
mod limits;
mod push_error;
mod signal;
mod stats;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::buffer::Buffer;

pub use self::limits::Limits;
pub use self::push_error::PushError;
use self::signal::Signal;
pub use self::stats::{QueueStats, Tally};

/// A first-in, first-out queue that is bounded in items and in bytes. Share it by [`Arc`](std::sync::Arc).
///
/// The producer chooses what happens when the queue is full: [`force_push`](Self::force_push) drops the oldest items,
/// [`try_push`](Self::try_push) drops the new one, [`push`](Self::push) waits. Async tasks wait in `push` and
/// [`pop`](Self::pop), threads in [`blocking_push`](Self::blocking_push) and [`blocking_pop`](Self::blocking_pop).
/// The queue counts what it drops, by reason.
///
/// A consumer that must not lose an item before its delivery uses [`pop_in_flight`](Self::pop_in_flight). The item then
/// keeps its room until [`complete_in_flight`](Self::complete_in_flight).
#[derive(Debug)]
pub struct BoundedQueue<T> {
    buffer: Mutex<Buffer<T>>,
    /// Signals that an item was added, or the queue closed.
    filled: Signal,
    /// Signals that an item was removed, or the queue closed.
    drained: Signal,
}

/// The result of a pop with a time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Popped<T> {
    /// The oldest item.
    Item(T),
    /// No item was added in time.
    TimedOut,
    /// The queue is closed and empty.
    Closed,
}

impl<T> BoundedQueue<T> {
    /// An empty, open queue.
    pub fn new(limits: Limits) -> Self {
        Self {
            buffer: Mutex::new(Buffer::new(limits)),
            filled: Signal::default(),
            drained: Signal::default(),
        }
    }

    /// Replaces the limits. Items above lower limits stay until the next push.
    pub fn set_limits(&self, limits: Limits) {
        self.lock().limits = limits;
        self.drained.wake_all();
    }

    /// Appends an item of `bytes` bytes if there is room. Never waits.
    ///
    /// # Errors
    /// The queue is full or closed, or the item is too large. A full queue and a large item count as a drop.
    pub fn try_push(&self, item: T, bytes: usize) -> Result<(), PushError<T>> {
        self.lock().admit_or_reject(item, bytes)?;
        self.filled.wake_one();
        Ok(())
    }

    /// Appends an item of `bytes` bytes. Removes and returns the oldest waiting items to make room. Never waits.
    ///
    /// # Errors
    /// The queue is closed, or the item too large.
    pub fn force_push(&self, item: T, bytes: usize) -> Result<Vec<T>, PushError<T>> {
        let evicted = self.lock().admit_and_evict(item, bytes)?;
        self.filled.wake_one();
        Ok(evicted)
    }

    /// Waits for room, and appends an item of `bytes` bytes. Dropping the future drops the item.
    ///
    /// # Errors
    /// The queue is closed, or the item too large.
    pub async fn push(&self, mut item: T, bytes: usize) -> Result<(), PushError<T>> {
        loop {
            // Register before the attempt, so that no wake-up in between is missed.
            let mut drained = pin!(self.drained.tasks.notified());
            drained.as_mut().enable();
            let outcome = self.lock().admit(item, bytes);
            match outcome {
                Err(PushError::Full(back)) => item = back,
                Ok(()) => break,
                error => return error,
            }
            drained.await;
        }
        self.filled.wake_one();
        Ok(())
    }

    /// As [`push`](Self::push), for a thread. Do not call it in async code.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn blocking_push(&self, mut item: T, bytes: usize) -> Result<(), PushError<T>> {
        let mut buffer = self.lock();
        loop {
            match buffer.admit(item, bytes) {
                Err(PushError::Full(back)) => item = back,
                Ok(()) => break,
                error => return error,
            }
            buffer = self.drained.wait(buffer);
        }
        drop(buffer);
        self.filled.wake_one();
        Ok(())
    }

    /// The oldest item, if one waits.
    pub fn try_pop(&self) -> Option<T> {
        let item = self.lock().take()?;
        self.drained.wake_all();
        Some(item)
    }

    /// The oldest item, as soon as one waits; `None` once the queue is closed and empty. Cancel safe: dropping the
    /// future loses no item.
    pub async fn pop(&self) -> Option<T> {
        self.pop_with(Buffer::take).await
    }

    /// As [`pop`](Self::pop); the item counts against the limits until
    /// [`complete_in_flight`](Self::complete_in_flight). For a single consumer, which completes each item before the
    /// next.
    pub async fn pop_in_flight(&self) -> Option<T> {
        self.pop_with(Buffer::take_in_flight).await
    }

    /// Frees the room of the item in flight.
    pub fn complete_in_flight(&self) {
        self.lock().complete();
        self.drained.wake_all();
    }

    /// As [`pop`](Self::pop), for a thread. Do not call it in async code.
    pub fn blocking_pop(&self) -> Option<T> {
        self.blocking_pop_with(Buffer::take)
    }

    /// As [`pop_in_flight`](Self::pop_in_flight), for a thread. Do not call it in async code.
    pub fn blocking_pop_in_flight(&self) -> Option<T> {
        self.blocking_pop_with(Buffer::take_in_flight)
    }

    /// As [`blocking_pop`](Self::blocking_pop), but waits for at most `timeout`.
    pub fn blocking_pop_timeout(&self, timeout: Duration) -> Popped<T> {
        let mut buffer = self.filled.wait_timeout_while(self.lock(), timeout, |buffer| buffer.is_idle());
        let Some(item) = buffer.take() else {
            return if buffer.closed { Popped::Closed } else { Popped::TimedOut };
        };
        drop(buffer);
        self.drained.wake_all();
        Popped::Item(item)
    }

    /// Waits until no item waits or is in flight.
    pub async fn wait_empty(&self) {
        loop {
            let mut drained = pin!(self.drained.tasks.notified());
            drained.as_mut().enable();
            if self.lock().len() == 0 {
                return;
            }
            drained.await;
        }
    }

    /// As [`wait_empty`](Self::wait_empty), for a thread and for at most `timeout`. Returns whether the queue is empty.
    pub fn blocking_wait_empty(&self, timeout: Duration) -> bool {
        let holds_items = |buffer: &mut Buffer<T>| buffer.len() > 0;
        self.drained.wait_timeout_while(self.lock(), timeout, holds_items).len() == 0
    }

    /// Rejects further items; waiting items can still be popped.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake_both_ends();
    }

    /// Closes the queue if no item waits. Returns whether the queue is closed.
    pub fn close_if_empty(&self) -> bool {
        let mut buffer = self.lock();
        buffer.closed |= buffer.has_none_waiting();
        let is_closed = buffer.closed;
        drop(buffer);
        if is_closed {
            self.wake_both_ends();
        }
        is_closed
    }

    /// Closes the queue and drops its items. Returns the number of lost items including the one in flight; a second
    /// call returns 0.
    pub fn abandon(&self) -> usize {
        self.abandon_with(drop)
    }

    /// As [`abandon`](Self::abandon), and gives each item that waited to `each`. The one in flight is with its consumer.
    pub fn abandon_with(&self, each: impl FnMut(T)) -> usize {
        let (waiting, lost) = self.lock().abandon();
        self.wake_both_ends();
        // After the lock is released: the last owner of a picture frees megabytes.
        waiting.into_iter().map(|(item, _)| item).for_each(each);
        lost
    }

    /// Whether the queue rejects further items.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether no item waits. One may be in flight.
    pub fn is_empty(&self) -> bool {
        self.lock().has_none_waiting()
    }

    /// The counters, all at the same moment.
    pub fn stats(&self) -> QueueStats {
        self.lock().stats()
    }

    async fn pop_with(&self, take: fn(&mut Buffer<T>) -> Option<T>) -> Option<T> {
        loop {
            let mut filled = pin!(self.filled.tasks.notified());
            filled.as_mut().enable();
            {
                let mut buffer = self.lock();
                if let Some(item) = take(&mut buffer) {
                    drop(buffer);
                    self.drained.wake_all();
                    return Some(item);
                }
                if buffer.closed {
                    return None;
                }
            }
            filled.await;
        }
    }

    fn blocking_pop_with(&self, take: fn(&mut Buffer<T>) -> Option<T>) -> Option<T> {
        let item = take(&mut self.filled.wait_while(self.lock(), |buffer| buffer.is_idle()))?;
        self.drained.wake_all();
        Some(item)
    }

    fn wake_both_ends(&self) {
        self.filled.wake_all();
        self.drained.wake_all();
    }

    fn lock(&self) -> MutexGuard<'_, Buffer<T>> {
        // The buffer is consistent between two statements, also after a panic.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
