//! Events that ask for a recording: messages of any type on `--trigger-topic`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use msight_node::{AnyType, Result, Subscriber};
use msight_proto::unix_now;
use tracing::debug;

/// Events that are remembered. A sensor looks at them with every unit.
const REMEMBERED: usize = 256;

/// The latest events, of all sensors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Triggers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Number of events so far.
    count: AtomicU64,
    events: Mutex<VecDeque<Event>>,
}

#[derive(Debug)]
struct Event {
    number: u64,
    /// `None`: for all sensors.
    sensor: Option<String>,
    /// When it happened, in seconds since 1970.
    time: f64,
}

impl Triggers {
    /// Adds an event of a sensor, or of all without a name.
    pub(crate) fn add(&self, sensor: Option<String>, time: f64) {
        // A message without a usable time happens now.
        let time = if time.is_finite() { time } else { unix_now() };
        let mut events = self.0.events.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.0.count.load(Ordering::Relaxed) + 1;
        if events.len() == REMEMBERED {
            events.pop_front();
        }
        events.push_back(Event { number, sensor: sensor.filter(|name| !name.is_empty()), time });
        self.0.count.store(number, Ordering::Release);
    }

    /// Takes the times of a sensor's events since `seen`, which is advanced.
    pub(crate) fn take(&self, sensor: Option<&str>, seen: &mut u64) -> Vec<f64> {
        let count = self.0.count.load(Ordering::Acquire);
        if count == *seen {
            return Vec::new();
        }
        let after = std::mem::replace(seen, count);
        let events = self.0.events.lock().unwrap_or_else(PoisonError::into_inner);
        let new = events.iter().filter(|event| event.number > after && event.number <= count);
        new.filter(|event| event.sensor.is_none() || event.sensor.as_deref() == sensor)
            .map(|event| event.time)
            .collect()
    }

    /// Takes events from a topic until the node stops.
    pub(crate) async fn read(self, topic: Subscriber<AnyType>) -> Result<()> {
        while let Some(event) = topic.recv().await? {
            let head = &event.head;
            debug!(sensor = head.sensor_name, time = head.capture_timestamp, "triggered");
            self.add(head.sensor_name.clone(), head.capture_timestamp);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_for_its_sensor_and_one_without_a_name_for_all() {
        let triggers = Triggers::default();
        let (mut gate, mut yard) = (0, 0);
        triggers.add(Some("gate".to_owned()), 10.0);
        triggers.add(None, 11.0);
        triggers.add(Some("yard".to_owned()), 12.0);
        assert_eq!(triggers.take(Some("gate"), &mut gate), [10.0, 11.0]);
        assert_eq!(triggers.take(Some("gate"), &mut gate), [0.0; 0]);
        assert_eq!(triggers.take(Some("yard"), &mut yard), [11.0, 12.0]);
        triggers.add(Some(String::new()), f64::NAN);
        let now = triggers.take(None, &mut gate);
        assert!(now.len() == 1 && (unix_now() - now[0]).abs() < 10.0, "{now:?}");
        (0..10_000).for_each(|_| triggers.add(None, 1.0));
        assert_eq!(triggers.take(None, &mut gate).len(), REMEMBERED);
    }
}
