//! Errors of registrations.

use std::time::Duration;

use crate::error::Error;

/// Why a name could not be claimed or kept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry is unreachable, or refuses the operation.
    #[error(transparent)]
    Bus(#[from] Error),
    /// Another live node owns this name. Retry after `retry_after`: by then, that node has sent another heartbeat or
    /// counts as dead.
    #[error(
        "the node name {name:?} is taken: {holder}; stop that node, or choose another --name. \
         If that node is dead, the name is free in {after:.0} s",
        after = retry_after.as_secs_f64().ceil()
    )]
    Held {
        /// The name.
        name: String,
        /// The owner, as text for the user.
        holder: String,
        /// Time until its last heartbeat is too old.
        retry_after: Duration,
    },
    /// Another node has taken this name over, so this node must stop using it.
    #[error("the node name {name:?} was taken over: {holder}")]
    Lost {
        /// The name.
        name: String,
        /// The new owner, as text for the user.
        holder: String,
        /// Time until its last heartbeat is too old. A heartbeat after that claims the name again.
        retry_after: Duration,
    },
    /// A record without a JSON form; the records of this crate always have one.
    #[error("cannot write the record of node {name:?}: {reason}")]
    Unwritable {
        /// The name.
        name: String,
        /// The error of serde.
        reason: String,
    },
}
