//! What every message bus does: bytes in, bytes out.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::delivery::Receivers;
use crate::error::Error;
use crate::inbox::QueueConfig;
use crate::limit::MAX_MESSAGE_BYTES;
use crate::subscription::Subscription;
use crate::topic::Topic;

/// What the methods of [`Bus`] and [`Registry`](crate::Registry) return, so that either can be chosen at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries messages from publishers to subscribers.
///
/// Every method answers within a few seconds whatever the far end does: [`Error::Unavailable`]
/// means "try again with back-off", and a call that comes while the bus itself is waiting to
/// reconnect fails at once. The bus logs an outage itself, with one line when it begins and one when
/// it ends.
pub trait Bus: Send + Sync + 'static {
    /// Hands `payload` to all current subscribers of `topic`, and returns how many these are as far as the broker
    /// reports it. Payloads published one after the other arrive in that order.
    ///
    /// After [`Error::Unavailable`] the payload may or may not have arrived: publishing it again
    /// may make a duplicate. More than [`MAX_MESSAGE_BYTES`] is [`Error::TooLarge`].
    fn publish<'a>(&'a self, topic: &'a Topic, payload: Bytes) -> BoxFuture<'a, Result<Receivers, Error>>;

    /// Subscribes to `topic`. Once this returns, everything that is published arrives in the
    /// subscription's queue. A full queue drops messages by the policy of `queue`.
    ///
    /// While the bus is away this fails quickly with [`Error::Unavailable`] and the caller
    /// retries. A subscription that exists reconnects by itself after any interruption.
    fn subscribe<'a>(
        &'a self,
        topic: &'a Topic,
        queue: QueueConfig,
    ) -> BoxFuture<'a, Result<Subscription, Error>>;

    /// Where the bus is, for logs: `redis://localhost:6379/0`. Never contains credentials.
    fn describe(&self) -> String;
}

pub(crate) fn check_size(topic: &Topic, payload: &Bytes) -> Result<(), Error> {
    if payload.len() <= MAX_MESSAGE_BYTES {
        return Ok(());
    }
    Err(Error::TooLarge { topic: topic.to_string(), bytes: payload.len(), limit: MAX_MESSAGE_BYTES })
}
