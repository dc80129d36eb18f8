//! The protocol between a launcher and the process of its nodes: lines of JSON, to its standard input and from its
//! standard error, between its log lines. Command lines and variables are sent this way because every user of the
//! machine can read a process's arguments.

use std::collections::BTreeMap;

use msight_node::logs::Level;
use serde::{Deserialize, Serialize};

/// The subcommand of `msight` that runs this process.
pub const SUBCOMMAND: &str = "shared-process";

/// The settings that the nodes of a process share, on the first line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Whether topics use Redis. Otherwise the bus is in memory.
    pub is_on_redis: bool,
    /// Topics that are also published on Redis.
    pub exposed: Vec<String>,
    /// Topics that only use Redis.
    pub left_to_bus: Vec<String>,
    /// The minimum log level.
    pub level: Level,
}

/// A command, on each further line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Start a node.
    Start(Start),
    /// Stop the node of this run, as after a first SIGTERM.
    Stop(u64),
    /// Abort the node of this run.
    Abort(u64),
}

/// A node to start.
#[derive(Serialize, Deserialize)]
pub struct Start {
    /// The number of the run, unique in the process.
    pub run: u64,
    /// The name of its program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The variables for its flags.
    pub variables: BTreeMap<String, String>,
}

/// The report that a node has ended.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The number of the run.
    pub ended: u64,
    /// The reason, if it failed.
    pub failure: Option<String>,
    /// Whether a retry would fail alike.
    pub is_final: bool,
}

/// The report of a node on its readiness.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The number of the run.
    pub reported: u64,
    /// The report, in the form of sd_notify(3).
    pub datagram: String,
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
