//! A bounded queue of lines to a reader that may stand still: a pipe that is full, a terminal that is stopped, or a slow
//! disk.
//!
//! A sender never waits. A line that has no room is left out and counted, and the reader gets the count in the place
//! where lines are missing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use msight_bus::{BoundedQueue, Limits};

/// While lines are left out all the time, how often the reader gets a count.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What a reader gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// A line.
    Line(T),
    /// This number of lines is missing here.
    LeftOut(u64),
}

/// Creates a queue with these limits.
pub fn line_queue<T>(limits: Limits) -> (LineSender<T>, LineReceiver<T>) {
    let queue = Arc::new(Queue {
        waiting: BoundedQueue::new(limits),
        unreported: AtomicU64::new(0),
        left_out: AtomicU64::new(0),
    });
    let receiver = LineReceiver {
        queue: queue.clone(),
        held: None,
        unreported: 0,
        reported_at: None,
        is_failing: false,
    };
    (LineSender(Arc::new(OpenEnd(queue))), receiver)
}

/// Creates a queue to a thread that passes everything to `write`. A line that cannot be written counts as left out.
///
/// # Errors
/// The thread cannot be started.
pub fn spawn_writer<T: Send + 'static>(
    name: &str,
    limits: Limits,
    mut write: impl FnMut(Received<T>) -> io::Result<()> + Send + 'static,
) -> io::Result<LineSender<T>> {
    let (sender, mut receiver) = line_queue(limits);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        while let Some(received) = receiver.blocking_recv() {
            let missing = match &received {
                Received::Line(_) => None,
                Received::LeftOut(count) => Some(*count),
            };
            receiver.is_failing = write(received).is_err();
            if receiver.is_failing {
                receiver.unreported += missing.unwrap_or(1);
                let lost = u64::from(missing.is_none());
                receiver.queue.left_out.fetch_add(lost, Ordering::Relaxed);
            }
        }
    })?;
    Ok(sender)
}

#[derive(Debug)]
struct Queue<T> {
    /// Each line with the number of lines that are missing before it.
    waiting: BoundedQueue<(u64, T)>,
    /// Lines that were left out since the last one that had room.
    unreported: AtomicU64,
    /// Lines that were left out since the start.
    left_out: AtomicU64,
}

impl<T> Queue<T> {
    fn push(&self, line: T, bytes: usize) {
        let before = self.unreported.swap(0, Ordering::Relaxed);
        if self.waiting.try_push((before, line), bytes).is_err() {
            self.unreported.fetch_add(before, Ordering::Relaxed);
            self.leave_out();
        }
    }

    fn leave_out(&self) {
        self.unreported.fetch_add(1, Ordering::Relaxed);
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }
}

/// Closes the queue when the last sender is gone.
#[derive(Debug)]
struct OpenEnd<T>(Arc<Queue<T>>);

impl<T> Drop for OpenEnd<T> {
    fn drop(&mut self) {
        self.0.waiting.close();
    }
}

/// The sending end of the queue. The reader's lines end when the last clone is dropped.
#[derive(Debug)]
pub struct LineSender<T>(Arc<OpenEnd<T>>);

impl<T> Clone for LineSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> LineSender<T> {
    /// Queues a line of this size if there is room, else counts it. Never waits.
    pub fn push(&self, line: T, bytes: usize) {
        self.queue().push(line, bytes);
    }

    /// As [`push`](Self::push), but only within these limits, which are lower than those of the queue and leave room for
    /// other lines.
    pub fn push_within(&self, line: T, bytes: usize, limits: Limits) {
        let waiting = self.queue().waiting.stats().waiting;
        let has_room = waiting.items < limits.max_items as u64
            && waiting.bytes.saturating_add(bytes as u64) <= limits.max_bytes as u64;
        if has_room {
            self.queue().push(line, bytes);
        } else {
            self.queue().leave_out();
        }
    }

    /// Waits up to `patience` until the reader has taken all lines and is done with them. Returns whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        self.queue().waiting.blocking_wait_empty(patience)
    }

    /// The number of lines that were left out since the start.
    pub fn left_out(&self) -> u64 {
        self.queue().left_out.load(Ordering::Relaxed)
    }

    fn queue(&self) -> &Queue<T> {
        &self.0.0
    }
}

/// The reading end of the queue. A line that was waited for counts as waiting until the next call.
#[derive(Debug)]
pub struct LineReceiver<T> {
    queue: Arc<Queue<T>>,
    /// A line that was taken, to be received after the number of lines that are missing before it.
    held: Option<T>,
    /// Missing lines that were taken note of and not yet received.
    unreported: u64,
    reported_at: Option<Instant>,
    /// Whether the last line could not be written: a report would fail as well.
    is_failing: bool,
}

impl<T> LineReceiver<T> {
    /// Waits for a line; `None` when all senders are gone.
    pub async fn recv(&mut self) -> Option<Received<T>> {
        match self.before_waiting() {
            None => {
                let taken = self.queue.waiting.pop_in_flight().await;
                self.received(taken)
            }
            ready => ready,
        }
    }

    /// As [`recv`](Self::recv), for a thread.
    pub fn blocking_recv(&mut self) -> Option<Received<T>> {
        match self.before_waiting() {
            None => {
                let taken = self.queue.waiting.blocking_pop_in_flight();
                self.received(taken)
            }
            ready => ready,
        }
    }

    /// The next line, if one waits.
    pub fn try_recv(&mut self) -> Option<Received<T>> {
        match self.before_waiting() {
            None => {
                let taken = self.queue.waiting.try_pop()?;
                self.received(Some(taken))
            }
            ready => ready,
        }
    }

    /// Whether nothing waits to be received.
    pub fn is_empty(&self) -> bool {
        let unreported = self.unreported + self.queue.unreported.load(Ordering::Relaxed);
        self.held.is_none() && self.queue.waiting.is_empty() && (unreported == 0 || self.is_failing)
    }

    /// What is to be received before the next line of the queue.
    fn before_waiting(&mut self) -> Option<Received<T>> {
        if let Some(line) = self.held.take() {
            return Some(Received::Line(line));
        }
        if self.queue.waiting.is_empty() && !self.is_failing {
            self.unreported += self.queue.unreported.swap(0, Ordering::Relaxed);
            if self.unreported > 0 {
                return Some(self.report());
            }
        }
        self.queue.waiting.complete_in_flight();
        None
    }

    fn received(&mut self, taken: Option<(u64, T)>) -> Option<Received<T>> {
        let (before, line) = taken?;
        self.unreported += before;
        let is_due = self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL);
        if self.unreported > 0 && is_due {
            self.held = Some(line);
            return Some(self.report());
        }
        Some(Received::Line(line))
    }

    fn report(&mut self) -> Received<T> {
        self.reported_at = Some(Instant::now());
        Received::LeftOut(std::mem::take(&mut self.unreported))
    }
}

impl<T> Drop for LineReceiver<T> {
    fn drop(&mut self) {
        self.queue.waiting.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const NEVER_FULL: Limits = Limits::new(100, 1000);

    #[test]
    fn lines_without_room_are_counted_where_they_are_missing() {
        let (sender, mut lines) = line_queue(Limits::new(3, 10));
        for line in ["a", "b", "c", "d", "e"] {
            sender.push(line, 1);
        }
        assert_eq!(lines.try_recv(), Some(Received::Line("a")));
        assert_eq!(lines.try_recv(), Some(Received::Line("b")));
        sender.push("f", 1);
        assert_eq!(lines.try_recv(), Some(Received::Line("c")));
        assert_eq!(lines.try_recv(), Some(Received::LeftOut(2)));
        assert_eq!(lines.try_recv(), Some(Received::Line("f")));
        assert_eq!(lines.try_recv(), None);
        // By bytes, and a line that is larger than all of them.
        sender.push("g", 6);
        sender.push("h", 6);
        sender.push("i", 11);
        assert_eq!(lines.try_recv(), Some(Received::Line("g")));
        assert!(!lines.is_empty());
        assert_eq!(lines.try_recv(), Some(Received::LeftOut(2)));
        assert!(lines.is_empty());
        assert_eq!((lines.try_recv(), sender.left_out()), (None, 4));
    }

    #[test]
    fn some_room_can_be_left_for_others() {
        let (sender, mut lines) = line_queue(NEVER_FULL);
        let limits = Limits::new(1, 100);
        sender.push_within("a", 1, limits);
        sender.push_within("b", 1, limits);
        sender.push("c", 1);
        let received: Vec<_> = std::iter::from_fn(|| lines.try_recv()).collect();
        assert_eq!(received, [Received::Line("a"), Received::LeftOut(1), Received::Line("c")]);
    }

    #[tokio::test]
    async fn lines_end_with_the_last_sender() {
        let (sender, mut lines) = line_queue(NEVER_FULL);
        let other = sender.clone();
        drop(sender);
        other.push("a", 1);
        drop(other);
        assert_eq!(lines.recv().await, Some(Received::Line("a")));
        assert_eq!(lines.recv().await, None);
        let (sender, lines) = line_queue(NEVER_FULL);
        drop(lines);
        sender.push("a", 1);
        assert!(sender.flush(Duration::ZERO) && sender.left_out() == 1, "no reader");
    }

    /// A disk that writes a line only when told to, if it can.
    struct Disk {
        permits: Receiver<io::Result<()>>,
        written: Sender<Received<u64>>,
    }

    impl Disk {
        fn write(&self, received: Received<u64>) -> io::Result<()> {
            // Without a sender the disk is free.
            self.permits.recv().unwrap_or(Ok(()))?;
            self.written.send(received).map_err(io::Error::other)
        }
    }

    #[test]
    fn every_line_is_written_or_counted() {
        let (permit, permits) = channel();
        let (written, lines) = channel();
        let disk = Disk { permits, written };
        let sender = spawn_writer("lines", Limits::new(8, 1000), move |line| disk.write(line)).unwrap();
        for line in 0..20 {
            sender.push(line, 1);
        }
        assert!(!sender.flush(Duration::ZERO), "the disk stands still");
        // The disk is full for two lines.
        for _ in 0..2 {
            permit.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        }
        drop(permit);
        assert!(sender.flush(Duration::from_secs(60)), "the disk is free");
        sender.push(20, 1);
        assert!(sender.flush(Duration::from_secs(60)));
        let left_out = sender.left_out();
        drop(sender);
        let received: Vec<_> = lines.iter().collect();
        let count = |received: &Received<u64>| match received {
            Received::Line(_) => (1, 0),
            Received::LeftOut(count) => (0, *count),
        };
        let (passed, reported) =
            received.iter().map(count).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert_eq!((passed + left_out, reported), (21, left_out), "{received:?}");
        assert_eq!(received.last(), Some(&Received::Line(20)));
    }

    #[test]
    fn a_disk_that_is_full_for_good_keeps_no_thread_busy() {
        let (written, attempts) = channel();
        let sender = spawn_writer("lines", NEVER_FULL, move |received: Received<&str>| {
            written.send(received).map_err(io::Error::other)?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap();
        sender.push("lost", 4);
        assert!(sender.flush(Duration::from_secs(60)));
        assert_eq!(sender.left_out(), 1);
        drop(sender);
        assert_eq!(attempts.iter().collect::<Vec<_>>(), [Received::Line("lost")]);
    }
}
