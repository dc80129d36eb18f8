//! The interface of every registry: two small tables of text that several programs share.

use crate::bus::BoxFuture;
use crate::error::Error;

/// Maximum length of a record, in bytes. A longer one is cut when it is read, and is then malformed.
pub(crate) const MAX_RECORD_BYTES: usize = 64 << 10;
/// Maximum size of a table, in bytes. A record has less than 1 kB.
pub(crate) const MAX_TABLE_BYTES: usize = 16 << 20;

/// One of the two hashes in which nodes and topics are registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// `MSIGHT:NODES`: node name to [`NodeRecord`](crate::registry::NodeRecord).
    Nodes,
    /// `MSIGHT:TOPICS`: topic name to [`TopicRecord`](crate::registry::TopicRecord).
    Topics,
}

impl Table {
    /// The key of the hash in Redis.
    pub fn key(self) -> &'static str {
        match self {
            Self::Nodes => "MSIGHT:NODES",
            Self::Topics => "MSIGHT:TOPICS",
        }
    }
}

/// The result of a compare-and-swap. The error is the current value, which differs from the expected one; `None` stands
/// for an absent field.
pub type Swapped = Result<(), Option<String>>;

/// Holds the records of nodes and topics.
///
/// As with a [`Bus`](crate::Bus), every method returns within a few seconds, and [`Error::Unavailable`] means "retry
/// with back-off".
pub trait Registry: Send + Sync + 'static {
    /// All fields of a table and their values, in no particular order. Other programs write there too, so what is read
    /// is bounded: 64 KiB of each field and value, and 16 MiB together; above that it is an error.
    fn read<'a>(&'a self, table: Table) -> BoxFuture<'a, Result<Vec<(String, String)>, Error>>;

    /// One field of a table.
    fn get<'a>(&'a self, table: Table, field: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>>;

    /// Sets one field to `new` if it equals `expected`, in one atomic step. `None` stands for an absent field.
    fn swap<'a>(
        &'a self,
        table: Table,
        field: &'a str,
        expected: Option<&'a str>,
        new: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Swapped, Error>>;

    /// Deletes every key that begins with `MSIGHT`, as MSight's `msight_reset_redis` does, and returns their number.
    /// Other keys stay.
    fn reset<'a>(&'a self) -> BoxFuture<'a, Result<u64, Error>>;

    /// The address of the registry, for logs: `redis://localhost:6379/0`. Never contains credentials.
    fn describe(&self) -> String;
}
