//! Waiting until something is so, and never for ever.

use std::time::{Duration, Instant};

/// How long a test waits for one step: far longer than any step takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(120);

const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    eventually(what, async || condition().await.then_some(())).await;
}

/// Tries until `attempt` gives a value, and returns it.
pub async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// As [`eventually`] for an attempt that waits for nothing itself: its future can be spawned.
pub(crate) async fn polled<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The same for tests without an async runtime.
pub mod blocking {
    use super::{DEADLINE, INTERVAL, Instant};

    /// As [`until`](super::until).
    pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
        eventually(what, || condition().then_some(()));
    }

    /// As [`eventually`](super::eventually).
    pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = attempt() {
                return value;
            }
            assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
            std::thread::sleep(INTERVAL);
        }
    }
}
