//! Outages of Redis in the log: one line when an outage begins and one when it ends, for all connections together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use crate::error::Error;

/// A lasting outage is logged this often.
const REMINDER: Duration = Duration::from_secs(30);

/// Which connections to one Redis are down.
pub(super) struct OutageLog {
    place: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: u64,
    down: Vec<u64>,
    outage: Outage,
}

impl OutageLog {
    /// No outage of the Redis at `place`, which goes into the log.
    pub(super) fn new(place: &str) -> Arc<Self> {
        Arc::new(Self { place: place.to_owned(), state: Mutex::default() })
    }

    /// One more connection.
    pub(super) fn connection(self: &Arc<Self>) -> ConnectionLog {
        let mut state = self.lock();
        state.connections += 1;
        ConnectionLog { id: state.connections, outages: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of one connection in an outage. It ends when this is dropped.
pub(super) struct ConnectionLog {
    id: u64,
    outages: Arc<OutageLog>,
}

impl ConnectionLog {
    /// The connection was lost, or still cannot be made.
    pub(super) fn down(&self, why: &Error) {
        let mut state = self.outages.lock();
        if state.down.is_empty() {
            state.outage = Outage::default();
        }
        if !state.down.contains(&self.id) {
            state.down.push(self.id);
        }
        let is_refusal = !why.is_transient();
        match state.outage.report(is_refusal, Instant::now()) {
            None => debug!(error = %why, "still disconnected"),
            Some(OutageReport::Began) if !is_refusal => warn!("{why}; trying again until it answers"),
            Some(OutageReport::Lasts { seconds }) if !is_refusal => {
                warn!("{why}; trying again since {seconds} s");
            }
            Some(_) => error!("{why}; trying again until the settings or the rights are corrected"),
        }
    }

    /// The connection is there again. `hint` is a possible cause if this connection alone was lost.
    pub(super) fn up(&self, hint: Option<&str>) {
        let mut state = self.outages.lock();
        let down = state.down.len();
        state.down.retain(|id| *id != self.id);
        if down > 0 && state.down.is_empty() {
            let (redis, seconds) = (&self.outages.place, state.outage.seconds(Instant::now()));
            match hint {
                Some(hint) => warn!(redis, "connected again after {seconds:.1} s; {hint}"),
                None => info!(redis, "connected again after {seconds:.1} s"),
            }
        }
    }
}

impl Drop for ConnectionLog {
    fn drop(&mut self) {
        self.outages.lock().down.retain(|id| *id != self.id);
    }
}

/// One outage, and what of it has been logged.
#[derive(Default)]
struct Outage {
    began: Option<Instant>,
    reported: Option<Instant>,
    refusal_reported: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum OutageReport {
    Began,
    Lasts { seconds: u64 },
}

impl Outage {
    /// What to log: the beginning, a lasting outage now and then, and that it has become a refusal.
    fn report(&mut self, is_refusal: bool, now: Instant) -> Option<OutageReport> {
        let began = *self.began.get_or_insert(now);
        let is_new = is_refusal && !self.refusal_reported;
        self.refusal_reported |= is_refusal;
        let report = match self.reported {
            None => OutageReport::Began,
            Some(reported) if is_new || now - reported >= REMINDER => {
                OutageReport::Lasts { seconds: (now - began).as_secs() }
            }
            Some(_) => return None,
        };
        self.reported = Some(now);
        Some(report)
    }

    fn seconds(&self, now: Instant) -> f64 {
        self.began.map_or(0.0, |began| (now - began).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_logged_at_its_beginning_twice_a_minute_and_when_it_becomes_a_refusal() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(outage.report(false, at(0)), Some(OutageReport::Began));
        assert_eq!(outage.report(false, at(29)), None);
        assert_eq!(outage.report(false, at(30)), Some(OutageReport::Lasts { seconds: 30 }));
        assert_eq!(outage.report(true, at(31)), Some(OutageReport::Lasts { seconds: 31 }));
        assert_eq!(outage.report(true, at(32)), None);
        assert!((outage.seconds(at(40)) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn an_outage_lasts_until_the_last_connection_is_back_or_gone() {
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
