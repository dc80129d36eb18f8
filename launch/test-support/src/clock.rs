//! tokio's clock in the hand of a test that does real I/O.
//!
//! `#[tokio::test(start_paused = true)]` moves the clock whenever nothing can be done, which is also while an answer is on
//! its way. Here only the test moves it.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use crate::DEADLINE;

/// How far the clock moves at once.
const STEP: Duration = Duration::from_millis(100);

/// The clock of a current-thread runtime, stopped until this is dropped.
pub struct Clock {
    /// tokio leaves a paused clock alone while a blocking task runs: this one runs for as long as the clock stands.
    _standing: Sender<()>,
}

impl Clock {
    /// Stops the clock.
    pub fn stop() -> Self {
        tokio::time::pause();
        let (standing, ended) = channel();
        tokio::task::spawn_blocking(move || ended.recv());
        Self { _standing: standing }
    }

    /// Lets `time` pass, step by step, so that what falls due happens in its order.
    pub async fn pass(&self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            self.step().await;
        }
    }

    /// Lets time pass until `condition` holds.
    pub async fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
            self.step().await;
        }
    }

    async fn step(&self) {
        tokio::time::advance(STEP).await;
        // Real time for what is on its way in the network.
        let _ = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(2))).await;
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}
