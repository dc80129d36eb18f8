//! The registry: which nodes run and what travels on which topic.
//!
//! It is MSight's, in the two hashes [`Table::Nodes`](crate::Table) and
//! [`Table::Topics`](crate::Table): Python's `msight_status` lists our nodes, and ours lists
//! Python's. Where MSight lets two nodes of one name overwrite each other, a name here has one
//! owner ([`Registration`]), and nobody deletes or overwrites what another live node wrote.

mod claim;
mod node;
mod owner;
mod topic;

pub use self::claim::{Beat, Registration};
pub use self::node::{NodeRecord, Status, TopicNames, nodes};
pub use self::owner::Owner;
pub use self::topic::{
    Declared, PYTHON_TYPES, SENSOR_DATA, TopicRecord, register_topic, resolve_topic, topics,
};

/// A record that is not what it should be. It is reported and otherwise left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record of {name:?} in {table} cannot be read: {reason}", table = table.key())]
pub struct Malformed {
    /// The hash it is in.
    pub table: crate::Table,
    /// Its field: the name of a node or topic.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a name could not be taken or kept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The bus did not do its part.
    #[error(transparent)]
    Bus(#[from] crate::Error),
    /// Another live node has this name. It may be tried again after `retry_after`, by when that
    /// node has shown another sign of life or counts as dead.
    #[error(
        "the node name {name:?} is taken: {holder}; stop that node, or choose another --name. \
         If it is dead already, the name is free in {after:.0} s",
        after = retry_after.as_secs_f64().ceil()
    )]
    Held {
        /// The name.
        name: String,
        /// Who has it, for people.
        holder: String,
        /// When its last sign of life will be too old.
        retry_after: std::time::Duration,
    },
    /// Another node has taken this name over: this one must stop using it.
    #[error("the node name {name:?} was taken over: {holder}")]
    Lost {
        /// The name.
        name: String,
        /// Who has it now, for people.
        holder: String,
        /// When its last sign of life will be too old. A heartbeat after that takes the name back.
        retry_after: std::time::Duration,
    },
    /// A record that JSON cannot hold; cannot happen with the records of this crate.
    #[error("the record of node {name:?} cannot be written: {reason}")]
    Unwritable {
        /// The name.
        name: String,
        /// What serde says.
        reason: String,
    },
}

fn read_record<T: serde::de::DeserializeOwned>(
    table: crate::Table,
    name: &str,
    text: &str,
) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|error| Malformed {
        table,
        name: name.to_owned(),
        reason: error.to_string(),
    })
}
