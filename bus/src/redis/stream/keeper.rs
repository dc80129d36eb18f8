//! The task that reports settled messages to Redis, and keeps the lease of the group.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use super::Keys;
use super::acks::{Acks, Batch};
use super::limits::StreamLimits;
use super::script::{self, LeaseRequest};
use crate::backoff::Backoff;
use crate::bus::GroupMember;
use crate::error::Error;
use crate::inbox::Inbox;
use crate::redis::commands::Commands;
use crate::redis::failure::Operation;
use crate::topic::Topic;

/// Time after which another member may take over from one that has stopped.
const LEASE: Duration = Duration::from_secs(10);
/// Time between two renewals of the lease.
const RENEWAL: Duration = Duration::from_secs(3);

/// A member's part in a group of a durable topic.
pub(super) struct Membership {
    pub(super) commands: Arc<Commands>,
    pub(super) keys: Keys,
    pub(super) topic: Topic,
    pub(super) member: GroupMember,
    pub(super) limits: StreamLimits,
    /// Of this subscription.
    token: String,
    /// The lease was lost: another member reads.
    pub(super) lost: Notify,
}

impl Membership {
    pub(super) fn new(
        commands: Arc<Commands>,
        topic: &Topic,
        member: &GroupMember,
        limits: StreamLimits,
    ) -> Self {
        let (keys, topic, member) = (Keys::of(topic), topic.clone(), member.clone());
        let token = format!("{:032x}", fastrand::u128(..));
        Self { commands, keys, topic, member, limits, token, lost: Notify::new() }
    }

    /// Takes the lease, and creates the group if there is none. Returns the member that holds the lease instead.
    pub(super) async fn join(&self) -> Result<Option<String>, Error> {
        self.lease(true).await
    }

    /// Sets a message aside.
    pub(super) async fn set_aside(&self, id: super::entries::EntryId, reason: &str) -> Result<(), Error> {
        let command = script::set_aside(&self.keys, &self.member.group, id, reason);
        let is_stored: bool = self.commands.run(Operation::Listen(&self.topic), &command, 0).await?;
        if is_stored {
            let (topic, group) = (&self.topic, &self.member.group);
            warn!(%topic, group, %id, "message set aside as a dead letter: {reason}");
        }
        Ok(())
    }

    async fn lease(&self, joins: bool) -> Result<Option<String>, Error> {
        let Self { member, token, limits, .. } = self;
        let request = LeaseRequest { member, token, time: LEASE, max_age: limits.max_age, joins };
        let command = script::lease(&self.keys, &request);
        self.commands.run(Operation::Listen(&self.topic), &command, 0).await
    }

    async fn release(&self) -> Result<(), Error> {
        let command = script::release(&self.keys, &self.member.group, &self.token);
        self.commands.run(Operation::Listen(&self.topic), &command, 0).await
    }

    async fn report(&self, batch: &mut Batch) -> Result<(), Error> {
        if !batch.acknowledged.is_empty() {
            let command = script::acknowledge(&self.keys, &self.member.group, &batch.acknowledged);
            let _: bool = self.commands.run(Operation::Listen(&self.topic), &command, 0).await?;
        }
        for (id, reason) in &batch.rejected {
            self.set_aside(*id, reason).await?;
        }
        Ok(())
    }
}

/// Runs until the subscription is closed and all of its messages are settled.
pub(super) async fn keep(membership: Arc<Membership>, acks: Arc<Acks>, inbox: Arc<Inbox>) {
    let mut backoff = Backoff::reconnecting();
    let mut renewal = Instant::now() + RENEWAL;
    loop {
        tokio::select! {
            () = acks.settled() => {}
            () = sleep_until(renewal) => {}
        }
        while let Some(mut batch) = acks.take() {
            match membership.report(&mut batch).await {
                Ok(()) => {
                    acks.sent(batch);
                    backoff.reset();
                }
                Err(_) => {
                    // The connection logs its outage.
                    acks.failed(batch);
                    sleep(backoff.delay()).await;
                }
            }
            if Instant::now() >= renewal {
                break;
            }
        }
        if inbox.is_closed() && acks.len() == 0 {
            // If this fails, the lease ends by itself.
            let _ = membership.release().await;
            return;
        }
        if Instant::now() >= renewal {
            if let Ok(Some(_)) = membership.lease(false).await {
                membership.lost.notify_one();
            }
            renewal = Instant::now() + RENEWAL;
        }
    }
}
