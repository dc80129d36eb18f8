//! The record of a topic, with its message type.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;

use super::malformed::{Malformed, read_record};
use super::table::{Registry, Table};
use crate::error::Error;
use crate::python_json;
use crate::topic::Topic;

/// The type of a topic whose type is unknown: MSight's base class. A subscriber that starts before its publisher
/// declares it.
pub const SENSOR_DATA: &str = "msight_core.data.base.SensorData";

/// The types that MSight in Python can import. A record with any other type keeps every Python node of that topic from
/// starting.
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

/// Attempts to write the record before it is left unchanged.
const ATTEMPTS: usize = 5;

/// A record of `MSIGHT:TOPICS`. Unknown keys are kept when it is rewritten.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicRecord {
    /// The channel.
    pub name: String,
    /// A text for the user. Python readers require the key.
    pub description: Option<String>,
    /// A message type that Python can import.
    pub data_type: String,
    /// The message type if Python has no such class; `data_type` is then [`SENSOR_DATA`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// Unknown keys.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The result of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// The topic is new.
    Created,
    /// The record already has this type, or a more precise one.
    Unchanged,
    /// The record had no precise type, and has this one now.
    Upgraded,
    /// The record has another type, which stays.
    Mismatch {
        /// The type in the registry.
        registered: String,
    },
    /// The record is malformed, and stays.
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
    /// [`Malformed`] if it is not JSON, or if `name` or `data_type` is missing.
    pub fn from_json(topic: &str, text: &str) -> Result<Self, Malformed> {
        read_record(Table::Topics, topic, text)
    }

    /// The record as MSight would store it.
    ///
    /// # Errors
    /// Those of `serde_json`; only `extra` can cause one.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        python_json::to_string(self)
    }

    /// The type of the messages, which Python may lack.
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

/// Declares that `topic` carries messages of a type ([`SENSOR_DATA`] if unknown), or of one of several types that a reader
/// accepts. In the latter case the writer states the type: a missing record becomes [`SENSOR_DATA`].
///
/// Creates a missing record, and replaces [`SENSOR_DATA`] by a precise type. Any other record stays, and the result
/// reports it. The type is only information and has no effect on messages.
///
/// # Errors
/// Those of the registry.
pub async fn register_topic(
    registry: &dyn Registry,
    topic: &Topic,
    message_types: &[&str],
) -> Result<Declared, Error> {
    let name = topic.as_str();
    let mut current = registry.get(Table::Topics, name).await?;
    for _ in 0..ATTEMPTS {
        let (record, declared) = match &current {
            None => (Some(TopicRecord::new(topic, declared(message_types))), Declared::Created),
            Some(text) => reconcile(name, text, message_types),
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

/// The record that replaces an existing one, if any.
fn reconcile(name: &str, text: &str, message_types: &[&str]) -> (Option<TopicRecord>, Declared) {
    let mut record = match TopicRecord::from_json(name, text) {
        Ok(record) => record,
        Err(malformed) => return (None, Declared::Malformed(malformed)),
    };
    let registered = canonical(record.message_type());
    if message_types == [SENSOR_DATA] || message_types.contains(&registered) {
        return (None, Declared::Unchanged);
    }
    if registered != SENSOR_DATA {
        return (None, Declared::Mismatch { registered: registered.to_owned() });
    }
    let message_type = declared(message_types);
    if message_type == SENSOR_DATA {
        return (None, Declared::Unchanged);
    }
    record.set_type(message_type);
    (Some(record), Declared::Upgraded)
}

/// The type to declare: unknown if there are several.
fn declared<'a>(message_types: &[&'a str]) -> &'a str {
    if let [one] = message_types { one } else { SENSOR_DATA }
}

/// The module path of a type. MSight also accepts a class by its package, such as `msight_core.data.ImageData`.
fn canonical(data_type: &str) -> &str {
    let Some(class) = data_type.strip_prefix("msight_core.data.") else { return data_type };
    let defined = PYTHON_TYPES.iter().find(|path| path.rsplit('.').next() == Some(class));
    defined.copied().unwrap_or(data_type)
}

/// The channel to subscribe to for `topic`: that in its record, as in MSight, otherwise `topic` itself.
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

/// All topics by name, each with its record or the error in it.
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
    fn every_type_is_stored_as_by_python() {
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
    fn records_that_python_accepts_are_accepted_and_others_are_reported() {
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
            let (_, declared) = reconcile("tt", stored, &["msight_core.data.video.VideoData"]);
            assert_ne!(declared, Declared::Created, "{stored}");
        }
    }

    #[test]
    fn a_type_that_python_lacks_is_stored_beside_the_base_class() {
        let text = record("acme.Plate");
        assert_eq!(
            text,
            r#"{"name": "t", "description": null, "data_type": "msight_core.data.base.SensorData", "message_type": "acme.Plate"}"#
        );
        assert_eq!(TopicRecord::from_json("t", &text).unwrap().message_type(), "acme.Plate");
    }

    #[test]
    fn only_the_base_class_is_replaced_by_another_type() {
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
            let (record, declared) = reconcile("t", &text, &[message_type]);
            assert_eq!(declared, expected, "{text} and {message_type}");
            assert_eq!(record.is_some(), expected == Declared::Upgraded);
        }
        let (upgraded, _) = reconcile(
            "t",
            r#"{"name": "c", "description": "d", "data_type": "msight_core.data.base.SensorData", "x": 1}"#,
            &[IMAGE],
        );
        assert_eq!(
            upgraded.unwrap().to_json().unwrap(),
            r#"{"name": "c", "description": "d", "data_type": "msight_core.data.image.ImageData", "x": 1}"#
        );
    }
}
