//! The bus and the registry on Redis 6 or newer: publish/subscribe and two hashes, as MSight has them.
//!
//! **Cluster.** Topics are plain channels (`PUBLISH`, `SUBSCRIBE`) there too, not sharded ones
//! (`SPUBLISH`, `SSUBSCRIBE`). Python nodes use plain channels, and messages of one kind do not reach subscribers of
//! the other. A cluster hands every plain message to all of its nodes, so publishers and subscriptions
//! may use any of them, and move on when theirs goes away. The price is that every node carries all traffic. Where
//! that is too much, give cameras their own Redis.
//!
//! **Connections.** Publishing has a connection, the registry has one, and so has each subscription. A command waits at
//! most 2 s for its answer (longer by 1 s for each MB that it carries), a connection at most 5 s. A lost
//! connection is made again with a back-off of 0.1 s to 1 s.
//!
//! **Copies.** A payload is received without any copy of ours: what the client has parsed becomes
//! [`Bytes`](bytes::Bytes) as it is. To send it, the client copies it into its buffers.

mod bus;
mod commands;
mod config;
mod dialer;
mod failure;
mod outage;
mod pace;
mod python_list;
mod reader;
mod registry;
mod reset;

use std::sync::Arc;

pub use self::config::RedisConfig;

use self::bus::RedisBus;
use self::commands::Commands;
use self::dialer::{Dialer, Purpose};
use self::failure::Classifier;
use self::outage::OutageLog;
use self::registry::RedisRegistry;
use crate::error::Error;

/// Reads the certificate files, and connects the bus and the registry. They share the log of outages.
pub(crate) async fn connect(config: RedisConfig) -> Result<(RedisBus, RedisRegistry), Error> {
    let dialer = Arc::new(Dialer::new(&config)?);
    let classifier = Classifier { place: config.place(), secret: config.password };
    let outages = OutageLog::new(&classifier.place);
    let commands = |purpose| Commands::new(dialer.clone(), classifier.clone(), purpose, outages.connection());
    let registry = RedisRegistry::new(dialer.clone(), classifier.clone(), commands(Purpose::Registry));
    let bus =
        RedisBus::new(dialer.clone(), classifier.clone(), outages.clone(), commands(Purpose::Publishing));
    registry.connect().await?;
    bus.connect().await?;
    Ok((bus, registry))
}
