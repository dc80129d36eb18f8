//! A queue to a thread that may block, before a terminal or a disk. The sender never waits; items that do not fit are
//! counted and reported in their place.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// The sending end of the queue.
#[derive(Debug)]
pub(crate) struct WriterQueue<T> {
    things: Option<SyncSender<T>>,
    ended: Receiver<()>,
    /// Items dropped since the last one that fitted.
    left_out: u64,
}

impl<T: Send + 'static> WriterQueue<T> {
    /// Starts the thread, with a queue of this length.
    pub(crate) fn new(room: usize, work: impl FnOnce(Receiver<T>) + Send + 'static) -> Self {
        let (things, waiting) = sync_channel(room);
        let (end, ended) = sync_channel(1);
        std::thread::spawn(move || {
            work(waiting);
            let _ = end.send(());
        });
        Self { things: Some(things), ended, left_out: 0 }
    }

    /// Queues an item if there is room. `missing` makes the report of the number of dropped items.
    pub(crate) fn put(&mut self, thing: T, missing: impl FnOnce(u64) -> T) {
        let Some(things) = &self.things else { return };
        if self.left_out > 0 && things.try_send(missing(self.left_out)).is_ok() {
            self.left_out = 0;
        }
        if self.left_out > 0 || things.try_send(thing).is_err() {
            self.left_out += 1;
        }
    }

    /// Closes the queue and waits up to `patience` for the thread to end.
    pub(crate) fn end(&mut self, patience: Duration) {
        drop(self.things.take());
        let _ = self.ended.recv_timeout(patience);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn what_has_no_room_is_counted_where_it_would_have_come() {
        let (go, wait) = sync_channel::<()>(0);
        let (took, taken) = sync_channel(0);
        let done = Arc::new(Mutex::new(Vec::new()));
        let into = done.clone();
        let mut handoff = WriterQueue::new(2, move |things: Receiver<String>| {
            for thing in things {
                into.lock().unwrap().push(thing);
                let _ = took.send(());
                let _ = wait.recv();
            }
        });
        let missing = |count| format!("{count} missing");
        handoff.put("a".to_owned(), missing);
        taken.recv().unwrap();
        for thing in ["b", "c", "d", "e"] {
            handoff.put(thing.to_owned(), missing);
        }
        // When the thread has taken both items that fitted, there is room again.
        for _ in 0..2 {
            go.send(()).unwrap();
            taken.recv().unwrap();
        }
        handoff.put("f".to_owned(), missing);
        drop((go, taken));
        handoff.end(Duration::from_secs(60));
        assert_eq!(*done.lock().unwrap(), ["a", "b", "c", "2 missing", "f"]);
    }
}
