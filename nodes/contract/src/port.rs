//! The topics of a node: the flag that names each, and its type of messages.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether a node publishes, subscribes or both, which decides its topic flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Publishes: `-pt` and `-sn`, both required.
    Source,
    /// Subscribes and publishes: `-st` and `-pt` required, `-sn` optional.
    Processor,
    /// Subscribes: `-st` required.
    Sink,
}

impl Kind {
    /// Whether nodes of this kind subscribe to a topic, `-st`.
    pub fn subscribes(self) -> bool {
        self != Self::Source
    }

    /// Whether nodes of this kind publish to a topic, `-pt`.
    pub fn publishes(self) -> bool {
        self != Self::Sink
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Source => "source",
            Self::Processor => "processor",
            Self::Sink => "sink",
        })
    }
}

/// An input or output of a node: a topic that one of its flags names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The port's name, such as `publish` or `packet`.
    pub name: String,
    /// The flag that names the topic, such as `--publish-topic`.
    pub flag: String,
    /// The `data_type` of the messages; `None` stands for any type.
    pub data_type: Option<String>,
    /// Further types that an input accepts on the same topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_types: Vec<String>,
    /// Whether the node needs a topic here to start.
    #[serde(default)]
    pub required: bool,
}

impl Port {
    /// The flag of the input that every processor and sink has, `-st`.
    pub const SUBSCRIBE: &'static str = "--subscribe-topic";
    /// The flag of the output that every source and processor has, `-pt`.
    pub const PUBLISH: &'static str = "--publish-topic";

    /// The input of `-st`.
    pub fn subscribe(data_type: Option<&str>) -> Self {
        Self {
            name: "subscribe".to_owned(),
            flag: Self::SUBSCRIBE.to_owned(),
            data_type: data_type.map(str::to_owned),
            further_types: Vec::new(),
            required: true,
        }
    }

    /// The output of `-pt`.
    pub fn publish(data_type: Option<&str>) -> Self {
        Self {
            name: "publish".to_owned(),
            flag: Self::PUBLISH.to_owned(),
            data_type: data_type.map(str::to_owned),
            further_types: Vec::new(),
            required: true,
        }
    }

    /// The same input for messages of several types, of which the first one is the port's own.
    #[must_use]
    pub fn with_further_types(mut self, types: &[&str]) -> Self {
        self.further_types = types.iter().skip(1).map(|&name| name.to_owned()).collect();
        self
    }

    /// All types of its messages; empty for any type.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.data_type.iter().chain(&self.further_types).map(String::as_str)
    }

    /// A further, optional port. Its name is that of its flag without `-topic`: `--packet-topic` names the topic of
    /// `packet`.
    pub fn further(flag: &str, data_type: Option<&str>) -> Self {
        let name = flag.trim_start_matches('-');
        Self {
            name: name.strip_suffix("-topic").unwrap_or(name).to_owned(),
            flag: flag.to_owned(),
            data_type: data_type.map(str::to_owned),
            further_types: Vec::new(),
            required: false,
        }
    }
}
