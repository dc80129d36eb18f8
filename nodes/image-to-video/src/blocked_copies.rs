//! The sensors of which nothing can be copied although `--copy always` is set. While there are some, the node is not ready.

use msight_node::health::Health;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by all threads.
#[derive(Debug, Clone)]
pub(crate) struct BlockedCopies {
    health: Health,
    /// Why, by sensor.
    sensors: Arc<Mutex<BTreeMap<String, String>>>,
}

impl BlockedCopies {
    /// Without sensors as yet.
    pub(crate) fn new(health: Health) -> Self {
        Self { health, sensors: Arc::default() }
    }

    /// Why nothing of a sensor can be copied; `None` when it can, or when the sensor is forgotten.
    pub(crate) fn set(&self, sensor: &str, reason: Option<&str>) {
        let mut sensors = self.sensors.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            Some(reason) => _ = sensors.insert(sensor.to_owned(), reason.to_owned()),
            None => _ = sensors.remove(sensor),
        }
        let first = sensors.first_key_value();
        self.health.set_blocked(first.map(|(sensor, reason)| {
            format!("--copy always loses the frames of sensor {sensor:?}: {reason}")
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_ready_when_all_sensors_can_be_copied() {
        let health = Health::default();
        health.set_ready(true);
        let blocked = BlockedCopies::new(health.clone());
        blocked.set("north", Some("no units"));
        blocked.set("south", Some("interlaced"));
        blocked.set("north", None);
        let reason = health.unready().unwrap();
        assert!(reason.contains("south") && reason.contains("interlaced"), "{reason}");
        blocked.set("south", None);
        assert_eq!(health.unready(), None);
    }
}
