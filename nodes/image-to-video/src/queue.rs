//! The queue between the node and one sensor's thread: bounded, and the oldest make room.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A bounded queue of items of known size, for one consumer that waits in a thread.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

/// What a consumer gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Popped<T> {
    /// The oldest item.
    Item(T),
    /// Nothing came in time.
    Quiet,
    /// The queue is closed and empty.
    Closed,
}

/// The queue was closed; the item is handed back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed<T>(pub(crate) T);

impl<T> Queue<T> {
    /// An empty, open queue.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State { items: VecDeque::new(), bytes: 0, closed: false }),
            changed: Condvar::new(),
        }
    }

    /// Appends an item of `bytes` bytes and drops the oldest ones beyond `max_items` or `max_bytes`, never this
    /// one. Returns how many were dropped. Never waits.
    ///
    /// # Errors
    /// The queue is closed.
    pub(crate) fn push(
        &self,
        item: T,
        bytes: usize,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<usize, Closed<T>> {
        let mut dropped = Vec::new();
        let mut state = self.lock();
        if state.closed {
            return Err(Closed(item));
        }
        while !state.items.is_empty() && (state.items.len() >= max_items || state.bytes + bytes > max_bytes) {
            dropped.extend(state.pop());
        }
        state.items.push_back((item, bytes));
        state.bytes += bytes;
        drop(state);
        self.changed.notify_one();
        // Items go after the lock: the last holder of a picture frees megabytes.
        Ok(dropped.len())
    }

    /// Takes the oldest item; waits for one as long as `patience`.
    pub(crate) fn pop(&self, patience: Duration) -> Popped<T> {
        let waiting = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        match state.pop() {
            Some(item) => Popped::Item(item),
            None if state.closed => Popped::Closed,
            None => Popped::Quiet,
        }
    }

    /// Takes no more items; those that wait can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Takes no more items and drops those that wait. Returns how many these were.
    pub(crate) fn abandon(&self) -> usize {
        let items = {
            let mut state = self.lock();
            state.closed = true;
            state.bytes = 0;
            std::mem::take(&mut state.items)
        };
        self.changed.notify_all();
        items.len()
    }

    /// Closes the queue if nothing waits in it, and says whether it did.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut state = self.lock();
        state.closed |= state.items.is_empty();
        state.closed
    }

    /// Whether it takes no more items.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn pop(&mut self) -> Option<T> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn the_oldest_make_room() {
        let queue = Queue::new();
        assert_eq!((0..5).map(|k| queue.push(k, 1, 3, 100).unwrap()).sum::<usize>(), 2);
        assert_eq!(queue.push(5, 98, 3, 100), Ok(1));
        assert_eq!(queue.push(6, 1000, 3, 100), Ok(3), "one item is always taken");
        assert_eq!((queue.pop(NOW), queue.pop(NOW)), (Popped::Item(6), Popped::Quiet));
    }

    #[test]
    fn closing() {
        let queue = Queue::new();
        queue.push('a', 1, 9, 9).unwrap();
        assert!(!queue.close_if_empty());
        queue.close();
        assert_eq!(queue.push('b', 1, 9, 9), Err(Closed('b')));
        assert_eq!((queue.pop(NOW), queue.pop(NOW)), (Popped::Item('a'), Popped::Closed));
        let queue = Queue::new();
        queue.push('a', 1, 9, 9).unwrap();
        queue.push('b', 1, 9, 9).unwrap();
        assert_eq!((queue.abandon(), queue.abandon()), (2, 0), "each is counted once");
        assert_eq!(queue.pop(NOW), Popped::Closed);
        assert!(Queue::<()>::new().close_if_empty());
    }

    #[test]
    fn a_waiting_consumer_is_woken() {
        let queue = std::sync::Arc::new(Queue::new());
        let consumer = std::thread::spawn({
            let queue = queue.clone();
            move || (queue.pop(Duration::from_secs(60)), queue.pop(Duration::from_secs(60)))
        });
        queue.push(1, 1, 1, 1).unwrap();
        queue.close();
        assert_eq!(consumer.join().unwrap(), (Popped::Item(1), Popped::Closed));
    }

    proptest! {
        #[test]
        fn bounded_in_order_and_counted(
            ops in proptest::collection::vec(proptest::option::of(0usize..50), 1..200), max_items in 1usize..9, max_bytes in 0usize..120,
        ) {
            let queue = Queue::new();
            let (mut pushed, mut popped, mut dropped) = (0usize, vec![], 0);
            for op in ops {
                if let Some(bytes) = op {
                    dropped += queue.push(pushed, bytes, max_items, max_bytes).unwrap();
                    pushed += 1;
                } else if let Popped::Item(item) = queue.pop(NOW) {
                    popped.push(item);
                }
                let state = queue.lock();
                prop_assert!(state.items.len() <= max_items);
                prop_assert!(state.bytes <= max_bytes || state.items.len() == 1);
                prop_assert_eq!(state.bytes, state.items.iter().map(|(_, bytes)| bytes).sum::<usize>());
            }
            while let Popped::Item(item) = queue.pop(NOW) {
                popped.push(item);
            }
            prop_assert!(popped.is_sorted());
            prop_assert_eq!(popped.len() + dropped, pushed);
        }
    }
}
