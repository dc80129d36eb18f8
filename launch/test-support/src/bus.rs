//! Buses of tests: over a Redis server of the test, and one with durable topics.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use msight_bus::{
    Acknowledgement, BoxFuture, Bus, Connection, Delivery, Error, Inbox, QueueConfig, Receivers, RedisConfig,
    Subscription, Topic,
};

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

/// A bus whose topics are durable: it does not report its receivers, and notes which messages are acknowledged.
#[derive(Default)]
pub struct DurableBus {
    inboxes: Mutex<Vec<Arc<Inbox>>>,
    acknowledged: Arc<Mutex<Vec<Bytes>>>,
}

impl DurableBus {
    /// The messages that were acknowledged, in that order.
    pub fn acknowledged(&self) -> Vec<Bytes> {
        self.acknowledged.lock().expect("no test panics with it").clone()
    }

    /// Lets go of all subscriptions.
    pub fn end_subscriptions(&self) {
        self.inboxes.lock().expect("no test panics with it").clear();
    }
}

impl Bus for DurableBus {
    fn publish<'a>(&'a self, topic: &'a Topic, payload: Bytes) -> BoxFuture<'a, Result<Receivers, Error>> {
        for inbox in
            self.inboxes.lock().expect("no test panics with it").iter().filter(|inbox| inbox.topic() == topic)
        {
            let (acknowledged, message) = (self.acknowledged.clone(), payload.clone());
            let confirm = move || acknowledged.lock().expect("no test panics with it").push(message);
            let acknowledgement = Some(Acknowledgement::new(confirm));
            inbox.push(Delivery { payload: payload.clone(), acknowledgement });
        }
        Box::pin(async { Ok(Receivers::Unknown) })
    }

    fn subscribe<'a>(
        &'a self,
        topic: &'a Topic,
        queue: QueueConfig,
    ) -> BoxFuture<'a, Result<Subscription, Error>> {
        let inbox = Inbox::new(topic.clone(), queue);
        self.inboxes.lock().expect("no test panics with it").push(inbox.clone());
        Box::pin(async { Ok(Subscription::new(inbox, None)) })
    }

    fn describe(&self) -> String {
        "durable".to_owned()
    }
}
