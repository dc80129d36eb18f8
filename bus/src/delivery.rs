//! How a bus reports the receivers of a published message, and how a received message is acknowledged.

use std::fmt;

use bytes::Bytes;

/// How many subscribers a published message reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receivers {
    /// The number of subscribers, including those that drop the message.
    Known(usize),
    /// The broker stores messages and does not report its receivers.
    Unknown,
}

/// A message at its subscriber.
///
/// A message of a durable topic is acknowledged when it needs no second delivery:
/// - its result is safe: stored, or accepted by the bus;
/// - it was dropped on purpose and counted: skipped by `--gap`, invalid, failed in the node, rejected by the bus, or
///   dropped by the policy of a full queue after the node.
///
/// It stays unacknowledged if its processing was interrupted: it was dropped in the subscription's queue, it was
/// waiting, in work or being published when the node stopped, or the code that held it panicked.
#[derive(Debug)]
pub struct Delivery<P = Bytes> {
    /// The message.
    pub payload: P,
    /// Confirms the message, if its topic is durable. Otherwise the broker delivers the message again.
    pub acknowledgement: Option<Acknowledgement>,
}

impl<P> Delivery<P> {
    /// A message that needs no acknowledgement.
    pub fn unacknowledged(payload: P) -> Self {
        Self { payload, acknowledgement: None }
    }
}

/// Confirms one message of a durable topic to its broker. If it is dropped without a call of
/// [`acknowledge`](Self::acknowledge), by a panic for example, the message stays unacknowledged.
pub struct Acknowledgement(Box<dyn FnOnce() + Send + Sync>);

impl Acknowledgement {
    /// An acknowledgement that calls `confirm`, which must not block, because it runs wherever the message is dropped.
    pub fn new(confirm: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Box::new(confirm))
    }

    /// Confirms the message, whose result is safe.
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
    fn only_the_call_acknowledges_a_message() {
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
