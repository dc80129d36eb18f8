//! What a bus states of a message: whom a published one reached, and how a received one is acknowledged.

use std::fmt;

use bytes::Bytes;

/// How many subscribers a published message reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receivers {
    /// So many were subscribed. A subscriber that drops the message counts.
    Known(usize),
    /// The broker stores messages and does not report its readers.
    Unknown,
}

/// A message as it arrives at a subscriber.
///
/// A message of a durable topic is acknowledged when it needs no second delivery:
/// - what was made of it is safe: stored, or accepted by the bus;
/// - it was dropped on purpose and counted: left out by `--gap`, unusable, failed in the node, refused by the bus, or
///   dropped by the policy of a full queue behind the node.
///
/// It stays unacknowledged when its work was cut short: dropped in the subscription's queue, waiting or in work or on
/// its way out when the node stopped, or held by code that panicked.
#[derive(Debug)]
pub struct Delivery<P = Bytes> {
    /// The message.
    pub payload: P,
    /// Confirms the message, if its topic is durable. Without it the broker delivers the message once more.
    pub acknowledgement: Option<Acknowledgement>,
}

impl<P> Delivery<P> {
    /// A message that needs no acknowledgement.
    pub fn unacknowledged(payload: P) -> Self {
        Self { payload, acknowledgement: None }
    }
}

/// Confirms one message of a durable topic to its broker. Dropped without a call of
/// [`acknowledge`](Self::acknowledge), by a panic for example, it leaves the message unacknowledged.
pub struct Acknowledgement(Box<dyn FnOnce() + Send + Sync>);

impl Acknowledgement {
    /// An acknowledgement that calls `confirm`, which must not block: it runs where the message is let go of.
    pub fn new(confirm: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Box::new(confirm))
    }

    /// Confirms the message: what was made of it is safe.
    pub fn acknowledge(self) {
        (self.0)();
    }
}

impl fmt::Debug for Acknowledgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acknowledgement")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;

    #[test]
    fn a_message_is_acknowledged_by_the_call_alone() {
        let confirmed = Arc::new(AtomicBool::new(false));
        let acknowledgement = || {
            let confirmed = confirmed.clone();
            Acknowledgement::new(move || confirmed.store(true, Relaxed))
        };
        drop(acknowledgement());
        assert!(!confirmed.load(Relaxed));
        acknowledgement().acknowledge();
        assert!(confirmed.load(Relaxed));
    }
}
