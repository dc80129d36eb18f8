//! Publishing from a thread.

use crate::Publisher;
use anyhow::Error;
use msight_proto::{Message, Sample};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Publishes samples from a thread, which waits while the bus is behind.
pub struct ThreadPublisher<M> {
    out: Publisher<M>,
    runtime: Handle,
    /// Cancelled when the node is dropped.
    abandoned: CancellationToken,
}

/// Why a sample was not published.
#[derive(Debug)]
pub enum NotPublished {
    /// It cannot be: see [`Publisher::publish`].
    Refused(Error),
    /// The node stopped while the sample waited for the bus.
    Stopped,
}

impl<M: Message> ThreadPublisher<M> {
    /// Called on the node's runtime.
    pub(super) fn new(out: Publisher<M>, abandoned: CancellationToken) -> Self {
        Self { out, runtime: Handle::current(), abandoned }
    }

    /// Publishes a sample, and waits while the bus is behind.
    ///
    /// # Errors
    /// See [`NotPublished`]. The receipt of a sample that the stop of the node has cut short is abandoned.
    pub fn publish(&self, sample: Sample<M>) -> Result<(), NotPublished> {
        let receipt = sample.receipt();
        let published = self.runtime.block_on(async {
            tokio::select! {
                published = self.out.publish(sample) => Some(published),
                () = self.abandoned.cancelled() => None,
            }
        });
        match published {
            Some(published) => published.map_err(NotPublished::Refused),
            None => {
                receipt.iter().for_each(msight_proto::Receipt::abandon);
                Err(NotPublished::Stopped)
            }
        }
    }
}
