//! Things handed to a thread that may stand still, before a terminal or a disk: nobody waits for it, and what it has no
//! room for is counted and said where it would have come.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// The way to the thread.
#[derive(Debug)]
pub(crate) struct Handoff<T> {
    things: Option<SyncSender<T>>,
    ended: Receiver<()>,
    /// Things for which there was no room since the last one that fitted.
    left_out: u64,
}

impl<T: Send + 'static> Handoff<T> {
    /// Starts the thread with its work, for which so many things may wait.
    pub(crate) fn new(room: usize, work: impl FnOnce(Receiver<T>) + Send + 'static) -> Self {
        let (things, waiting) = sync_channel(room);
        let (end, ended) = sync_channel(1);
        std::thread::spawn(move || {
            work(waiting);
            let _ = end.send(());
        });
        Self { things: Some(things), ended, left_out: 0 }
    }

    /// Hands it over if there is room. `missing` makes what says before it how many were left out.
    pub(crate) fn put(&mut self, thing: T, missing: impl FnOnce(u64) -> T) {
        let Some(things) = &self.things else { return };
        if self.left_out > 0 && things.try_send(missing(self.left_out)).is_ok() {
            self.left_out = 0;
        }
        if self.left_out > 0 || things.try_send(thing).is_err() {
            self.left_out += 1;
        }
    }

    /// Waits so long for what is still to be done. Nothing is taken after that.
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
        let mut handoff = Handoff::new(2, move |things: Receiver<String>| {
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
        // When the thread has taken both that fitted, there is room again.
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
