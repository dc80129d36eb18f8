//! The task that reads a durable topic for one member of a group, and fills its queue.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value, cmd};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::acks::Acks;
use super::entries::{self, EntryId};
use super::keeper::{Membership, keep};
use super::limits::StreamLimits;
use crate::backoff::Backoff;
use crate::bus::GroupMember;
use crate::delivery::{Acknowledgement, Delivery};
use crate::error::Error;
use crate::inbox::{Inbox, QueueConfig};
use crate::queue::PushError;
use crate::redis::commands::Commands;
use crate::redis::dialer::{Dialer, Link, Purpose};
use crate::redis::failure::{Classifier, Operation};
use crate::redis::outage::ConnectionLog;
use crate::subscription::Subscription;
use crate::topic::Topic;

/// Time that a read waits for a message.
const BLOCK: Duration = Duration::from_secs(1);
/// Time-out of a read: a large message takes a while on a slow link, and at least 1 MB/s is expected.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(70);
/// Bytes to aim at with one read, and most messages of it.
const BATCH_BYTES: usize = 1 << 20;
const BATCH: usize = 64;
/// Time between two searches for messages that this member has dropped without settling them.
const SWEEP: Duration = Duration::from_secs(30);
/// Messages for each step of a search.
const PAGE: usize = 256;

/// What subscriptions to durable topics use of the bus.
#[derive(Clone)]
pub(in crate::redis) struct Streams {
    pub(in crate::redis) dialer: Arc<Dialer>,
    pub(in crate::redis) classifier: Classifier,
    /// For acknowledgements and leases.
    pub(in crate::redis) commands: Arc<Commands>,
    pub(in crate::redis) limits: StreamLimits,
}

/// Joins the group, and starts the tasks of the subscription.
pub(in crate::redis) async fn join(
    streams: Streams,
    log: ConnectionLog,
    topic: &Topic,
    member: &GroupMember,
    queue: QueueConfig,
) -> Result<(Subscription, Arc<Acks>), Error> {
    let Streams { dialer, classifier, commands, limits } = streams;
    let membership = Arc::new(Membership::new(commands, topic, member, limits));
    if let Some(other) = membership.join().await? {
        let reason = format!(
            "node {other:?} reads for the group {:?}, and this node takes over when it stops; to read all messages \
             beside it, set another --group-id",
            member.group
        );
        return Err(classifier.unavailable(Operation::Subscribe(topic), reason));
    }
    let (inbox, acks) = (Inbox::new(topic.clone(), queue), Arc::new(Acks::default()));
    let consumer = Consumer {
        dialer,
        classifier,
        log,
        inbox: inbox.clone(),
        acks: acks.clone(),
        membership: membership.clone(),
    };
    let link = consumer.open().await?;
    tokio::spawn(keep(membership, acks.clone(), inbox.clone()));
    let task = tokio::spawn(consumer.run(link));
    Ok((Subscription::new(inbox, Some(task.abort_handle())), acks))
}

struct Consumer {
    dialer: Arc<Dialer>,
    classifier: Classifier,
    log: ConnectionLog,
    inbox: Arc<Inbox>,
    acks: Arc<Acks>,
    membership: Arc<Membership>,
}

/// Why a connection ended.
enum End {
    Failed(Error),
    /// The stream or its group was deleted.
    Deleted,
}

impl Consumer {
    async fn open(&self) -> Result<Link, Error> {
        let link = self.dialer.link(Purpose::Streams, fastrand::usize(..self.dialer.nodes())).await;
        link.map_err(|error| self.classifier.classify(Operation::Connect, &error))
    }

    /// Runs until the task is aborted.
    async fn run(self, mut link: Link) {
        loop {
            let topic = self.inbox.topic();
            let ended = tokio::select! {
                Err(end) = self.read_all(&mut link) => Some(end),
                () = self.membership.lost.notified() => None,
            };
            match ended {
                Some(End::Failed(error)) => {
                    self.inbox.count_disconnect();
                    self.log.down(&error);
                    link = self.reopen().await;
                    self.inbox.count_reconnect();
                    self.log.up(None);
                }
                Some(End::Deleted) => {
                    warn!(%topic, "the stream or the group was deleted; creating it again");
                    self.join_again().await;
                }
                None => {
                    warn!(%topic, "another member of the group has taken over; waiting until it stops");
                    self.join_again().await;
                    info!(%topic, "reading again");
                }
            }
        }
    }

    /// Retries with back-off until it is connected and holds the lease.
    async fn reopen(&self) -> Link {
        let mut backoff = Backoff::reconnecting();
        loop {
            sleep(backoff.delay()).await;
            match self.open().await {
                Ok(link) => {
                    self.join_again().await;
                    return link;
                }
                Err(error) => self.log.down(&error),
            }
        }
    }

    async fn join_again(&self) {
        let mut backoff = Backoff::reconnecting();
        while !matches!(self.membership.join().await, Ok(None)) {
            sleep(backoff.delay()).await;
        }
    }

    /// Delivers what is pending, and then what is new, until the connection ends.
    async fn read_all(&self, link: &mut Link) -> Result<Infallible, End> {
        let mut count = 1;
        loop {
            self.deliver_pending(link).await?;
            let sweep = Instant::now() + SWEEP;
            while Instant::now() < sweep {
                let entries = entries::read(self.query(link, &self.read(count)).await?);
                let largest = entries.iter().map(|(_, payload)| payload.len()).max();
                // The next messages are probably as large. None is above the limit that all buses have.
                count = largest.map_or(1, |largest| (BATCH_BYTES / largest.max(1)).clamp(1, BATCH));
                for (id, payload) in entries {
                    self.deliver(id, payload).await;
                }
            }
        }
    }

    /// Delivers the messages that were delivered before and are with no subscriber now, in the order of publishing.
    async fn deliver_pending(&self, link: &mut Link) -> Result<(), End> {
        let mut after = "-".to_owned();
        loop {
            let pending = entries::pending(self.query(link, &self.pending(&after)).await?);
            let Some((last, _)) = pending.last() else { return Ok(()) };
            after = format!("({last}");
            for (id, deliveries) in pending {
                if self.acks.is_held(id) {
                    continue;
                }
                if deliveries >= self.membership.limits.max_deliveries {
                    let reason = format!("delivered {deliveries} times and never acknowledged");
                    self.membership.set_aside(id, &reason).await.map_err(End::Failed)?;
                    continue;
                }
                match entries::claimed(self.query(link, &self.claim(id)).await?).pop() {
                    Some((id, payload)) => self.deliver(id, payload).await,
                    // It was deleted because of its age.
                    None => self.acks.hold(id).into_iter().for_each(Acknowledgement::acknowledge),
                }
            }
        }
    }

    /// Queues a message as soon as there is room.
    async fn deliver(&self, id: EntryId, payload: Bytes) {
        let Some(acknowledgement) = self.acks.hold(id) else {
            debug!(%id, "message delivered again is with the node already");
            return;
        };
        let bytes = payload.len();
        let delivery = Delivery { payload, acknowledgement: Some(acknowledgement) };
        match self.inbox.push_waiting(delivery).await {
            Ok(()) | Err(PushError::Closed(_)) => {}
            Err(PushError::Full(delivery) | PushError::Oversized(delivery)) => {
                let reason = format!("{bytes} bytes, which is above --queue-bytes of the reader");
                delivery.acknowledgement.into_iter().for_each(|one| one.reject(reason.clone()));
            }
        }
    }

    fn read(&self, count: usize) -> Cmd {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.membership.member.group).arg(&self.membership.member.name);
        read.arg("COUNT").arg(count).arg("BLOCK").arg(BLOCK.as_millis() as u64);
        read.arg("STREAMS").arg(&self.membership.keys.stream).arg(">");
        read
    }

    fn pending(&self, after: &str) -> Cmd {
        let mut pending = cmd("XPENDING");
        pending.arg(&self.membership.keys.stream).arg(&self.membership.member.group);
        pending.arg(after).arg("+").arg(PAGE);
        pending
    }

    /// Takes a message over, whichever member has it.
    fn claim(&self, id: EntryId) -> Cmd {
        let GroupMember { group, name } = &self.membership.member;
        let mut claim = cmd("XCLAIM");
        claim.arg(&self.membership.keys.stream).arg(group).arg(name).arg(0).arg(id.to_string());
        claim
    }

    async fn query(&self, link: &mut Link, command: &Cmd) -> Result<Value, End> {
        let operation = Operation::Listen(self.inbox.topic());
        match timeout(ANSWER_TIMEOUT, link.query(command)).await {
            Ok(answer) => answer.and_then(Value::extract_error).map_err(|error| match error.code() {
                Some("NOGROUP") => End::Deleted,
                _ => End::Failed(self.classifier.classify(operation, &error)),
            }),
            Err(_) => {
                let reason = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
                Err(End::Failed(self.classifier.unavailable(operation, reason)))
            }
        }
    }
}
