//! How it travels: topics over Redis or memory, bounded queues, and the registry.
//!
//! The bus carries bytes and knows no message type. [`connect`] gives a [`Bus`]: Redis
//! publish/subscribe as MSight speaks it ([`RedisBus`]), or the memory of this process
//! ([`MemoryBus`]). Both hold MSight's two registry hashes, whose records and rules are in
//! [`registry`].
//!
//! [`LocalTopics`] carry anything else from one part of a process to another, through the same queues.
//!
//! What a slow consumer costs is the same on all: every [`Subscription`] has a bounded [`Queue`]
//! in front of it which its reader fills without ever waiting, and every payload that does not
//! fit is counted.

mod backoff;
mod error;
mod local;
mod memory;
mod python_json;
mod queue;
mod redis;
pub mod registry;
mod subscription;
mod topic;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub use self::backoff::Backoff;
pub use self::error::Error;
pub use self::local::LocalTopics;
pub use self::memory::MemoryBus;
pub use self::queue::{Overflow, Payload, Queue, SubscriptionStats};
pub use self::redis::{RedisBus, RedisConfig};
pub use self::subscription::Subscription;
pub use self::topic::Topic;

/// The largest payload that any bus carries: 64 MiB. A larger one is refused by
/// [`Bus::publish`], and dropped and counted when it arrives from elsewhere.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

fn check_size(topic: &Topic, payload: &Bytes) -> Result<(), Error> {
    if payload.len() <= MAX_MESSAGE_BYTES {
        return Ok(());
    }
    Err(Error::TooLarge { topic: topic.to_string(), bytes: payload.len(), limit: MAX_MESSAGE_BYTES })
}

/// What the methods of [`Bus`] return, so that a bus can be chosen at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One of the two hashes in which nodes and topics are registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// `MSIGHT:NODES`: node name to [`registry::NodeRecord`].
    Nodes,
    /// `MSIGHT:TOPICS`: topic name to [`registry::TopicRecord`].
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

/// Bytes in, bytes out, and the two small tables of the registry.
///
/// Every method answers within a few seconds whatever the far end does: [`Error::Unavailable`]
/// means "try again with back-off", and a call that comes while the bus itself is waiting to
/// reconnect fails at once. The bus logs an outage itself, with one line when it begins and one when
/// it ends.
pub trait Bus: Send + Sync + 'static {
    /// Hands `payload` to everybody who is subscribed to `topic` now, and returns how many that
    /// are. Payloads published one after the other arrive in that order.
    ///
    /// After [`Error::Unavailable`] the payload may or may not have arrived: publishing it again
    /// may make a duplicate. More than [`MAX_MESSAGE_BYTES`] is [`Error::TooLarge`].
    fn publish<'a>(&'a self, topic: &'a Topic, payload: Bytes) -> BoxFuture<'a, Result<usize, Error>>;

    /// Subscribes to `topic`. Once this returns, everything that is published arrives in the
    /// subscription's queue, which is dropped from as `queue` says when its owner is slow.
    ///
    /// While the bus is away this fails quickly with [`Error::Unavailable`] and the caller
    /// retries. A subscription that exists looks after itself: it comes back by itself after any
    /// interruption.
    fn subscribe<'a>(&'a self, topic: &'a Topic, queue: Queue) -> BoxFuture<'a, Result<Subscription, Error>>;

    /// All fields of a table and their values, in no particular order.
    fn read<'a>(&'a self, table: Table) -> BoxFuture<'a, Result<Vec<(String, String)>, Error>>;

    /// One field of a table.
    fn get<'a>(&'a self, table: Table, field: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>>;

    /// Sets one field to `new` if it is `expected`, in one atomic step; `None` stands for an
    /// absent field. `Ok(Err(current))` says that it was something else, and what.
    fn swap<'a>(
        &'a self,
        table: Table,
        field: &'a str,
        expected: Option<&'a str>,
        new: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Result<(), Option<String>>, Error>>;

    /// Deletes every key that begins with `MSIGHT`, as MSight's `msight_reset_redis` does, and
    /// returns how many there were. Nothing else is touched.
    fn reset<'a>(&'a self) -> BoxFuture<'a, Result<u64, Error>>;

    /// Where the bus is, for logs: `redis://localhost:6379/0`. Never contains credentials.
    fn describe(&self) -> String;
}

/// Opens the bus that `url` names, or without one the Redis of the environment
/// ([`RedisConfig::from_env`]).
///
/// `redis://`, `rediss://` and `unix://` URLs are those of [`RedisConfig::from_url`];
/// `memory://` is the one [`MemoryBus`] that all of this process shares.
///
/// # Errors
/// [`Error::Invalid`] for a bad URL or variable. A Redis that does not answer is
/// [`Error::Unavailable`]: call again later.
pub async fn connect(url: Option<&str>) -> Result<Arc<dyn Bus>, Error> {
    let config = match url {
        Some("memory:" | "memory://") => return Ok(Arc::new(MemoryBus::of_process())),
        Some(url) => RedisConfig::from_url(url)?,
        None => RedisConfig::from_env()?,
    };
    Ok(Arc::new(RedisBus::connect(config).await?))
}
