//! Topics between the nodes of one process: samples travel as they are, by reference count.

use std::any::Any;
use std::collections::HashMap;
use std::mem::size_of;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use msight_bus::{LocalTopics, Payload, Topic};
use msight_proto::{DecodeError, EncodeError, Head, Message, Sample, decode, encode};

use crate::queued::{HeldReceipt, QueuedMessage, Significance, span, with_receipt};

/// The topics of nodes that share a process: one, cloned into the [`Resources`](crate::Resources) of each, lets them hand
/// samples to each other without MessagePack and without a copy.
///
/// Queues and what they drop, the order of messages, what is counted and what the registry says are as on a bus, and
/// a node cannot tell the difference. The bus of the resources still holds the registry, and carries the topics that
/// something outside the process has a part in: name these before the nodes start.
///
/// ```
/// use msight_bus::Topic;
/// use msight_node::Local;
///
/// let local = Local::new();
/// local.expose(Topic::new("rtsp_topic").unwrap());
/// ```
#[derive(Clone, Default)]
pub struct Local(Arc<Inner>);

#[derive(Default)]
struct Inner {
    topics: LocalTopics<SharedSample>,
    scope: Mutex<HashMap<Topic, TopicScope>>,
}

/// How far what is published on a topic goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TopicScope {
    /// To the nodes of this process.
    #[default]
    Process,
    /// To them, and to the bus.
    Exposed,
    /// To the bus, and from there to all subscribers.
    Bus,
}

impl Local {
    /// The topics of a process that begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has the topic published on the bus as well, for readers outside this process: each message is encoded once for
    /// that. A bus that is slow or away costs them messages, which are counted, and the nodes here nothing.
    pub fn expose(&self, topic: Topic) {
        self.set(topic, TopicScope::Exposed);
    }

    /// Leaves the topic to the bus at both ends, as if the nodes were processes of their own: for a topic that
    /// something outside this process writes.
    pub fn leave_to_bus(&self, topic: Topic) {
        self.set(topic, TopicScope::Bus);
    }

    fn set(&self, topic: Topic, scope: TopicScope) {
        self.0.scope.lock().unwrap_or_else(PoisonError::into_inner).insert(topic, scope);
    }

    pub(crate) fn scope(&self, topic: &Topic) -> TopicScope {
        self.0.scope.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied().unwrap_or_default()
    }

    pub(crate) fn topics(&self) -> &LocalTopics<SharedSample> {
        &self.0.topics
    }
}

/// A sample of any type that several queues share.
#[derive(Clone)]
pub(crate) struct SharedSample {
    content: Arc<dyn Content>,
    size: usize,
    /// Of the sample. Every queue holds it.
    receipt: HeldReceipt,
}

impl Payload for SharedSample {
    fn size(&self) -> usize {
        self.size
    }
}

impl QueuedMessage for SharedSample {
    fn sensor(&self) -> Option<&str> {
        self.content.head().sensor_name.as_deref()
    }

    fn span(&self) -> (f64, f64) {
        self.content.span()
    }

    fn significance(&self) -> Significance {
        self.content.significance()
    }

    async fn encoded(&self) -> Result<Bytes> {
        let content = self.content.clone();
        // A picture becomes JPEG here, which takes milliseconds: other nodes wait for this thread.
        let message = tokio::task::spawn_blocking(move || content.message()).await;
        Ok(message.context("encoding panicked")??)
    }

    fn release(self) {
        self.receipt.release();
    }
}

/// A sample, and its message once that was needed.
struct Packed<M> {
    sample: Sample<M>,
    message: OnceLock<Result<Bytes, EncodeError>>,
}

trait Content: Any + Send + Sync {
    fn data_type(&self) -> &'static str;
    fn head(&self) -> &Head;
    fn span(&self) -> (f64, f64);
    fn significance(&self) -> Significance;
    fn message(&self) -> Result<Bytes, EncodeError>;
}

impl<M: Message> Content for Packed<M> {
    fn head(&self) -> &Head {
        &self.sample.head
    }

    fn span(&self) -> (f64, f64) {
        span(&self.sample)
    }

    fn significance(&self) -> Significance {
        Significance::of(&self.sample.body)
    }

    fn data_type(&self) -> &'static str {
        M::TYPE
    }

    fn message(&self) -> Result<Bytes, EncodeError> {
        self.message.get_or_init(|| encode(&self.sample)).clone()
    }
}

impl SharedSample {
    /// Packs a sample with its receipt.
    pub(crate) fn new<M: Message>(mut sample: Sample<M>) -> Self {
        let receipt = HeldReceipt::new(sample.take_receipt());
        let size = size_of::<Packed<M>>() + sample.body.weight();
        Self { content: Arc::new(Packed { sample, message: OnceLock::new() }), size, receipt }
    }

    /// The type of its message.
    pub(crate) fn data_type(&self) -> &'static str {
        self.content.data_type()
    }

    /// The head of the sample, with its receipt.
    pub(crate) fn open_head(self) -> Sample<()> {
        let sample = Sample::new(self.content.head().clone(), ());
        with_receipt(sample, self.receipt.release())
    }

    /// The sample, as a subscriber of `M` would have got it from a bus: itself for the last one that has it, and for
    /// others one that shares its payloads. Only a type that cannot be shared, or another type under the same name,
    /// goes through MessagePack.
    pub(crate) fn open<M: Message>(self) -> Result<Sample<M>, DecodeError> {
        let found = self.content.data_type();
        // Dropped with an error, it acknowledges: the sample would be as unusable the next time.
        let receipt = self.receipt.release();
        if found != M::TYPE {
            return Err(DecodeError::WrongType { expected: M::TYPE, found: found.to_owned() });
        }
        let sample = match unpack(self.content) {
            Ok(sample) => sample,
            Err(content) => {
                let message = content.message().map_err(|error| DecodeError::Field(error.to_string()))?;
                decode(&message)?
            }
        };
        Ok(with_receipt(sample, receipt))
    }
}

/// The sample itself or one that shares its payloads, if it is of this very type and can be had in one of the two ways.
fn unpack<M: Message>(content: Arc<dyn Content>) -> Result<Sample<M>, Arc<dyn Content>> {
    if !(&*content as &dyn Any).is::<Packed<M>>() {
        return Err(content);
    }
    let content: Arc<dyn Any + Send + Sync> = content;
    let packed = content.downcast::<Packed<M>>().expect("its type was checked");
    match Arc::try_unwrap(packed) {
        Ok(packed) => Ok(packed.sample),
        Err(packed) => packed.sample.share().ok_or(packed),
    }
}
