//! The record of a node.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::malformed::{Malformed, read_record};
use super::owner::Owner;
use super::table::{Registry, Table};
use crate::error::Error;
use crate::python_json;

/// A node with an owner counts as dead after three missed heartbeats.
const EXPIRES_AFTER: Duration = Duration::from_secs(15);
/// A Python node sends a heartbeat only with each message; this is MSight's own tolerance.
const PYTHON_EXPIRES_AFTER: Duration = Duration::from_secs(60);

/// A record of `MSIGHT:NODES`: MSight's seven keys in MSight's order, then ours. Unknown keys are kept when a record is
/// rewritten.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The node's name, which is also its field.
    pub name: String,
    /// The device it runs on, `MSIGHT_EDGE_DEVICE_NAME`.
    pub device: Option<String>,
    /// The topic it publishes to.
    pub publish_topic: Option<TopicNames>,
    /// The topic it subscribes to.
    pub subscribe_topic: Option<TopicNames>,
    /// The class of node, such as `RTSPSourceNode`.
    #[serde(rename = "type")]
    pub node_type: String,
    /// The last heartbeat, in seconds since 1970.
    pub last_heartbeat: f64,
    /// Its status.
    pub status: Status,
    /// Its process. Python nodes omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The sensor of a source. Python nodes omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor_name: Option<String>,
    /// Why the status is not `RUNNING`, in the words of `/readyz`. Python nodes omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Unknown keys.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One topic, or several of a Python node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TopicNames {
    /// One topic.
    One(String),
    /// Several topics.
    Many(Vec<String>),
}

/// MSight's status of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Status {
    /// `REGISTERED`: registered, not yet running.
    Registered,
    /// `RUNNING`.
    Running,
    /// `ERROR`: for example, the camera is unreachable.
    Error,
    /// A status that MSight does not define.
    Other(String),
}

impl NodeRecord {
    /// Maximum characters of `status_reason`, because the records of all nodes are read together.
    pub const MAX_REASON: usize = 300;

    /// The time without a heartbeat after which the node counts as dead.
    pub fn expires_after(&self) -> Duration {
        if self.owner.is_some() { EXPIRES_AFTER } else { PYTHON_EXPIRES_AFTER }
    }

    /// Seconds since the last heartbeat, if the record has expired; `now` is in seconds since 1970.
    pub fn staleness(&self, now: f64) -> Option<f64> {
        let age = now - self.last_heartbeat;
        (age > self.expires_after().as_secs_f64()).then_some(age)
    }

    /// The record of a node that starts now.
    pub fn new(
        name: impl Into<String>,
        device: impl Into<Option<String>>,
        node_type: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            device: device.into(),
            publish_topic: None,
            subscribe_topic: None,
            node_type: node_type.into(),
            last_heartbeat: 0.0,
            status: Status::Registered,
            owner: None,
            sensor_name: None,
            status_reason: None,
            extra: Map::new(),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Malformed`] if it is not JSON, or if one of MSight's keys is missing or has the wrong type.
    pub fn from_json(name: &str, text: &str) -> Result<Self, Malformed> {
        read_record(Table::Nodes, name, text)
    }

    /// The record as MSight would store it.
    ///
    /// # Errors
    /// Those of `serde_json`; only `extra` can cause one.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        python_json::to_string(self)
    }
}

/// All nodes by name, each with its record or the error in it.
///
/// # Errors
/// Those of [`Registry::read`].
pub async fn nodes(registry: &dyn Registry) -> Result<Vec<(String, Result<NodeRecord, Malformed>)>, Error> {
    let mut nodes = registry.read(Table::Nodes).await?;
    nodes.sort();
    let read = |(name, text): (String, String)| {
        let record = NodeRecord::from_json(&name, &text);
        (name, record)
    };
    Ok(nodes.into_iter().map(read).collect())
}

impl fmt::Display for TopicNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(name) => f.write_str(name),
            Self::Many(names) => f.write_str(&names.join(", ")),
        }
    }
}

impl From<&str> for TopicNames {
    fn from(name: &str) -> Self {
        Self::One(name.to_owned())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registered => "REGISTERED",
            Self::Running => "RUNNING",
            Self::Error => "ERROR",
            Self::Other(word) => word,
        })
    }
}

impl From<String> for Status {
    fn from(word: String) -> Self {
        match word.as_str() {
            "REGISTERED" => Self::Registered,
            "RUNNING" => Self::Running,
            "ERROR" => Self::Error,
            _ => Self::Other(word),
        }
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        status.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_python_is_written_back_byte_for_byte() {
        let golden: Value = serde_json::from_str(include_str!("../../tests/vectors/nodes.json")).unwrap();
        let mut seen = 0;
        for node in golden["nodes"].as_array().unwrap() {
            for stage in node["stages"].as_array().unwrap() {
                let Some(text) = stage["raw"].as_str() else { continue };
                let field = node["field"].as_str().unwrap();
                let record = NodeRecord::from_json(field, text).unwrap();
                assert_eq!(record.name, field);
                assert!(!matches!(record.status, Status::Other(_)));
                assert_eq!(record.to_json().unwrap(), text);
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen} records");
    }

    #[test]
    fn unknown_keys_are_kept() {
        let text = concat!(
            r#"{"name": "n", "device": null, "publish_topic": ["a", "b"], "subscribe_topic": null, "#,
            r#""type": "T", "last_heartbeat": 1.5, "status": "STOPPED", "#,
            r#""owner": {"id": "00", "host": "h", "pid": 1, "pid_namespace": "pid:[1]"}, "zeta": [1, 2.0]}"#
        );
        let record = NodeRecord::from_json("n", text).unwrap();
        assert_eq!(record.status, Status::Other("STOPPED".to_owned()));
        assert_eq!(record.to_json().unwrap(), text);
    }

    #[test]
    fn a_malformed_record_is_reported_with_its_name() {
        for text in ["", "notjson", "[]", "{}", r#"{"name": "n"}"#, "null"] {
            let error = NodeRecord::from_json("cam", text).unwrap_err();
            assert!(error.to_string().contains("\"cam\" in MSIGHT:NODES"), "{error}");
        }
    }
}
