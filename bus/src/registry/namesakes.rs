//! Finds sources that publish under the same sensor name.

use std::time::{SystemTime, UNIX_EPOCH};

use super::liveness::remaining_life;
use super::node::{NodeRecord, TopicNames, nodes};
use super::owner::Owner;
use super::table::Registry;
use crate::error::Error;

/// The names of other live nodes that publish messages of this sensor on this topic. Records of Python nodes have no
/// sensor, so a Python source is not found.
///
/// # Errors
/// Those of [`Registry::read`].
pub async fn sources_of_sensor(
    registry: &dyn Registry,
    name: &str,
    topic: &str,
    sensor: &str,
) -> Result<Vec<String>, Error> {
    let (me, now) = (Owner::current(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let is_namesake = |record: &NodeRecord| {
        let publishes = match &record.publish_topic {
            Some(TopicNames::One(one)) => one == topic,
            Some(TopicNames::Many(topics)) => topics.iter().any(|one| one == topic),
            None => false,
        };
        publishes
            && record.name != name
            && record.sensor_name.as_deref() == Some(sensor)
            && remaining_life(record, &me, now.as_secs_f64()).is_some()
    };
    let records = nodes(registry).await?.into_iter().filter_map(|(_, record)| record.ok());
    Ok(records.filter(is_namesake).map(|record| record.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryRegistry;
    use crate::registry::Table;

    #[tokio::test]
    async fn another_source_of_the_sensor_on_the_same_topic_is_found() {
        let registry = MemoryRegistry::new();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let record = |name: &str, topic: &str, sensor: Option<&str>, age: f64| NodeRecord {
            publish_topic: Some(TopicNames::One(topic.to_owned())),
            sensor_name: sensor.map(str::to_owned),
            last_heartbeat: now - age,
            ..NodeRecord::new(name, "d".to_owned(), "RTSPSourceNode")
        };
        for record in [
            record("me", "frames", Some("cam"), 0.0),
            record("twin", "frames", Some("cam"), 0.0),
            record("elsewhere", "other", Some("cam"), 0.0),
            record("another", "frames", Some("cam2"), 0.0),
            record("dead", "frames", Some("cam"), 100.0),
            record("python", "frames", None, 0.0),
        ] {
            registry
                .swap(Table::Nodes, &record.name, None, Some(&record.to_json().unwrap()))
                .await
                .unwrap()
                .unwrap();
        }
        assert_eq!(sources_of_sensor(&registry, "me", "frames", "cam").await.unwrap(), ["twin"]);
    }
}
