//! The parsed command line of a program, or why the program rejects it.

use serde::{Deserialize, Serialize};

use crate::argparse::Line;
use crate::port::Port;

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// The node's name, `-n`.
    pub name: String,
    /// The index of the argument with the node's name, if known.
    #[serde(default)]
    pub name_argument: Option<usize>,
    /// The sensor's name, `-sn`.
    #[serde(default)]
    pub sensor_name: Option<String>,
    /// The topics it subscribes to.
    pub reads: Vec<TopicUse>,
    /// The topics it publishes to.
    pub writes: Vec<TopicUse>,
}

/// One end of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicUse {
    /// The topic's name.
    pub topic: String,
    /// The `data_type` of the messages; `None` stands for any type.
    pub data_type: Option<String>,
    /// Further types that a reader accepts on the topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_types: Vec<String>,
    /// The index of the argument with the topic's name, if known.
    #[serde(default)]
    pub argument: Option<usize>,
}

impl TopicUse {
    /// The topic of a port. `argument` is the index of the argument with its name.
    pub fn of(port: &Port, topic: String, argument: Option<usize>) -> Self {
        let (data_type, further_types) = (port.data_type.clone(), port.further_types.clone());
        Self { topic, data_type, further_types, argument }
    }

    /// All types of the messages; empty for any type.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.data_type.iter().chain(&self.further_types).map(String::as_str)
    }
}

impl Invocation {
    /// The parsed line of a program with these inputs and outputs. `topic` gives the topic of a port, or `None` for an
    /// optional port that the line does not use.
    pub fn new(
        name: String,
        sensor_name: Option<String>,
        (inputs, outputs): (&[Port], &[Port]),
        topic: impl Fn(&Port) -> Option<String>,
        line: &Line<'_>,
    ) -> Self {
        let used =
            |port: &Port| topic(port).map(|topic| TopicUse::of(port, topic, line.position(&port.flag)));
        Self {
            name,
            name_argument: line.position("--name"),
            sensor_name,
            reads: inputs.iter().filter_map(used).collect(),
            writes: outputs.iter().filter_map(used).collect(),
        }
    }
}

/// Why a program rejects a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Mistake {
    /// The error that the program prints at its start, without credentials.
    pub message: String,
    /// The index of the argument with the error, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<usize>,
    /// The environment variable with the error, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// What to do about it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Mistake {
    /// An error that concerns the whole line.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), argument: None, variable: None, help: None }
    }
}
