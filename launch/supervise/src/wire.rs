//! What a launcher and the process of its nodes say to each other: lines of JSON, down its standard input and up its
//! standard error, between the lines of its log. Command lines and variables go this way because every user of the
//! machine can read a process's arguments.

use std::collections::BTreeMap;

use msight_node::logs::Level;
use serde::{Deserialize, Serialize};

/// The subcommand of `msight` that is such a process.
pub const HOST_NODES: &str = "host-nodes";

/// What the nodes of a process share. It is the first line that the process is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Whether there is a Redis. Without it the process's own memory is the bus.
    pub is_on_redis: bool,
    /// Topics that are published there as well.
    pub exposed: Vec<String>,
    /// Topics that are there alone, at both ends.
    pub left_to_bus: Vec<String>,
    /// The least severe lines to log.
    pub level: Level,
}

/// Any further line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// A node is to run.
    Start(Start),
    /// The node of this run is to stop, as after a first SIGTERM.
    Stop(u64),
    /// The node of this run ends now, whatever it does.
    Abort(u64),
}

/// A node that is to run.
#[derive(Serialize, Deserialize)]
pub struct Start {
    /// The number of its run, which no other run in the process has.
    pub run: u64,
    /// The name of its entry.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The variables that its flags are taken from.
    pub variables: BTreeMap<String, String>,
}

/// What the process says: a node has ended.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The number of its run.
    pub ended: u64,
    /// Why, if it was a failure.
    pub failure: Option<String>,
    /// Whether another try would end alike.
    pub is_final: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_what_it_is_and_a_logged_one_is_none() {
        let stop = serde_json::to_value(Order::Stop(7)).expect("JSON");
        assert_eq!(stop, json!({ "stop": 7 }));
        let log = r#"{"level":"INFO","message":"the node has ended","node":"camera"}"#;
        assert!(serde_json::from_str::<Ended>(log).is_err());
    }
}
