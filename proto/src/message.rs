//! A message: the head that all share and the body that differs.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Head, wire};

/// The body of a message: any serde struct, and the constant that names it on the wire.
///
/// The set is open. A type of your own needs nothing else:
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
/// Fields are written in the order of their declaration, after those of the [`Head`], whose five names and
/// `data_type` a body must not use. For binary fields take [`bytes::Bytes`] with
/// `#[serde(with = "msight_proto::shared")]`: they are then decoded without a copy.
pub trait Message: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The `data_type` on the wire. MSight's own are Python class paths; they are names here, and never
    /// imported or executed.
    const TYPE: &'static str;

    /// Another one that shares what is large in this one, for the further subscribers of a topic whose nodes run in
    /// one process. By default there is none, and they get theirs by way of MessagePack, as from a bus; a type that
    /// is cheap to clone gives its clone.
    fn share(&self) -> Option<Self> {
        None
    }

    /// The memory it takes, in bytes, for queues to count; by default its length on the wire.
    fn weight(&self) -> usize {
        wire::encoded_len(self)
    }
}

/// One message: a head, a body, and where it applies the receipts of what it was made from.
#[derive(Clone, Debug)]
pub struct Sample<M> {
    /// Whose it is, and when.
    pub head: Head,
    /// What it is.
    pub body: M,
    receipt: Option<Receipt>,
}

impl<M> Sample<M> {
    /// A sample that nothing waits for.
    pub fn new(head: Head, body: M) -> Self {
        Self { head, body, receipt: None }
    }

    /// The same sample with another body; head and receipt stay, so that provenance is the default.
    pub fn map<N>(self, f: impl FnOnce(M) -> N) -> Sample<N> {
        Sample { head: self.head, body: f(self.body), receipt: self.receipt }
    }

    /// The same sample with a receipt, to be held as long as the sample or what is made of it is not safe.
    pub fn with_receipt(mut self, receipt: Receipt) -> Self {
        self.receipt = Some(receipt);
        self
    }

    /// Another sample with the same head and receipt, and a body that [shares](Message::share) what is large in this
    /// one; `None` where the type has none.
    pub fn share(&self) -> Option<Self>
    where
        M: Message,
    {
        let (head, receipt) = (self.head.clone(), self.receipt.clone());
        Some(Self { head, body: self.body.share()?, receipt })
    }

    /// A clone of the receipt, if there is one.
    pub fn receipt(&self) -> Option<Receipt> {
        self.receipt.clone()
    }

    /// Takes the receipt out, for work that outlives the sample.
    pub fn take_receipt(&mut self) -> Option<Receipt> {
        self.receipt.take()
    }
}

/// Held while a message from a durable topic is not yet safe elsewhere: when the last clone is dropped, the
/// message is acknowledged, unless the thread is panicking.
#[derive(Clone)]
pub struct Receipt(#[expect(dead_code, reason = "held for its Drop")] Arc<OnDrop>);

impl Receipt {
    /// A receipt that calls `acknowledge` once, when its last clone is dropped.
    pub fn new(acknowledge: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Arc::new(OnDrop(Some(Box::new(acknowledge)))))
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}

struct OnDrop(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(acknowledge) = self.0.take()
            && !std::thread::panicking()
        {
            acknowledge();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_receipt_acknowledges_once_when_the_last_holder_lets_go() {
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
