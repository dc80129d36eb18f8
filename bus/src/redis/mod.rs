//! The bus over Redis: publish/subscribe as MSight speaks it, and its two hashes.
//!
//! **Cluster.** Topics are plain channels (`PUBLISH`, `SUBSCRIBE`) there too, not sharded ones
//! (`SPUBLISH`, `SSUBSCRIBE`). Python nodes use plain channels, and the two kinds do not hear each
//! other. A cluster hands every plain message to all of its nodes, so publishers and subscriptions
//! may sit on any of them, and move on when theirs goes away; the price is that every node carries all traffic. Where that is too much, give
//! cameras their own Redis.
//!
//! **Copies.** A payload is received without any copy of ours: what the client has parsed becomes
//! [`Bytes`](bytes::Bytes) as it is. To send it, the client copies it into its buffers.

mod commands;
mod config;
mod dialer;
mod failure;
mod outage;
mod python_list;
mod reader;
mod reset;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, cmd};

pub use self::config::RedisConfig;

use self::commands::Commands;
use self::dialer::{Dialer, Purpose};
use self::failure::{Classifier, Operation};
use self::outage::Outage;
use crate::{BoxFuture, Bus, Error, Queue, Subscription, Table, Topic, check_size};

/// Compares and sets one field of a hash. A script is one atomic step; `KEYS` holds one key, so
/// it runs in a cluster. Absence is the flag before each value.
const SWAP: &str = "\
local current = redis.call('HGET', KEYS[1], ARGV[1])
local expected = ARGV[2] == '1' and ARGV[3]
if current ~= expected then return {0, current} end
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], ARGV[1], ARGV[5])
else redis.call('HDEL', KEYS[1], ARGV[1]) end
return {1, false}";

/// How long deleting all keys of MSight may take, in a Redis full of other keys.
const RESET_TIMEOUT: Duration = Duration::from_secs(60);

/// The bus over Redis 6 or newer.
///
/// Publishing has a connection, the registry has one, and so has each subscription. A command waits at most 2 s for
/// its answer (longer by 1 s for each MB that it carries), a connection at most 5 s. A lost
/// connection is made again with a back-off of 0.1 s to 5 s.
pub struct RedisBus {
    dialer: Arc<Dialer>,
    classifier: Classifier,
    outage: Arc<Outage>,
    publishing: Commands,
    tables: Commands,
}

impl RedisBus {
    /// Reads the certificate files and connects.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings that cannot be used, [`Error::Unavailable`] while there is
    /// no Redis (call again), [`Error::Refused`] when it does not let us in.
    pub async fn connect(config: RedisConfig) -> Result<Self, Error> {
        let dialer = Arc::new(Dialer::new(&config)?);
        let classifier = Classifier { place: config.place(), secret: config.password };
        let outage = Outage::none(&classifier.place);
        let commands = |purpose| Commands::new(dialer.clone(), classifier.clone(), purpose, outage.line());
        let (publishing, tables) = (commands(Purpose::Publishing), commands(Purpose::Tables));
        tables.connect().await?;
        publishing.connect().await?;
        Ok(Self { dialer, classifier, outage, publishing, tables })
    }

    async fn publish_now(&self, topic: &Topic, payload: Bytes) -> Result<usize, Error> {
        check_size(topic, &payload)?;
        let mut publish = Cmd::with_capacity(3, payload.len() + topic.as_str().len() + 16);
        publish.arg("PUBLISH").arg(topic.as_str()).arg(&payload[..]);
        self.publishing.run(Operation::Publish(topic), &publish, payload.len()).await
    }

    async fn swap_now(
        &self,
        table: Table,
        field: &str,
        expected: Option<&str>,
        new: Option<&str>,
    ) -> Result<Result<(), Option<String>>, Error> {
        let mut eval = cmd("EVAL");
        eval.arg(SWAP).arg(1).arg(table.key()).arg(field);
        for value in [expected, new] {
            eval.arg(u8::from(value.is_some())).arg(value.unwrap_or_default());
        }
        let (done, current): (bool, Option<Vec<u8>>) =
            self.tables.run(Operation::Swap(table), &eval, 0).await?;
        Ok(if done { Ok(()) } else { Err(current.map(text)) })
    }

    async fn reset_now(&self) -> Result<u64, Error> {
        let (link, _) = self.tables.link().await?;
        match tokio::time::timeout(RESET_TIMEOUT, reset::delete_keys(link, self.dialer.seed())).await {
            Ok(deleted) => deleted.map_err(|error| self.classifier.classify(Operation::Reset, &error)),
            Err(_) => {
                let reason = format!("not finished within {} s", RESET_TIMEOUT.as_secs());
                Err(self.classifier.unavailable(Operation::Reset, reason))
            }
        }
    }
}

/// What somebody else stored need not be UTF-8; one bad record must not hide the others.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl Bus for RedisBus {
    fn publish<'a>(&'a self, topic: &'a Topic, payload: Bytes) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(self.publish_now(topic, payload))
    }

    fn subscribe<'a>(&'a self, topic: &'a Topic, queue: Queue) -> BoxFuture<'a, Result<Subscription, Error>> {
        let (dialer, classifier) = (self.dialer.clone(), self.classifier.clone());
        Box::pin(reader::subscribe(dialer, classifier, self.outage.line(), topic, queue))
    }

    fn read<'a>(&'a self, table: Table) -> BoxFuture<'a, Result<Vec<(String, String)>, Error>> {
        Box::pin(async move {
            let mut command = cmd("HGETALL");
            command.arg(table.key());
            let fields: Vec<(Vec<u8>, Vec<u8>)> =
                self.tables.run(Operation::Read(table), &command, 0).await?;
            Ok(fields.into_iter().map(|(field, value)| (text(field), text(value))).collect())
        })
    }

    fn get<'a>(&'a self, table: Table, field: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move {
            let mut command = cmd("HGET");
            command.arg(table.key()).arg(field);
            let value: Option<Vec<u8>> = self.tables.run(Operation::Get(table), &command, 0).await?;
            Ok(value.map(text))
        })
    }

    fn swap<'a>(
        &'a self,
        table: Table,
        field: &'a str,
        expected: Option<&'a str>,
        new: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Result<(), Option<String>>, Error>> {
        Box::pin(self.swap_now(table, field, expected, new))
    }

    fn reset<'a>(&'a self) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(self.reset_now())
    }

    fn describe(&self) -> String {
        self.classifier.place.clone()
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisBus").field(&self.classifier.place).finish()
    }
}
