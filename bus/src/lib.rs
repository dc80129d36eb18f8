//! Topics over Redis or in memory, bounded queues, and the registry.
//!
//! The bus carries bytes and knows no message type. [`connect`] opens a [`Bus`] and a [`Registry`]: on Redis, with
//! publish/subscribe and MSight's two hashes, or in the memory of this process ([`MemoryBus`], [`MemoryRegistry`]). The
//! records of the registry and their rules are in [`registry`].
//!
//! [`LocalTopics`] carry any other type within a process, through the same queues.
//!
//! Every [`Subscription`] has a bounded queue, described by a [`QueueConfig`]. Its bus never waits: messages that do
//! not fit are dropped and counted. [`BoundedQueue`] is that queue for items of any type, between tasks and threads.

mod backoff;
mod bus;
mod connection;
mod delivery;
mod error;
mod inbox;
mod limit;
mod local;
mod memory;
mod outage;
mod python_json;
mod queue;
mod redis;
pub mod registry;
mod subscription;
mod topic;

pub use self::backoff::Backoff;
pub use self::bus::{BoxFuture, Bus};
pub use self::connection::{Connection, connect};
pub use self::delivery::{Acknowledgement, Delivery, Receivers};
pub use self::error::Error;
pub use self::inbox::{Inbox, Overflow, Payload, QueueConfig, SubscriptionStats};
pub use self::limit::MAX_MESSAGE_BYTES;
pub use self::local::LocalTopics;
pub use self::memory::{MemoryBus, MemoryRegistry};
pub use self::outage::{OutageLimit, OutageLine};
pub use self::queue::{BoundedQueue, Limits, Popped, PushError, QueueStats, Tally};
pub use self::redis::RedisConfig;
pub use self::registry::{Registry, Table};
pub use self::subscription::{Subscription, SubscriptionMonitor};
pub use self::topic::Topic;
