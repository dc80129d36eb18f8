//! Messages in the queues of a node, with the receipts that they hold.

use anyhow::Result;
use bytes::Bytes;
use msight_bus::Payload;
use msight_proto::{Message, Receipt, Sample};

/// The receipt of a message on its way to the next node, which the node no longer answers for. Dropped on the way, because
/// the node stopped or failed, it leaves the message unacknowledged.
#[derive(Clone, Default)]
pub(crate) struct HeldReceipt(Option<Receipt>);

impl HeldReceipt {
    pub(crate) fn new(receipt: Option<Receipt>) -> Self {
        receipt.iter().for_each(Receipt::pass_on);
        Self(receipt)
    }

    /// The message was delivered, or dropped and counted by a policy: the receipt acknowledges as any other does.
    pub(crate) fn release(mut self) -> Option<Receipt> {
        self.0.take()
    }
}

impl Drop for HeldReceipt {
    fn drop(&mut self) {
        if let Some(receipt) = &self.0 {
            receipt.abandon();
        }
    }
}

/// The sample with the receipt of its message, if there is one.
pub(crate) fn with_receipt<M>(sample: Sample<M>, receipt: Option<Receipt>) -> Sample<M> {
    match receipt {
        Some(receipt) => sample.with_receipt(receipt),
        None => sample,
    }
}

/// A queued message that can go to a bus. It is held until the bus has it.
pub(crate) trait QueuedMessage: Payload + Sync {
    /// The sensor that its head names.
    fn sensor(&self) -> Option<&str>;

    /// From when to when its data was captured, in seconds since 1970.
    fn span(&self) -> (f64, f64);

    /// What is lost with it.
    fn significance(&self) -> Significance;

    /// The message as it is on the wire.
    fn encoded(&self) -> impl Future<Output = Result<Bytes>> + Send;

    /// Ends the message's way: it was delivered, or dropped by a policy, and needs no second delivery.
    fn release(self);
}

/// What is lost with a message that no node receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Significance {
    /// A live message, which the next one replaces.
    Live,
    /// A recording, which no later message replaces.
    Recording,
    /// No data: what it announces is safe.
    Announcement,
}

impl Significance {
    pub(crate) fn of(body: &impl Message) -> Self {
        match body.recorded() {
            _ if body.is_announcement() => Self::Announcement,
            Some(_) => Self::Recording,
            None => Self::Live,
        }
    }
}

/// From when to when the data of a sample was captured.
pub(crate) fn span<M: Message>(sample: &Sample<M>) -> (f64, f64) {
    let captured = sample.head.capture_timestamp;
    sample.body.recorded().unwrap_or((captured, captured))
}

/// A message that is encoded already.
pub(crate) struct EncodedMessage {
    pub(crate) payload: Bytes,
    pub(crate) sensor: Option<String>,
    pub(crate) span: (f64, f64),
    pub(crate) significance: Significance,
    pub(crate) receipt: HeldReceipt,
}

impl Payload for EncodedMessage {
    fn size(&self) -> usize {
        self.payload.len()
    }
}

impl QueuedMessage for EncodedMessage {
    fn sensor(&self) -> Option<&str> {
        self.sensor.as_deref()
    }

    fn span(&self) -> (f64, f64) {
        self.span
    }

    fn significance(&self) -> Significance {
        self.significance
    }

    async fn encoded(&self) -> Result<Bytes> {
        Ok(self.payload.clone())
    }

    fn release(self) {
        self.receipt.release();
    }
}
