//! Logs outages of Redis: one line when an outage begins and one when it ends, for all connections together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::{debug, error, info, warn};

use crate::error::Error;
use crate::outage::OutageLimit;

/// The connections to one Redis that are down.
pub(super) struct OutageLog {
    place: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: u64,
    down: Vec<u64>,
    lines: OutageLimit,
    /// Whether a line has reported that Redis refuses this node.
    is_refusal_logged: bool,
}

impl OutageLog {
    /// A log without outages, for the Redis at `place`.
    pub(super) fn new(place: &str) -> Arc<Self> {
        Arc::new(Self { place: place.to_owned(), state: Mutex::default() })
    }

    /// Adds a connection.
    pub(super) fn connection(self: &Arc<Self>) -> ConnectionLog {
        let mut state = self.lock();
        state.connections += 1;
        ConnectionLog { id: state.connections, outages: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of one connection in the log. Dropping it removes the connection.
pub(super) struct ConnectionLog {
    id: u64,
    outages: Arc<OutageLog>,
}

impl ConnectionLog {
    /// Records that the connection was lost, or that an attempt to connect has failed.
    pub(super) fn down(&self, why: &Error) {
        let mut state = self.outages.lock();
        if state.down.is_empty() {
            state.is_refusal_logged = false;
        }
        if !state.down.contains(&self.id) {
            state.down.push(self.id);
        }
        let (is_refusal, now) = (!why.is_transient(), Instant::now());
        let line = match is_refusal && !std::mem::replace(&mut state.is_refusal_logged, is_refusal) {
            true => state.lines.failed_otherwise(now),
            false => state.lines.failed(now),
        };
        let Some(line) = line else {
            debug!(error = %why, "still disconnected");
            return;
        };
        let seconds = line.lasted.as_secs();
        match (is_refusal, line.is_first) {
            (true, _) => error!("{why}; trying again until the settings or the rights are corrected"),
            (false, true) if line.outages > 1 => {
                warn!(outages = line.outages, "{why}; trying again until it answers");
            }
            (false, true) => warn!("{why}; trying again until it answers"),
            (false, false) => warn!(attempts = line.attempts, "{why}; trying again since {seconds} s"),
        }
    }

    /// Records that the connection works again. `hint` is a possible cause if only this connection was lost.
    pub(super) fn up(&self, hint: Option<&str>) {
        let mut state = self.outages.lock();
        let down = state.down.len();
        state.down.retain(|id| *id != self.id);
        if down == 0 || !state.down.is_empty() {
            return;
        }
        let Some(line) = state.lines.recovered(Instant::now()) else { return };
        let (redis, seconds) = (&self.outages.place, line.lasted.as_secs_f64());
        match hint {
            Some(hint) => warn!(redis, "connected again after {seconds:.1} s; {hint}"),
            None => info!(redis, "connected again after {seconds:.1} s"),
        }
    }
}

impl Drop for ConnectionLog {
    fn drop(&mut self) {
        self.outages.lock().down.retain(|id| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_until_every_connection_is_restored_or_dropped() {
        let outages = OutageLog::new("redis://h:1/0");
        let (one, other, third) = (outages.connection(), outages.connection(), outages.connection());
        let why = Error::Unavailable { operation: "x".into(), place: "y".into(), reason: "z".into() };
        [&one, &other, &third, &one].iter().for_each(|connection| connection.down(&why));
        one.up(None);
        drop(third);
        assert_eq!(outages.lock().down, [other.id]);
        other.up(None);
        assert!(outages.lock().down.is_empty());
    }
}
