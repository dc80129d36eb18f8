//! An outage of Redis: said once when it begins and once when it ends, for all connections of a bus together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use crate::Error;

/// A lasting outage is said again this often.
const REMINDER: Duration = Duration::from_secs(30);

/// Which connections of a bus are cut off.
pub(super) struct Outage {
    place: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: u64,
    cut: Vec<u64>,
    spell: Spell,
}

impl Outage {
    /// No outage of what is at `place`, which goes into the log.
    pub(super) fn none(place: &str) -> Arc<Self> {
        Arc::new(Self { place: place.to_owned(), state: Mutex::default() })
    }

    /// One more connection.
    pub(super) fn line(self: &Arc<Self>) -> Line {
        let mut state = self.lock();
        state.lines += 1;
        Line { id: state.lines, outage: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's part in the outage. It has none any more when this is dropped.
pub(super) struct Line {
    id: u64,
    outage: Arc<Outage>,
}

impl Line {
    /// The connection is cut off, or still cannot be made.
    pub(super) fn cut(&self, why: &Error) {
        let mut state = self.outage.lock();
        if state.cut.is_empty() {
            state.spell = Spell::default();
        }
        if !state.cut.contains(&self.id) {
            state.cut.push(self.id);
        }
        let is_refusal = !why.is_transient();
        match state.spell.news(is_refusal, Instant::now()) {
            None => debug!(error = %why, "still cut off"),
            Some(News::Begun) if !is_refusal => warn!("{why}; trying again until it answers"),
            Some(News::Lasting { seconds }) if !is_refusal => warn!("{why}; trying again since {seconds} s"),
            Some(_) => error!("{why}; trying again until somebody has changed that"),
        }
    }

    /// The connection is there again. `hint` is what may have cut off this one alone.
    pub(super) fn joined(&self, hint: Option<&str>) {
        let mut state = self.outage.lock();
        let cut = state.cut.len();
        state.cut.retain(|id| *id != self.id);
        if cut > 0 && state.cut.is_empty() {
            let (redis, seconds) = (&self.outage.place, state.spell.seconds(Instant::now()));
            match hint {
                Some(hint) => warn!(redis, "connected again after {seconds:.1} s; {hint}"),
                None => info!(redis, "connected again after {seconds:.1} s"),
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.outage.lock().cut.retain(|id| *id != self.id);
    }
}

/// One outage, and what of it has been said.
#[derive(Default)]
struct Spell {
    began: Option<Instant>,
    said: Option<Instant>,
    refusal_said: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum News {
    Begun,
    Lasting { seconds: u64 },
}

impl Spell {
    /// What there is to say: the beginning, a lasting outage now and then, and that waiting has become useless.
    fn news(&mut self, is_refusal: bool, now: Instant) -> Option<News> {
        let began = *self.began.get_or_insert(now);
        let is_new = is_refusal && !self.refusal_said;
        self.refusal_said |= is_refusal;
        let news = match self.said {
            None => News::Begun,
            Some(said) if is_new || now - said >= REMINDER => {
                News::Lasting { seconds: (now - began).as_secs() }
            }
            Some(_) => return None,
        };
        self.said = Some(now);
        Some(news)
    }

    fn seconds(&self, now: Instant) -> f64 {
        self.began.map_or(0.0, |began| (now - began).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_said_at_its_beginning_twice_a_minute_and_when_it_becomes_a_refusal() {
        let (mut spell, start) = (Spell::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(spell.news(false, at(0)), Some(News::Begun));
        assert_eq!(spell.news(false, at(29)), None);
        assert_eq!(spell.news(false, at(30)), Some(News::Lasting { seconds: 30 }));
        assert_eq!(spell.news(true, at(31)), Some(News::Lasting { seconds: 31 }));
        assert_eq!(spell.news(true, at(32)), None);
        assert!((spell.seconds(at(40)) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn an_outage_lasts_until_the_last_connection_is_back_or_gone() {
        let outage = Outage::none("redis://h:1/0");
        let (one, other, third) = (outage.line(), outage.line(), outage.line());
        let why = Error::Unavailable { operation: "x".into(), place: "y".into(), reason: "z".into() };
        [&one, &other, &third, &one].iter().for_each(|line| line.cut(&why));
        one.joined(None);
        drop(third);
        assert_eq!(outage.lock().cut, [other.id]);
        other.joined(None);
        assert!(outage.lock().cut.is_empty());
    }
}
