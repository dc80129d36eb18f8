//! Which sensors the messages had that a full queue dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::losses::shortened;

/// Names come from messages: no more than this many are kept.
const MAX_SENSORS: usize = 256;

/// The messages that the queue of `-st` has dropped, by sensor, until the node asks.
#[derive(Clone, Default)]
pub(crate) struct DroppedBySensor(Arc<Mutex<Counts>>);

type Counts = HashMap<Option<String>, u64>;

impl DroppedBySensor {
    /// Counts a message.
    pub(crate) fn add(&self, sensor: Option<&str>) {
        let (mut counts, sensor) = (self.lock(), sensor.map(shortened));
        if counts.len() < MAX_SENSORS || counts.contains_key(&sensor) {
            *counts.entry(sensor).or_default() += 1;
        }
    }

    /// How many were counted since this was last asked.
    pub(crate) fn take(&self, sensor: Option<&str>) -> u64 {
        let mut counts = self.lock();
        // As a rule, so that no name is copied.
        if counts.is_empty() {
            return 0;
        }
        counts.remove(&sensor.map(shortened)).unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_given_once_and_names_are_bounded() {
        let dropped = DroppedBySensor::default();
        [Some("gate"), None, Some("gate")].into_iter().for_each(|sensor| dropped.add(sensor));
        assert_eq!([Some("gate"), Some("gate"), None].map(|sensor| dropped.take(sensor)), [2, 0, 1]);
        (0..1000).for_each(|number| dropped.add(Some(&number.to_string())));
        assert_eq!((dropped.take(Some("0")), dropped.take(Some("999"))), (1, 0));
    }
}
