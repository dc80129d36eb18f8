//! Why a node's name could not be taken or kept.

use std::time::Duration;

use crate::error::Error;

/// Why a name could not be taken or kept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry cannot be reached, or refuses.
    #[error(transparent)]
    Bus(#[from] Error),
    /// Another live node has this name. It may be tried again after `retry_after`, by when that
    /// node has shown another sign of life or counts as dead.
    #[error(
        "the node name {name:?} is taken: {holder}; stop that node, or choose another --name. \
         If that node is dead, the name is free in {after:.0} s",
        after = retry_after.as_secs_f64().ceil()
    )]
    Held {
        /// The name.
        name: String,
        /// Who has it, for people.
        holder: String,
        /// When its last sign of life will be too old.
        retry_after: Duration,
    },
    /// Another node has taken this name over: this one must stop using it.
    #[error("the node name {name:?} was taken over: {holder}")]
    Lost {
        /// The name.
        name: String,
        /// Who has it now, for people.
        holder: String,
        /// When its last sign of life will be too old. A heartbeat after that takes the name back.
        retry_after: Duration,
    },
    /// A record that JSON cannot hold; cannot happen with the records of this crate.
    #[error("cannot write the record of node {name:?}: {reason}")]
    Unwritable {
        /// The name.
        name: String,
        /// What serde says.
        reason: String,
    },
}
