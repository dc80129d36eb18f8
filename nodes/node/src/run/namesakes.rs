//! Watches for sources that publish under one sensor name: their frames mix in one video.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use msight_bus::Registry;
use msight_bus::registry::shared_sensors;
use tracing::{debug, error, info};

/// Between two looks at the registry.
const INTERVAL: Duration = Duration::from_secs(10);

/// Sensor to the names of the nodes that publish its messages.
type SharedSensors = BTreeMap<String, Vec<String>>;

/// Logs an error when several live nodes publish messages of one sensor on a topic, once for as long as they do. A source
/// watches its own sensor, so that the first one notices the second; a reader of the topic watches all. Runs until it is
/// dropped.
pub(super) async fn watch(registry: Arc<dyn Registry>, topic: String, sensor: Option<String>) {
    let mut reported = SharedSensors::new();
    loop {
        match shared_sensors(&*registry, &topic).await {
            Ok(mut shared) => {
                shared.retain(|one, _| sensor.as_ref().is_none_or(|own| own == one));
                report(&topic, &reported, &shared);
                reported = shared;
            }
            Err(error) => debug!("cannot look for sources of one sensor: {error}"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Logs what has changed.
fn report(topic: &str, before: &SharedSensors, now: &SharedSensors) {
    for (sensor, nodes) in now.iter().filter(|(sensor, nodes)| before.get(*sensor) != Some(*nodes)) {
        let nodes = nodes.join(", ");
        error!(
            sensor,
            topic,
            nodes,
            "two sources publish under one sensor name: their frames mix in one video; give each its own --sensor-name"
        );
    }
    for sensor in before.keys().filter(|sensor| !now.contains_key(*sensor)) {
        info!(sensor, topic, "one source is left of those with this sensor name");
    }
}
