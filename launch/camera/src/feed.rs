//! Distributes the stream to its viewers.
//!
//! An access unit is encoded once and shared. Each viewer has a bounded queue. A viewer that is too slow loses all access
//! units up to the next key frame; other viewers are not affected.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use msight_bus::{BoundedQueue, Limits};

/// An access unit with its capture time.
#[derive(Debug)]
pub(super) struct CapturedUnit {
    /// The NAL units in order, without start codes.
    pub(super) nals: Vec<Bytes>,
    /// Whether decoding can start here: an IDR picture with its parameter sets.
    pub(super) is_key: bool,
    pub(super) captured: Instant,
}

/// The parameter sets, which a decoder needs before the first picture.
#[derive(Clone, Debug)]
pub(super) struct ParameterSets {
    /// The sequence parameter set, without start code; at least four bytes.
    pub(super) sequence: Bytes,
    /// The picture parameter set, without start code.
    pub(super) picture: Bytes,
}

/// The limits of a viewer's queue: a few seconds of a typical stream.
const LIMITS: Limits = Limits::new(64, 8 << 20);

type Queue = BoundedQueue<Arc<CapturedUnit>>;

/// The stream and its viewers.
#[derive(Debug, Default)]
pub(super) struct Feed {
    state: Mutex<State>,
    changed: Condvar,
    sent: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    branches: Vec<Branch>,
    is_closed: bool,
}

/// The queue of one viewer.
#[derive(Debug)]
struct Branch {
    /// It stays open when the feed closes, because the viewer of a hanging camera stays connected.
    queue: Arc<Queue>,
    /// Whether the viewer can decode only from a key frame on: at its start, and after a loss.
    needs_key: bool,
}

impl Feed {
    /// Queues an access unit for every viewer.
    pub(super) fn publish(&self, unit: CapturedUnit) {
        let unit = Arc::new(unit);
        let size = unit.nals.iter().map(Bytes::len).sum();
        for branch in &mut lock(&self.state).branches {
            if !branch.offer(&unit, size) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Whether a viewer with an empty queue waits for a key frame.
    pub(super) fn wants_key(&self) -> bool {
        lock(&self.state).branches.iter().any(|branch| branch.needs_key && branch.queue.is_empty())
    }

    /// Blocks until there is a viewer; `false` if the feed is closed.
    pub(super) fn wait_for_viewers(&self) -> bool {
        let state = lock(&self.state);
        let idle = |state: &mut State| state.branches.is_empty() && !state.is_closed;
        let state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        !state.is_closed
    }

    /// Blocks until `deadline`; `false` if the feed is closed before.
    pub(super) fn wait_until(&self, deadline: Instant) -> bool {
        let wait = deadline.saturating_duration_since(Instant::now());
        if wait == Duration::ZERO {
            return !lock(&self.state).is_closed;
        }
        let state = lock(&self.state);
        let open = |state: &mut State| !state.is_closed;
        let (state, _) =
            self.changed.wait_timeout_while(state, wait, open).unwrap_or_else(PoisonError::into_inner);
        !state.is_closed
    }

    /// Ends the stream: the thread that makes the pictures stops.
    pub(super) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.changed.notify_all();
    }

    /// Adds a viewer, which receives the stream from the next key frame on.
    pub(super) fn watch(self: &Arc<Self>) -> Viewer {
        let queue = Arc::new(Queue::new(LIMITS));
        lock(&self.state).branches.push(Branch { queue: queue.clone(), needs_key: true });
        self.changed.notify_all();
        Viewer { feed: self.clone(), queue }
    }

    /// Counts an access unit that was sent completely.
    pub(super) fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of access units sent, summed over all viewers.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The number of access units dropped for slow viewers.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The number of viewers.
    pub(super) fn viewers(&self) -> usize {
        lock(&self.state).branches.len()
    }
}

impl Branch {
    /// Queues the unit; `false` if it was dropped because the viewer is too slow.
    fn offer(&mut self, unit: &Arc<CapturedUnit>, size: usize) -> bool {
        if self.needs_key && !unit.is_key {
            // A new viewer that waits for its first key frame has lost nothing.
            return self.queue.stats().offered().items == 0;
        }
        let is_queued = self.queue.try_push(unit.clone(), size).is_ok();
        self.needs_key = !is_queued;
        is_queued
    }
}

/// A viewer, until dropped.
#[derive(Debug)]
pub(super) struct Viewer {
    feed: Arc<Feed>,
    queue: Arc<Queue>,
}

impl Viewer {
    /// The next access unit. Cancel safe.
    pub(super) async fn next(&self) -> Arc<CapturedUnit> {
        match self.queue.pop().await {
            Some(unit) => unit,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        lock(&self.feed.state).branches.retain(|branch| !Arc::ptr_eq(&branch.queue, &self.queue));
    }
}

/// Locks a mutex. The guarded values are valid also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(is_key: bool, size: usize) -> CapturedUnit {
        CapturedUnit { nals: vec![vec![0; size].into()], is_key, captured: Instant::now() }
    }

    #[tokio::test]
    async fn a_viewer_begins_with_a_key_frame() {
        let feed = Arc::<Feed>::default();
        let viewer = feed.watch();
        assert!(feed.wants_key());
        feed.publish(unit(false, 1));
        feed.publish(unit(true, 2));
        feed.publish(unit(false, 3));
        assert!(viewer.next().await.is_key);
        assert_eq!(viewer.next().await.nals[0].len(), 3);
        assert_eq!(feed.dropped(), 0, "earlier units do not count as dropped");
    }

    #[tokio::test]
    async fn only_the_slow_viewer_loses_units_up_to_a_key_frame() {
        let feed = Arc::<Feed>::default();
        let (slow, quick) = (feed.watch(), feed.watch());
        feed.publish(unit(true, 1));
        let mut seen = 0;
        for _ in 0..LIMITS.max_items + 9 {
            feed.publish(unit(false, 1));
            while quick.queue.try_pop().is_some() {
                seen += 1;
            }
        }
        assert_eq!(seen, LIMITS.max_items + 10);
        assert_eq!(feed.dropped(), 10);
        for _ in 0..LIMITS.max_items {
            slow.next().await;
        }
        assert!(feed.wants_key(), "it has room again");
        feed.publish(unit(false, 1));
        assert!(slow.queue.try_pop().is_none());
        assert_eq!(feed.dropped(), 11, "units before the next key frame are lost as well");
        feed.publish(unit(true, 1));
        assert!(slow.next().await.is_key);
    }

    #[test]
    fn a_queue_is_bounded_in_bytes() {
        let feed = Arc::<Feed>::default();
        let _viewer = feed.watch();
        feed.publish(unit(true, LIMITS.max_bytes - 10));
        feed.publish(unit(false, 11));
        assert_eq!(feed.dropped(), 1);
    }

    #[test]
    fn waiting_ends_when_the_feed_closes() {
        let feed = Arc::<Feed>::default();
        let waiting = std::thread::spawn({
            let feed = feed.clone();
            move || (feed.wait_for_viewers(), feed.wait_until(Instant::now() + Duration::from_secs(600)))
        });
        feed.close();
        assert_eq!(waiting.join().expect("it does not panic"), (false, false));
    }

    #[test]
    fn a_dropped_viewer_is_removed() {
        let feed = Arc::<Feed>::default();
        drop(feed.watch());
        assert_eq!(feed.viewers(), 0);
    }
}
