//! The record of a topic: which messages it carries.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;

use super::malformed::{Malformed, read_record};
use super::table::{Registry, Table};
use crate::error::Error;
use crate::python_json;
use crate::topic::Topic;

/// The type of a topic without a known one: MSight's base class. A subscriber that
/// comes first declares this.
pub const SENSOR_DATA: &str = "msight_core.data.base.SensorData";

/// The types that Python MSight can import. A record that names any other keeps every Python
/// node on that topic from starting.
pub const PYTHON_TYPES: [&str; 8] = [
    SENSOR_DATA,
    "msight_core.data.base.SensorDataSequence",
    "msight_core.data.image.ImageData",
    "msight_core.data.video.VideoData",
    "msight_core.data.bytes.BytesData",
    "msight_core.data.detection_result.DetectionResultsData",
    "msight_core.data.detection_result.RoadUserListData",
    "msight_core.data.pointcloud.PointCloudData",
];

/// How many concurrent writes of the record are retried before it is left as it is.
const ATTEMPTS: usize = 5;

/// A record of `MSIGHT:TOPICS`. Unknown keys are kept when it is rewritten.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicRecord {
    /// The channel.
    pub name: String,
    /// For people; Python readers insist on the key.
    pub description: Option<String>,
    /// A message type that Python can import.
    pub data_type: String,
    /// The real message type where Python has no such class; `data_type` is [`SENSOR_DATA`] then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What became of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// The topic is new.
    Created,
    /// It is known as such already, or more precisely.
    Unchanged,
    /// It was known without its real type, which it has now.
    Upgraded,
    /// It is known with another type, which was left.
    Mismatch {
        /// The type in the registry.
        registered: String,
    },
    /// Its record cannot be read and was left.
    Malformed(Malformed),
}

impl TopicRecord {
    /// The record of a topic that carries messages of type `message_type`.
    pub fn new(topic: &Topic, message_type: &str) -> Self {
        let mut record = Self {
            name: topic.as_str().to_owned(),
            description: None,
            data_type: SENSOR_DATA.to_owned(),
            message_type: None,
            extra: Map::new(),
        };
        record.set_type(message_type);
        record
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Malformed`] when it is not JSON, or `name` or `data_type` is missing.
    pub fn from_json(topic: &str, text: &str) -> Result<Self, Malformed> {
        read_record(Table::Topics, topic, text)
    }

    /// The record as MSight would store it.
    ///
    /// # Errors
    /// Those of `serde_json`; none of them can happen here unless `extra` is odd.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        python_json::to_string(self)
    }

    /// The real type of the messages.
    pub fn message_type(&self) -> &str {
        self.message_type.as_deref().unwrap_or(&self.data_type)
    }

    fn set_type(&mut self, message_type: &str) {
        if PYTHON_TYPES.contains(&message_type) {
            self.data_type = message_type.to_owned();
            self.message_type = None;
        } else {
            self.data_type = SENSOR_DATA.to_owned();
            self.message_type = Some(message_type.to_owned());
        }
    }
}

/// Declares that `topic` carries messages of type `message_type` ([`SENSOR_DATA`] if unknown).
///
/// Creates a missing record, and replaces [`SENSOR_DATA`] by a concrete type.
/// Any other record stays and is reported: a topic's type is information, and has no effect on
/// the messages.
///
/// # Errors
/// Those of the registry.
pub async fn register_topic(
    registry: &dyn Registry,
    topic: &Topic,
    message_type: &str,
) -> Result<Declared, Error> {
    let name = topic.as_str();
    let mut current = registry.get(Table::Topics, name).await?;
    for _ in 0..ATTEMPTS {
        let (record, declared) = match &current {
            None => (Some(TopicRecord::new(topic, message_type)), Declared::Created),
            Some(text) => reconcile(name, text, message_type),
        };
        let Some(record) = record else {
            if let Declared::Malformed(malformed) = &declared {
                warn!(%topic, %malformed, "topic record ignored: the topic's own name is its channel");
            }
            return Ok(declared);
        };
        let text = record.to_json().map_err(|error| Error::Invalid(format!("topic {name:?}: {error}")))?;
        match registry.swap(Table::Topics, name, current.as_deref(), Some(&text)).await? {
            Ok(()) => return Ok(declared),
            Err(other) => current = other,
        }
    }
    Ok(Declared::Unchanged)
}

/// What to write over an existing record, if anything.
fn reconcile(name: &str, text: &str, message_type: &str) -> (Option<TopicRecord>, Declared) {
    let mut record = match TopicRecord::from_json(name, text) {
        Ok(record) => record,
        Err(malformed) => return (None, Declared::Malformed(malformed)),
    };
    let registered = canonical(record.message_type());
    if message_type == SENSOR_DATA || registered == message_type {
        return (None, Declared::Unchanged);
    }
    if registered != SENSOR_DATA {
        return (None, Declared::Mismatch { registered: registered.to_owned() });
    }
    record.set_type(message_type);
    (Some(record), Declared::Upgraded)
}

/// A topic may name a class by MSight's package, `msight_core.data.ImageData`, as well as by the
/// module that defines it.
fn canonical(data_type: &str) -> &str {
    let Some(class) = data_type.strip_prefix("msight_core.data.") else { return data_type };
    let defined = PYTHON_TYPES.iter().find(|path| path.rsplit('.').next() == Some(class));
    defined.copied().unwrap_or(data_type)
}

/// The channel to subscribe to for `topic`: the one its record names, as MSight has it, else
/// `topic` itself.
///
/// # Errors
/// Those of [`Registry::get`].
pub async fn resolve_topic(registry: &dyn Registry, topic: &Topic) -> Result<Topic, Error> {
    let Some(text) = registry.get(Table::Topics, topic.as_str()).await? else { return Ok(topic.clone()) };
    let record = match TopicRecord::from_json(topic.as_str(), &text) {
        Ok(record) => record,
        Err(malformed) => {
            warn!(%malformed, "topic record ignored: the topic's own name is its channel");
            return Ok(topic.clone());
        }
    };
    Ok(Topic::new(&record.name).unwrap_or_else(|error| {
        warn!(%topic, %error, "topic record ignored: it names an invalid channel; the topic's own name is its channel");
        topic.clone()
    }))
}

/// All topics by name, each with its record or why it cannot be read.
///
/// # Errors
/// Those of [`Registry::read`].
pub async fn topics(registry: &dyn Registry) -> Result<Vec<(String, Result<TopicRecord, Malformed>)>, Error> {
    let mut topics = registry.read(Table::Topics).await?;
    topics.sort();
    let read = |(name, text): (String, String)| {
        let record = TopicRecord::from_json(&name, &text);
        (name, record)
    };
    Ok(topics.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(data_type: &str) -> String {
        TopicRecord::new(&Topic::new("t").unwrap(), data_type).to_json().unwrap()
    }

    #[test]
    fn every_class_is_stored_as_python_stores_it() {
        let golden: Value = serde_json::from_str(include_str!("../../tests/vectors/topics.json")).unwrap();
        let classes = golden["topic_json_per_class"].as_object().unwrap();
        assert_eq!(classes.len(), PYTHON_TYPES.len());
        for (class, text) in classes {
            let path = PYTHON_TYPES.iter().find(|path| path.rsplit('.').next() == Some(class)).unwrap();
            assert_eq!(record(path), text.as_str().unwrap());
        }
        let described = golden["with_description"].as_str().unwrap();
        assert_eq!(TopicRecord::from_json("t", described).unwrap().to_json().unwrap(), described);
        for order in golden["by_start_order"].as_array().unwrap() {
            for (name, text) in order["topics"].as_object().unwrap() {
                let read = TopicRecord::from_json(name, text.as_str().unwrap()).unwrap();
                assert_eq!(&read.name, name);
                assert_eq!(read.to_json().unwrap(), text.as_str().unwrap());
            }
        }
    }

    #[test]
    fn what_python_can_use_we_can_and_nothing_is_fatal() {
        let cases: Value =
            serde_json::from_str(include_str!("../../tests/vectors/topic_acceptance.json")).unwrap();
        for case in cases.as_array().unwrap() {
            let stored = case["stored"].as_str().unwrap();
            let read = TopicRecord::from_json("tt", stored);
            if case["ok"] == true {
                let read = read.unwrap();
                assert_eq!(read.name, case["channel"].as_str().unwrap());
                assert_eq!(canonical(&read.data_type), case["class"].as_str().unwrap());
            }
            let (_, declared) = reconcile("tt", stored, "msight_core.data.video.VideoData");
            assert_ne!(declared, Declared::Created, "{stored}");
        }
    }

    #[test]
    fn a_type_that_python_lacks_is_kept_beside_one_that_it_has() {
        let text = record("acme.Plate");
        assert_eq!(
            text,
            r#"{"name": "t", "description": null, "data_type": "msight_core.data.base.SensorData", "message_type": "acme.Plate"}"#
        );
        assert_eq!(TopicRecord::from_json("t", &text).unwrap().message_type(), "acme.Plate");
    }

    #[test]
    fn sensor_data_gives_way_and_a_concrete_type_does_not() {
        const IMAGE: &str = "msight_core.data.image.ImageData";
        let cases = [
            (record(SENSOR_DATA), IMAGE, Declared::Upgraded),
            (record(SENSOR_DATA), "acme.Plate", Declared::Upgraded),
            (record(SENSOR_DATA), SENSOR_DATA, Declared::Unchanged),
            (record(IMAGE), IMAGE, Declared::Unchanged),
            (record(IMAGE), SENSOR_DATA, Declared::Unchanged),
            (record("acme.Plate"), "acme.Plate", Declared::Unchanged),
            (record(IMAGE), "acme.Plate", Declared::Mismatch { registered: IMAGE.to_owned() }),
            (record("acme.Plate"), IMAGE, Declared::Mismatch { registered: "acme.Plate".to_owned() }),
            (record(IMAGE).replace("data.image.", "data."), IMAGE, Declared::Unchanged),
        ];
        for (text, message_type, expected) in cases {
            let (record, declared) = reconcile("t", &text, message_type);
            assert_eq!(declared, expected, "{text} and {message_type}");
            assert_eq!(record.is_some(), expected == Declared::Upgraded);
        }
        let (upgraded, _) = reconcile(
            "t",
            r#"{"name": "c", "description": "d", "data_type": "msight_core.data.base.SensorData", "x": 1}"#,
            IMAGE,
        );
        assert_eq!(
            upgraded.unwrap().to_json().unwrap(),
            r#"{"name": "c", "description": "d", "data_type": "msight_core.data.image.ImageData", "x": 1}"#
        );
    }
}
