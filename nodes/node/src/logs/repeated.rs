//! Facts that repeat: counted always, said at most once a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts something that may happen thousands of times a second, and says when its count is due to be logged:
/// the first time at once, then at most once a second.
///
/// ```
/// static DROPPED: msight_node::logs::Repeated = msight_node::logs::Repeated::new();
///
/// if let Some(times) = DROPPED.count() {
///     tracing::warn!(times, "queue full, oldest frame dropped");
/// }
/// ```
///
/// A count is kept until it is said with the next occurrence; what has happened in all is for a counter to tell.
#[derive(Debug)]
pub struct Repeated(Mutex<State>);

#[derive(Debug)]
struct State {
    unsaid: u64,
    said: Option<Instant>,
}

/// The least time between two lines about one fact.
const INTERVAL: Duration = Duration::from_secs(1);

impl Repeated {
    /// Nothing has happened yet.
    pub const fn new() -> Self {
        Self(Mutex::new(State { unsaid: 0, said: None }))
    }

    /// It happened once more, now. The count to log, if it is time.
    pub fn count(&self) -> Option<u64> {
        self.add(1, Instant::now())
    }

    /// It happened `count` more times. The count to log now, if it is time.
    pub fn add(&self, count: u64, now: Instant) -> Option<u64> {
        self.with(|state| {
            state.unsaid = state.unsaid.saturating_add(count);
            state.due(now)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Repeated {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < INTERVAL) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_once_a_second_and_nothing_unsaid() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let repeated = Repeated::new();
        assert_eq!(repeated.add(1, at(0)), Some(1));
        assert_eq!(repeated.add(2, at(10)), None);
        assert_eq!(repeated.add(3, at(999)), None);
        assert_eq!(repeated.add(1, at(1000)), Some(6));
        assert_eq!(repeated.add(1, at(3000)), Some(1));
        assert_eq!(repeated.add(4, at(3001)), None);
        assert_eq!(repeated.add(5, at(4000)), Some(9));
    }
}
