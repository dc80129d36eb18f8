//! The node's place in the registry: its name, its topics, its heartbeat.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use msight_bus::registry::{
    Declared, Heartbeat, NodeRecord, Owner, Registration, RegistryError, TopicNames, register_topic,
};
use msight_bus::{Backoff, Error, OutageLimit, Registry, Topic};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{Instrument as _, debug, error, info, warn};

use crate::flags::{CommonFlags, Kind};
use crate::health::Health;
use crate::port::Direction;
use crate::resources::Resources;

use super::activity::Activity;

/// Time between two heartbeats. MSight counts messages instead, so that its quiet nodes look dead.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Time-out for the release of the name when the node ends.
const LEAVE: Duration = Duration::from_secs(1);

pub(super) struct Membership {
    registry: Arc<dyn Registry>,
    health: Health,
    topics: DeclaredTopics,
    activity: Activity,
    /// Dropped to end the heartbeat.
    alive: oneshot::Sender<()>,
    /// Ends with the registration, to be given back, and with the error that ended it.
    heartbeat: JoinHandle<(Registration, Result<()>)>,
}

impl Membership {
    /// Claims the node's name, and waits for the bus without a time-out. `None` if the node is stopped meanwhile.
    ///
    /// # Errors
    /// A live node has the name, or the bus refuses this node.
    pub(super) async fn join(
        class: &'static str,
        flags: &CommonFlags,
        setting: &Resources,
        kind: Kind,
    ) -> Result<Option<Self>> {
        let mut record = NodeRecord::new(&flags.name, setting.device.clone(), class);
        record.publish_topic = topic_names(flags, Direction::Out);
        record.subscribe_topic = topic_names(flags, Direction::In);
        record.sensor_name = flags.sensor_name.clone().filter(|_| kind == Kind::Source);
        setting.health.set_reason("waiting for the bus");
        let Some(registration) = claim(record, setting).await? else { return Ok(None) };
        info!(bus = setting.bus.describe(), "registered");
        let topics = Arc::new(Mutex::new(Vec::new()));
        let activity = Activity::new(flags.heartbeat_tolerance(kind), setting.health.clone());
        let (alive, ended) = oneshot::channel();
        let heartbeat = HeartbeatTask {
            registry: setting.registry.clone(),
            topics: topics.clone(),
            activity: activity.clone(),
        };
        let stop = setting.stop.clone();
        let task = async move {
            let (registration, outcome) = heartbeat.run(registration, ended).await;
            if outcome.is_err() {
                stop.cancel();
            }
            (registration, outcome)
        };
        let heartbeat = tokio::spawn(task.in_current_span());
        setting.health.set_reason(match kind {
            Kind::Source => "waiting for the first sample",
            Kind::Processor | Kind::Sink => "opening",
        });
        Ok(Some(Self {
            registry: setting.registry.clone(),
            health: setting.health.clone(),
            topics,
            activity,
            alive,
            heartbeat,
        }))
    }

    /// Declares what travels on a topic, now and whenever the registry has lost it.
    pub(super) async fn declare(&mut self, topic: &Topic, message_types: &[&'static str]) {
        declare(&*self.registry, topic, message_types).await;
        self.topics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((topic.clone(), message_types.to_vec()));
    }

    /// Where the node's loops report that the node works or fails.
    pub(super) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Gives the name back.
    ///
    /// # Errors
    /// Another node has taken it, which is why this one was stopped.
    pub(super) async fn leave(self) -> Result<()> {
        self.health.set_ready(false);
        drop(self.alive);
        let leave = async {
            match self.heartbeat.await {
                Ok((registration, outcome)) => (registration.release().await, outcome),
                Err(panicked) => {
                    error!("heartbeat task failed: {panicked}");
                    (Ok(()), Ok(()))
                }
            }
        };
        match tokio::time::timeout(LEAVE, leave).await {
            Ok((Ok(()), outcome)) => {
                debug!("unregistered");
                outcome
            }
            Ok((Err(error), outcome)) => {
                warn!("cannot unregister: {error}");
                outcome
            }
            Err(_) => {
                warn!("cannot unregister: the bus does not answer");
                Ok(())
            }
        }
    }
}

/// The topics of one direction, as MSight records them: one by its name, several as a list.
fn topic_names(flags: &CommonFlags, direction: Direction) -> Option<TopicNames> {
    let mut names: Vec<String> = flags.topics(direction).map(str::to_owned).collect();
    match names.len() {
        0 | 1 => names.pop().map(TopicNames::One),
        _ => Some(TopicNames::Many(names)),
    }
}

/// Claims the name. Its holder may be a killed node whose record has not expired yet. The claim waits until the record
/// expires, and fails if the holder writes a heartbeat.
async fn claim(record: NodeRecord, setting: &Resources) -> Result<Option<Registration>> {
    let owner = Owner::current();
    let mut backoff = Backoff::reconnecting();
    let mut dead_at: Option<Instant> = None;
    loop {
        let delay = match Registration::claim(setting.registry.clone(), record.clone(), owner.clone()).await {
            Ok(registration) => return Ok(Some(registration)),
            Err(RegistryError::Bus(error @ Error::Unavailable { .. })) => {
                debug!("{error}; retrying");
                backoff.delay()
            }
            Err(RegistryError::Held { name, holder, retry_after }) => {
                let held_until = Instant::now() + retry_after;
                match dead_at {
                    None => warn!(
                        holder,
                        "node name {name:?} is taken; waiting for its holder's record to expire"
                    ),
                    Some(dead_at) if held_until > dead_at + Duration::from_secs(1) => {
                        return Err(RegistryError::Held { name, holder, retry_after }.into());
                    }
                    Some(_) => {}
                }
                dead_at.get_or_insert(held_until);
                retry_after.clamp(Duration::from_millis(50), Duration::from_secs(1))
            }
            // The bus's own error, by which the exit code is chosen.
            Err(RegistryError::Bus(error)) => return Err(error.into()),
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            biased;
            () = setting.stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(delay) => {}
        }
    }
}

async fn declare(registry: &dyn Registry, topic: &Topic, message_types: &[&str]) {
    match register_topic(registry, topic, message_types).await {
        Ok(Declared::Mismatch { registered }) => warn!(
            %topic,
            "topic registered with another message type: {registered}, but this node uses {}; check the topic's name",
            message_types.join(" or ")
        ),
        Ok(_) => {}
        Err(error) => warn!(%topic, "cannot declare the topic: {error}"),
    }
}

/// The topics that a node has declared, with the types of their messages.
type DeclaredTopics = Arc<Mutex<Vec<(Topic, Vec<&'static str>)>>>;

/// What the heartbeat needs.
struct HeartbeatTask {
    registry: Arc<dyn Registry>,
    topics: DeclaredTopics,
    activity: Activity,
}

impl HeartbeatTask {
    /// Writes heartbeats until `ended`, or until another live node has the name. Then this node stops, because two nodes
    /// of one name would publish everything twice.
    async fn run(
        self,
        mut registration: Registration,
        mut ended: oneshot::Receiver<()>,
    ) -> (Registration, Result<()>) {
        let mut holder_dead_at: Option<Instant> = None;
        let mut bus_lost = false;
        let mut refusals = OutageLimit::default();
        loop {
            tokio::select! {
                _ = &mut ended => {
                    self.activity.end();
                    return (registration, Ok(()));
                }
                () = self.activity.changed() => {}
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
            let (status, reason) = self.activity.status(Instant::now());
            match registration.heartbeat(status, reason.as_deref()).await {
                Ok(found) => {
                    if holder_dead_at.take().is_some() {
                        info!("node name taken back: its other holder is gone");
                    }
                    if std::mem::take(&mut bus_lost) {
                        self.activity.bus_back();
                    }
                    if refusals.recovered(Instant::now().into_std()).is_some() {
                        info!("heartbeats resumed");
                    }
                    if found == Heartbeat::Restored {
                        self.declare_again().await;
                    }
                }
                Err(error @ RegistryError::Lost { retry_after, .. }) => {
                    let held_until = Instant::now() + retry_after;
                    match holder_dead_at {
                        None => warn!("{error}; waiting for its record to expire"),
                        Some(dead_at) if held_until > dead_at + Duration::from_secs(1) => {
                            let what_to_do = "another node took this name; stopping to avoid duplicates; give one of the \
                                              two nodes another --name";
                            return (registration, Err(anyhow::Error::from(error).context(what_to_do)));
                        }
                        Some(_) => {}
                    }
                    holder_dead_at.get_or_insert(held_until);
                }
                Err(error) => {
                    let is_outage = matches!(&error, RegistryError::Bus(error) if error.is_transient());
                    // The bus logs an outage, and other errors are logged here.
                    if is_outage {
                        debug!("heartbeat failed: {error}");
                    } else if refusals.failed(Instant::now().into_std()).is_some() {
                        warn!("heartbeat failed: {error}");
                    }
                    bus_lost = true;
                    self.activity.bus_lost(&error);
                }
            }
        }
    }

    async fn declare_again(&self) {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (topic, message_types) in topics {
            declare(&*self.registry, &topic, &message_types).await;
        }
    }
}
