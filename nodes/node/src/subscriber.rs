//! The way in for a node that has further inputs: samples out of the queue of their topic.

use std::marker::PhantomData;
use std::sync::Arc;

use anyhow::Result;
use msight_proto::Sample;
use tokio::sync::Mutex;

use crate::Accept;
use crate::run::inlet::Inlet;

/// The queue of an input, which the node and the runner share.
pub(crate) type SharedInlet = Arc<Mutex<Inlet>>;

/// Takes samples of one type from a further input of a node. Clones take from the same queue: each sample goes to one
/// of them.
///
/// The queue is the node's own, as bounded as that of `-st` (`--queue-size`, `--queue-bytes`, `--overflow`). Messages
/// that cannot be used are counted and skipped there too.
pub struct Subscriber<M> {
    inlet: SharedInlet,
    message: PhantomData<fn() -> M>,
}

impl<M> Clone for Subscriber<M> {
    fn clone(&self) -> Self {
        Self { inlet: self.inlet.clone(), message: PhantomData }
    }
}

impl<M: Accept> Subscriber<M> {
    pub(crate) fn new(inlet: SharedInlet) -> Self {
        Self { inlet, message: PhantomData }
    }

    /// The next sample. Once the node is to stop, what is queued already still comes, within half of `--grace`; then
    /// `None`. No sample is lost when the future is dropped.
    ///
    /// # Errors
    /// A message that cannot be used, where `--action-on-error stop` asks for it.
    pub async fn recv(&self) -> Result<Option<Sample<M>>> {
        self.inlet.lock().await.next().await
    }

    /// The next sample if one waits already: for a node that looks here between two samples of `-st`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn try_recv(&self) -> Result<Option<Sample<M>>> {
        self.inlet.lock().await.try_next()
    }
}
