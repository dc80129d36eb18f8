//! A bus over a Redis server of a test.

use std::sync::Arc;

use bytes::Bytes;
use msight_bus::{Bus, Connection, RedisConfig, Subscription, Topic};

use crate::DEADLINE;
use crate::redis::RedisServer;

impl RedisServer {
    /// A bus over this server.
    pub async fn bus(&self) -> Arc<dyn Bus> {
        self.connection().await.bus
    }

    /// The bus and the registry of this server.
    pub async fn connection(&self) -> Connection {
        connect(&self.url()).await
    }
}

/// The bus and the registry of the server at `url`.
pub async fn connect(url: &str) -> Connection {
    let config = RedisConfig::from_url(url).expect("a good URL");
    Connection::redis(config).await.expect("to connect")
}

/// The topic of that name.
pub fn topic(name: &str) -> Topic {
    Topic::new(name).expect("a good name")
}

/// The next message.
pub async fn next(subscription: &mut Subscription) -> Bytes {
    tokio::time::timeout(DEADLINE, subscription.recv())
        .await
        .expect("a message before the deadline")
        .expect("an open subscription")
        .payload
}
