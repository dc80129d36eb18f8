//! The interface of every message bus, which carries bytes.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::delivery::Receivers;
use crate::error::Error;
use crate::inbox::QueueConfig;
use crate::limit::MAX_MESSAGE_BYTES;
use crate::subscription::Subscription;
use crate::topic::Topic;

/// The return type of the methods of [`Bus`] and [`Registry`](crate::Registry), so that an implementation can be chosen
/// at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries messages from publishers to subscribers.
///
/// Every method returns within a few seconds, even if the server does not respond. [`Error::Unavailable`] means "retry
/// with back-off"; a call while the bus waits to reconnect fails at once. The bus itself logs an outage, with one line
/// when it begins and one when it ends.
pub trait Bus: Send + Sync + 'static {
    /// Publishes `payload` to all current subscribers of `topic`, and returns their number if the broker reports it.
    /// Payloads published one after the other arrive in that order.
    ///
    /// After [`Error::Unavailable`] the payload may or may not have arrived, so publishing it again may make a
    /// duplicate. A payload of more than [`MAX_MESSAGE_BYTES`] is [`Error::TooLarge`].
    fn publish<'a>(&'a self, topic: &'a Topic, payload: Bytes) -> BoxFuture<'a, Result<Receivers, Error>>;

    /// Subscribes to `topic`. After this returns, every published message arrives in the subscription's queue. A full
    /// queue drops messages by the policy of `queue`.
    ///
    /// While the bus is unavailable this fails quickly with [`Error::Unavailable`], and the caller retries. An existing
    /// subscription reconnects by itself after any interruption.
    fn subscribe<'a>(
        &'a self,
        topic: &'a Topic,
        queue: QueueConfig,
    ) -> BoxFuture<'a, Result<Subscription, Error>>;

    /// The address of the bus, for logs: `redis://localhost:6379/0`. Never contains credentials.
    fn describe(&self) -> String;
}

pub(crate) fn check_size(topic: &Topic, payload: &Bytes) -> Result<(), Error> {
    if payload.len() <= MAX_MESSAGE_BYTES {
        return Ok(());
    }
    Err(Error::TooLarge { topic: topic.to_string(), bytes: payload.len(), limit: MAX_MESSAGE_BYTES })
}
