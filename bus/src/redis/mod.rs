//! The bus and the registry on Redis 6 or newer: publish/subscribe and two hashes, as in MSight.
//!
//! **Cluster.** Topics are plain channels (`PUBLISH`, `SUBSCRIBE`) there too, not sharded ones (`SPUBLISH`,
//! `SSUBSCRIBE`). Python nodes use plain channels, and messages of one kind do not reach subscribers of the other. A
//! cluster sends every plain message to all of its nodes, so publishers and subscriptions may use any node, and change
//! to another one if theirs fails. In return, every node carries all traffic. If that is too much, give cameras a Redis
//! of their own.
//!
//! **Connections.** Publishing, the registry and each subscription have one connection each. The time-out of a command
//! is 2 s, plus 1 s for each MB of its payload; that of connecting is 5 s. A lost connection is reopened with a
//! back-off of 0.1 s to 1 s.
//!
//! **Copies.** Receiving copies no payload: the buffer that the client has parsed becomes [`Bytes`](bytes::Bytes).
//! Sending copies it once, into the client's buffers.

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

/// Reads the certificate files, and connects the bus and the registry. They share one log of outages.
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
