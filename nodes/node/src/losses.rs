//! Reports of lost messages: which topic, whose, how many, from when to when, and why.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use msight_bus::Topic;
use msight_proto::Utc;
use tracing::error;

use crate::logs::Repeated;

/// The longest name of a sensor in a report, in characters. Names come from messages of other programs.
pub(crate) const MAX_NAME: usize = 200;

/// Logs the lost messages of a topic: the first at once, and those that follow together, as [`Repeated`] does.
pub(crate) struct LossLog {
    topic: Topic,
    repeated: Repeated,
    unreported: Arc<Mutex<Lost>>,
}

/// What no line has reported.
#[derive(Debug, Default, PartialEq)]
struct Lost {
    messages: u64,
    sensors: BTreeSet<String>,
    span: Option<(f64, f64)>,
}

impl LossLog {
    /// Without losses.
    pub(crate) fn new(topic: Topic) -> Self {
        Self { topic, repeated: Repeated::new(), unreported: Arc::default() }
    }

    /// Adds a message of a sensor, captured in this span.
    pub(crate) fn add(&self, sensor: Option<&str>, span: (f64, f64), reason: impl Display + Send + 'static) {
        lock(&self.unreported).add(sensor.unwrap_or_default(), span);
        let (topic, unreported) = (self.topic.clone(), self.unreported.clone());
        self.repeated.count(move |_| {
            // Of one moment, which may include a loss that a further line was to report.
            let Lost { messages, sensors, span } = std::mem::take(&mut *lock(&unreported));
            if messages == 0 {
                return;
            }
            let sensor = sensors.into_iter().collect::<Vec<_>>().join(", ");
            let (from, to) = span.unwrap_or((f64::NAN, f64::NAN));
            error!(%topic, sensor, lost = messages, from = %Utc(from), to = %Utc(to), "messages lost: {reason}");
        });
    }
}

impl Lost {
    /// A line has no more names of sensors than this.
    const MAX_SENSORS: usize = 8;

    fn add(&mut self, sensor: &str, (from, to): (f64, f64)) {
        self.messages += 1;
        if self.sensors.len() < Self::MAX_SENSORS {
            self.sensors.insert(sensor.chars().take(MAX_NAME).collect());
        }
        let (earliest, latest) = self.span.unwrap_or((from, to));
        self.span = Some((earliest.min(from), latest.max(to)));
    }
}

fn lock(unreported: &Mutex<Lost>) -> MutexGuard<'_, Lost> {
    unreported.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_follow_are_reported_together() {
        let log = LossLog::new(Topic::new("t").unwrap());
        log.add(Some("gate"), (10.0, 19.9), "a test");
        assert_eq!(*lock(&log.unreported), Lost::default(), "the first has its line");
        log.add(Some("gate"), (20.0, 29.9), "a test");
        log.add(None, (15.0, 16.0), "a test");
        let lost = lock(&log.unreported);
        assert_eq!((lost.span, lost.sensors.len()), (Some((15.0, 29.9)), 2));
    }

    #[test]
    fn the_names_in_a_line_are_bounded() {
        let mut lost = Lost::default();
        (0..100).for_each(|number| lost.add(&number.to_string(), (f64::from(number), f64::from(number + 1))));
        assert_eq!((lost.sensors.len(), lost.span), (8, Some((0.0, 100.0))));
    }
}
