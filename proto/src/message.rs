//! A message: a head, which all messages have, and a body.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Head;
use crate::encoded_len::encoded_len;

/// The body of a message: any serde struct, with the name of its type on the wire.
///
/// Your own message type needs only this:
///
/// ```
/// use msight_proto::{Head, Message, Sample, decode, encode};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Brightness {
///     mean: f64,
/// }
/// impl Message for Brightness {
///     const TYPE: &'static str = "example.Brightness";
/// }
///
/// let sample = Sample::new(Head::new("north".to_owned(), 1_700_000_000.25), Brightness { mean: 0.5 });
/// let payload = encode(&sample).unwrap();
/// assert_eq!(decode::<Brightness>(&payload).unwrap().body.mean, 0.5);
/// ```
///
/// Fields are written in the order of their declaration, after those of the [`Head`]. A body must not use `data_type`
/// or one of the head's five names. Give binary fields the type [`bytes::Bytes`] and
/// `#[serde(with = "msight_proto::shared")]`: they are then decoded without a copy.
pub trait Message: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The `data_type` on the wire. MSight uses Python class paths. Here they are plain names, which are never
    /// imported or executed.
    const TYPE: &'static str;

    /// A second copy that shares the large parts of this one, for a topic with several subscribers in one process. A
    /// type that is cheap to clone returns its clone. The default returns `None`, and the further subscribers get the
    /// message through MessagePack, as from a bus.
    fn share(&self) -> Option<Self> {
        None
    }

    /// From when to when the message records, in seconds since 1970 (UTC), if it is a recording such as a segment. A node
    /// reports a recording that no other node receives as lost data. The default is a live message, `None`, which the next
    /// one replaces.
    fn recorded(&self) -> Option<(f64, f64)> {
        None
    }

    /// Whether the message only announces data that is safe without it, such as a segment in a folder. No data is lost if
    /// the message does not arrive, so a node does not wait for the bus to publish it. The default is `false`.
    fn is_announcement(&self) -> bool {
        false
    }

    /// Memory in bytes, for the limits of queues; by default the length on the wire.
    fn weight(&self) -> usize {
        encoded_len(self)
    }
}

/// One message: a head and a body. A message that a node has received also has a receipt.
#[derive(Clone, Debug)]
pub struct Sample<M> {
    /// Sensor, device, times and frame id.
    pub head: Head,
    /// The data.
    pub body: M,
    receipt: Option<Receipt>,
}

impl<M> Sample<M> {
    /// A sample without a receipt.
    pub fn new(head: Head, body: M) -> Self {
        Self { head, body, receipt: None }
    }

    /// The same sample with another body. Head and receipt stay, so a result keeps the origin of its input.
    pub fn map<N>(self, f: impl FnOnce(M) -> N) -> Sample<N> {
        Sample { head: self.head, body: f(self.body), receipt: self.receipt }
    }

    /// The same sample with a receipt. Hold it until the sample, or the result made from it, is safe.
    pub fn with_receipt(mut self, receipt: Receipt) -> Self {
        self.receipt = Some(receipt);
        self
    }

    /// A second sample with the same head and receipt, and a body that [shares](Message::share) the large parts of
    /// this one. `None` if the type cannot share them.
    pub fn share(&self) -> Option<Self>
    where
        M: Message,
    {
        let (head, receipt) = (self.head.clone(), self.receipt.clone());
        Some(Self { head, body: self.body.share()?, receipt })
    }

    /// A clone of the receipt, if the sample has one.
    pub fn receipt(&self) -> Option<Receipt> {
        self.receipt.clone()
    }

    /// Removes and returns the receipt, for work that outlives the sample.
    pub fn take_receipt(&mut self) -> Option<Receipt> {
        self.receipt.take()
    }
}

/// Acknowledges a message when its last clone is dropped, unless a clone was [abandoned](Self::abandon) or the thread is
/// panicking. Hold a clone until the message, or the result made from it, is safe.
///
/// On a topic without acknowledgements a receipt shows which messages are unfinished: a node that ends while it holds
/// receipts has lost their messages.
#[derive(Clone)]
pub struct Receipt(Arc<Acknowledgement>);

impl Receipt {
    /// A receipt that calls `acknowledge` once, when its last clone is dropped.
    pub fn new(acknowledge: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self::of(Some(Box::new(acknowledge)), Vec::new())
    }

    /// One receipt for the messages of several receipts, for a result that is made from all of them.
    pub fn join(receipts: Vec<Self>) -> Self {
        Self::of(None, receipts)
    }

    /// Leaves the message unacknowledged, also when other clones are dropped later: its broker delivers it once more.
    /// For work that was cut short, by a stop for example.
    pub fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::Relaxed);
        self.0.parts.iter().for_each(Self::abandon);
    }

    /// Hands over the responsibility for the message, for example to the queue of an output: the receipt is no longer
    /// [held](Self::is_held), wherever its clones are.
    pub fn pass_on(&self) {
        if !self.0.passed_on.swap(true, Ordering::Relaxed) {
            self.0.parts.iter().for_each(Self::pass_on);
        }
    }

    /// Whether the message is unfinished: the receipt was neither passed on nor abandoned.
    pub fn is_held(&self) -> bool {
        !self.0.passed_on.load(Ordering::Relaxed) && !self.0.abandoned.load(Ordering::Relaxed)
    }

    /// A reference that does not delay the acknowledgement.
    pub fn downgrade(&self) -> WeakReceipt {
        WeakReceipt(Arc::downgrade(&self.0))
    }

    fn of(acknowledge: Option<Box<dyn FnOnce() + Send + Sync>>, parts: Vec<Self>) -> Self {
        let (abandoned, passed_on) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Acknowledgement { acknowledge, parts, abandoned, passed_on }))
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}

/// A [`Receipt`] that others hold.
#[derive(Clone)]
pub struct WeakReceipt(Weak<Acknowledgement>);

impl WeakReceipt {
    /// The receipt; `None` once its last clone is dropped.
    pub fn upgrade(&self) -> Option<Receipt> {
        self.0.upgrade().map(Receipt)
    }

    /// Whether the last clone of the receipt is dropped.
    pub fn is_dropped(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl fmt::Debug for WeakReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakReceipt")
    }
}

/// State that the clones of a receipt share.
struct Acknowledgement {
    acknowledge: Option<Box<dyn FnOnce() + Send + Sync>>,
    /// Receipts that are dropped with this one.
    parts: Vec<Receipt>,
    abandoned: AtomicBool,
    passed_on: AtomicBool,
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        if let Some(acknowledge) = self.acknowledge.take()
            && !*self.abandoned.get_mut()
            && !std::thread::panicking()
        {
            acknowledge();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn a_receipt_acknowledges_once_when_its_last_clone_is_dropped() {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let seen = acknowledged.clone();
        let receipt = Receipt::new(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        let sample = Sample::new(Head::new(None, 0.0), 1_u8).with_receipt(receipt.clone());
        drop(receipt);
        let mapped = sample.map(u16::from);
        assert_eq!(acknowledged.load(Ordering::Relaxed), 0);
        drop(mapped);
        assert_eq!(acknowledged.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_abandoned_message_is_never_acknowledged() {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let receipt = || {
            let seen = acknowledged.clone();
            Receipt::new(move || {
                seen.fetch_add(1, Ordering::Relaxed);
            })
        };
        let (of_both, only_of_second, held) = {
            let (first, second) = (receipt(), receipt());
            (Receipt::join(vec![first.clone(), second.clone()]), Receipt::join(vec![second]), first)
        };
        only_of_second.abandon();
        drop((of_both, only_of_second));
        assert_eq!(acknowledged.load(Ordering::Relaxed), 0, "the first one is still held");
        drop(held);
        assert_eq!(acknowledged.load(Ordering::Relaxed), 1, "the second one was abandoned");
    }

    #[test]
    fn a_receipt_is_held_until_it_is_passed_on_abandoned_or_dropped() {
        let receipt = || Receipt::new(|| {});
        let (first, second, third) = (receipt(), receipt(), receipt());
        let of_two = Receipt::join(vec![first.clone(), second.clone()]);
        assert!(of_two.is_held() && first.is_held());
        of_two.pass_on();
        assert!(!of_two.is_held() && !first.is_held() && !second.is_held() && third.is_held());
        third.abandon();
        assert!(!third.is_held());

        let of_next = Receipt::join(vec![first]);
        assert!(of_next.is_held(), "the next owner holds one of its own");
        let weak = of_next.downgrade();
        assert!(weak.upgrade().is_some_and(|receipt| receipt.is_held()));
        drop(of_next);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn a_panic_does_not_acknowledge() {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let seen = acknowledged.clone();
        let receipt = Receipt::new(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = receipt;
            panic!("on purpose");
        }));
        assert!(outcome.is_err());
        assert_eq!(acknowledged.load(Ordering::Relaxed), 0);
    }
}
