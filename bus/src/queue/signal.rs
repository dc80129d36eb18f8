//! Wakes the tasks and threads that wait for a queue.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Wakes waiting tasks and threads.
///
/// A condition variable of the standard library makes a system call for every wake-up, also if no thread waits. So the
/// threads are counted. A thread counts itself before it releases the lock to wait, and the wake-up comes after the lock
/// was held for the change: so it sees every thread that has not seen the change.
#[derive(Debug, Default)]
pub(super) struct Signal {
    pub(super) tasks: Notify,
    threads: Condvar,
    waiting_threads: AtomicUsize,
}

impl Signal {
    pub(super) fn wake_one(&self) {
        self.tasks.notify_one();
        if self.waiting_threads.load(Relaxed) > 0 {
            self.threads.notify_one();
        }
    }

    pub(super) fn wake_all(&self) {
        self.tasks.notify_waiters();
        if self.waiting_threads.load(Relaxed) > 0 {
            self.threads.notify_all();
        }
    }

    /// Releases the lock until a wake-up, which may be spurious. For a thread.
    pub(super) fn wait<'a, T>(&self, locked: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.counted(|threads| threads.wait(locked).unwrap_or_else(PoisonError::into_inner))
    }

    /// Releases the lock while `condition` holds. For a thread.
    pub(super) fn wait_while<'a, T>(
        &self,
        locked: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        self.counted(|threads| threads.wait_while(locked, condition).unwrap_or_else(PoisonError::into_inner))
    }

    /// Releases the lock while `condition` holds, for at most `timeout`. For a thread.
    pub(super) fn wait_timeout_while<'a, T>(
        &self,
        locked: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        self.counted(|threads| {
            let waited = threads.wait_timeout_while(locked, timeout, condition);
            waited.unwrap_or_else(PoisonError::into_inner).0
        })
    }

    fn counted<R>(&self, wait: impl FnOnce(&Condvar) -> R) -> R {
        self.waiting_threads.fetch_add(1, Relaxed);
        let locked = wait(&self.threads);
        self.waiting_threads.fetch_sub(1, Relaxed);
        locked
    }
}
