//! Finds sources that publish under the same sensor name.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::liveness::remaining_life;
use super::node::{NodeRecord, TopicNames, nodes};
use super::owner::Owner;
use super::table::Registry;
use crate::error::Error;

/// The sensors that several live nodes publish on this topic, each with the names of these nodes. Records of Python nodes
/// have no sensor, so a Python source is not found.
///
/// # Errors
/// Those of [`Registry::read`].
pub async fn shared_sensors(
    registry: &dyn Registry,
    topic: &str,
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let (me, now) = (Owner::current(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let publishes = |record: &NodeRecord| match &record.publish_topic {
        Some(TopicNames::One(one)) => one == topic,
        Some(TopicNames::Many(topics)) => topics.iter().any(|one| one == topic),
        None => false,
    };
    let lives = |record: &NodeRecord| remaining_life(record, &me, now.as_secs_f64()).is_some();
    let mut sources = BTreeMap::<String, Vec<String>>::new();
    for (name, record) in nodes(registry).await? {
        if let Some(record) = record.ok().filter(|record| publishes(record) && lives(record))
            && let Some(sensor) = record.sensor_name
        {
            sources.entry(sensor).or_default().push(name);
        }
    }
    sources.retain(|_, nodes| nodes.len() > 1);
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryRegistry;
    use crate::registry::Table;

    #[tokio::test]
    async fn live_sources_of_one_sensor_on_one_topic_are_found() {
        let registry = MemoryRegistry::new();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let record = |name: &str, topic: &str, sensor: Option<&str>, age: f64| NodeRecord {
            publish_topic: Some(TopicNames::One(topic.to_owned())),
            sensor_name: sensor.map(str::to_owned),
            last_heartbeat: now - age,
            ..NodeRecord::new(name, "d".to_owned(), "RTSPSourceNode")
        };
        for record in [
            record("twin", "frames", Some("cam"), 0.0),
            record("one", "frames", Some("cam"), 0.0),
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
        let shared = BTreeMap::from([("cam".to_owned(), vec!["one".to_owned(), "twin".to_owned()])]);
        assert_eq!(shared_sensors(&registry, "frames").await.unwrap(), shared);
        assert_eq!(shared_sensors(&registry, "other").await.unwrap(), BTreeMap::new());
    }
}
