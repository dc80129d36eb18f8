//! The way out for a node: samples go into the queue of their topic.

use std::marker::PhantomData;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use msight_bus::{MAX_MESSAGE_BYTES, Payload as _};
use msight_proto::{Message, Sample, encode};

use crate::local::SharedSample;
use crate::outbox::{DropReason, Outbox};
use crate::queued::{EncodedMessage, HeldReceipt, Significance, span};
use crate::run::activity::Activity;

/// Publishes samples of one type on one topic. Clones publish through the same queue, in the order of their
/// calls.
///
/// Messages wait in a queue of at most 64 messages and 128 MiB for a bus that is slow or away. When it is
/// full, a source loses its oldest message, which is counted, or waits on a [waiting](crate::Output::waiting) output; a
/// processor waits, and what it does not read meanwhile is counted where it is dropped. A message that only
/// [announces](Message::is_announcement) data is dropped instead, and counted.
pub struct Publisher<M> {
    route: Route,
    /// Of a source, for which publishing is a sign of life.
    activity: Option<Activity>,
    message: PhantomData<fn(M)>,
}

/// Where samples go.
#[derive(Clone)]
pub(crate) enum Route {
    /// To the bus, as messages.
    Bus(Arc<Outbox<EncodedMessage>>),
    /// To the nodes of this process as they are, and to the bus where the topic is exposed.
    Local { nodes: Arc<Outbox<SharedSample>>, exposed: Option<Arc<Outbox<SharedSample>>> },
}

impl<M> Clone for Publisher<M> {
    fn clone(&self) -> Self {
        Self { route: self.route.clone(), activity: self.activity.clone(), message: PhantomData }
    }
}

impl<M: Message> Publisher<M> {
    pub(crate) fn new(route: Route, activity: Option<Activity>) -> Self {
        Self { route, activity, message: PhantomData }
    }

    /// Encodes a sample and queues it. The sample's receipt is held until the bus has the message; if the node stops or
    /// fails before that, the message that it came from stays unacknowledged. Between nodes of one process the sample
    /// goes as it is, and its receipt with it.
    ///
    /// # Errors
    /// A sample that cannot be encoded, or whose message is above the bus's limit of 64 MiB.
    pub async fn publish(&self, mut sample: Sample<M>) -> Result<()> {
        match &self.route {
            Route::Bus(bus) => {
                let payload = encode(&sample)?;
                check_size(bus, payload.len())?;
                let receipt = HeldReceipt::new(sample.take_receipt());
                let (span, significance) = (span(&sample), Significance::of(&sample.body));
                let sensor = sample.head.sensor_name.take();
                self.work_seen();
                bus.push(EncodedMessage { payload, sensor, span, significance, receipt }).await;
            }
            Route::Local { nodes, exposed } => {
                let sample = SharedSample::new(sample);
                check_size(nodes, sample.size())?;
                self.work_seen();
                if let Some(exposed) = exposed {
                    exposed.push(sample.clone()).await;
                }
                nodes.push(sample).await;
            }
        }
        Ok(())
    }

    fn work_seen(&self) {
        if let Some(activity) = &self.activity {
            activity.work_seen();
        }
    }
}

fn check_size<L>(outbox: &Outbox<L>, bytes: usize) -> Result<()> {
    if bytes <= MAX_MESSAGE_BYTES {
        return Ok(());
    }
    outbox.counts.lost(DropReason::TooLarge, 1);
    Err(anyhow!("the message has {bytes} bytes, above the limit of {MAX_MESSAGE_BYTES}"))
}
