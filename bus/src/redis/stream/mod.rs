//! Durable topics: each is a stream of Redis 6.2 or newer, which its readers share in groups.
//!
//! The id of an entry is `MS-SEQ`: the server's clock, and the bytes that were ever added before it. So the number of
//! stored bytes is a difference of two numbers, and no script reads a payload to know it.
//!
//! **Bounds.** A full stream accepts no message, so the publisher waits, and its own queue decides what is dropped. Messages
//! that all groups have acknowledged are deleted at once, and older ones than the limit of age are deleted and counted.
//!
//! **Order.** One member of a group reads at a time; it holds a lease, which other members wait for.

mod acks;
mod consumer;
mod entries;
mod keeper;
mod limits;
mod publish;
mod script;

pub(super) use self::acks::Acks;
pub(super) use self::consumer::{Streams, join};
pub(super) use self::limits::StreamLimits;
pub(super) use self::publish::publish;

use crate::topic::Topic;

/// The keys of a durable topic. The braces keep them on one node of a cluster.
#[derive(Debug, Clone)]
struct Keys {
    stream: String,
    /// A hash: bytes `added` and `freed`, the clock of the `last` and of the `oldest` entry, messages that `expired`, and the
    /// `owner:GROUP` of each group.
    state: String,
    dead_letters: String,
}

impl Keys {
    /// Lower case: `msight reset` deletes the keys of the registry only, which begin with `MSIGHT`.
    fn of(topic: &Topic) -> Self {
        let name = topic.name();
        Self {
            stream: format!("msight:durable:{{{name}}}"),
            state: format!("msight:durable-state:{{{name}}}"),
            dead_letters: format!("msight:dead-letters:{{{name}}}"),
        }
    }
}
