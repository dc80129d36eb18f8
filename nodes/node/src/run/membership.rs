//! The node's place in the registry: its name, its topics, its heartbeat.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use msight_bus::registry::{
    Declared, Heartbeat, NodeRecord, Owner, Registration, RegistryError, Status, TopicNames, register_topic,
};
use msight_bus::{Backoff, Error, Registry, Topic};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{Instrument as _, debug, error, info, warn};

use crate::flags::{CommonFlags, Kind};
use crate::health::Health;
use crate::port::Direction;
use crate::resources::Resources;

/// How often a node says that it lives. MSight counts messages instead, so that its quiet nodes look dead.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long the registry may take to let go of the node at the end.
const LEAVE: Duration = Duration::from_secs(1);

pub(super) struct Membership {
    registry: Arc<dyn Registry>,
    health: Health,
    topics: Arc<Mutex<Vec<(Topic, &'static str)>>>,
    pulse: Pulse,
    /// Dropped to end the heartbeat.
    alive: oneshot::Sender<()>,
    /// Ends with the registration, to be given back, and with the error that ended it.
    heart: JoinHandle<(Registration, Result<()>)>,
}

impl Membership {
    /// Takes the node's name, waiting for the bus as long as it takes; `None` when the node is stopped
    /// meanwhile.
    ///
    /// # Errors
    /// Another node that lives has the name, or the bus refuses us.
    pub(super) async fn join(
        class: &'static str,
        flags: &CommonFlags,
        setting: &Resources,
        kind: Kind,
    ) -> Result<Option<Self>> {
        let mut record = NodeRecord::new(&flags.name, setting.device.clone(), class);
        record.publish_topic = topic_names(&flags.publish_topic, flags, Direction::Out);
        record.subscribe_topic = topic_names(&flags.subscribe_topic, flags, Direction::In);
        setting.health.set_reason("waiting for the bus");
        let Some(registration) = claim(record, setting).await? else { return Ok(None) };
        info!(bus = setting.bus.describe(), "registered");
        let topics = Arc::new(Mutex::new(Vec::new()));
        let pulse = Pulse::new(flags.heartbeat_tolerance(kind), setting.health.clone());
        let (alive, ended) = oneshot::channel();
        let heart =
            Heart { registry: setting.registry.clone(), topics: topics.clone(), pulse: pulse.clone() };
        let stop = setting.stop.clone();
        let heart = async move {
            let (registration, outcome) = heart.beat(registration, ended).await;
            if outcome.is_err() {
                stop.cancel();
            }
            (registration, outcome)
        };
        let heart = tokio::spawn(heart.in_current_span());
        setting.health.set_reason(match kind {
            Kind::Source => "waiting for the first sample",
            Kind::Processor | Kind::Sink => "opening",
        });
        Ok(Some(Self {
            registry: setting.registry.clone(),
            health: setting.health.clone(),
            topics,
            pulse,
            alive,
            heart,
        }))
    }

    /// Declares what travels on a topic, now and whenever the registry has lost it.
    pub(super) async fn declare(&mut self, topic: &Topic, message_type: &'static str) {
        declare(&*self.registry, topic, message_type).await;
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).push((topic.clone(), message_type));
    }

    /// Where the node's work leaves its signs of life.
    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Gives the name back.
    ///
    /// # Errors
    /// Another node has taken it, which is why this one was stopped.
    pub(super) async fn leave(self) -> Result<()> {
        self.health.set_ready(false);
        drop(self.alive);
        let leave = async {
            match self.heart.await {
                Ok((registration, outcome)) => (registration.release().await, outcome),
                Err(panicked) => {
                    error!("the heartbeat has failed: {panicked}");
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
                warn!("not unregistered: {error}");
                outcome
            }
            Err(_) => {
                warn!("not unregistered: the bus does not answer");
                Ok(())
            }
        }
    }
}

/// The topics of one direction, as MSight records them: one by its name, several as a list.
fn topic_names(first: &Option<String>, flags: &CommonFlags, direction: Direction) -> Option<TopicNames> {
    let further = flags.further_topics.iter().filter(|(port, _)| port.direction == direction);
    let mut names: Vec<String> = first.iter().chain(further.map(|(_, name)| name)).cloned().collect();
    match names.len() {
        0 | 1 => names.pop().map(TopicNames::One),
        _ => Some(TopicNames::Many(names)),
    }
}

/// Takes the name. A holder may be a node that was killed and is not yet old enough to count as dead: it is
/// watched until it is, or until it gives a sign of life.
async fn claim(record: NodeRecord, setting: &Resources) -> Result<Option<Registration>> {
    let owner = Owner::current();
    let mut backoff = Backoff::reconnecting();
    let mut dead_at: Option<Instant> = None;
    loop {
        let delay = match Registration::claim(setting.registry.clone(), record.clone(), owner.clone()).await {
            Ok(registration) => return Ok(Some(registration)),
            Err(RegistryError::Bus(error @ Error::Unavailable { .. })) => {
                debug!("{error}; waiting for it");
                backoff.delay()
            }
            Err(RegistryError::Held { name, holder, retry_after }) => {
                let held_until = Instant::now() + retry_after;
                match dead_at {
                    None => warn!(
                        holder,
                        "the node name {name:?} is taken; watching whether its holder still lives"
                    ),
                    Some(dead_at) if held_until > dead_at + Duration::from_secs(1) => {
                        return Err(RegistryError::Held { name, holder, retry_after }.into());
                    }
                    Some(_) => {}
                }
                dead_at.get_or_insert(held_until);
                retry_after.clamp(Duration::from_millis(50), Duration::from_secs(1))
            }
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            biased;
            () = setting.stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(delay) => {}
        }
    }
}

async fn declare(registry: &dyn Registry, topic: &Topic, message_type: &str) {
    match register_topic(registry, topic, message_type).await {
        Ok(Declared::Mismatch { registered }) => warn!(
            %topic,
            "the topic is registered for {registered}, this node means {message_type}; is it the right topic?"
        ),
        Ok(_) => {}
        Err(error) => warn!(%topic, "not declared: {error}"),
    }
}

/// What the heartbeat needs.
struct Heart {
    registry: Arc<dyn Registry>,
    topics: Arc<Mutex<Vec<(Topic, &'static str)>>>,
    pulse: Pulse,
}

impl Heart {
    /// Beats until `ended`, or until another node has taken the name and is seen to live. Two nodes at one work would
    /// do everything twice; which of them goes on is for whoever gave them their names.
    async fn beat(
        self,
        mut registration: Registration,
        mut ended: oneshot::Receiver<()>,
    ) -> (Registration, Result<()>) {
        let mut holder_dead_at: Option<Instant> = None;
        let mut silent = false;
        let mut said: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = &mut ended => {
                    // Also where the node has panicked, of which only its caller knows.
                    self.pulse.0.health.set_ready(false);
                    return (registration, Ok(()));
                }
                () = self.pulse.changed() => {}
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
            match registration.heartbeat(self.pulse.status(Instant::now())).await {
                Ok(found) => {
                    if holder_dead_at.take().is_some() {
                        info!("the node's name is its own again");
                    }
                    if std::mem::take(&mut silent) {
                        self.pulse.reached();
                    }
                    if said.take().is_some() {
                        info!("the node's record is written again");
                    }
                    if found == Heartbeat::Restored {
                        self.declare_again().await;
                    }
                }
                Err(error @ RegistryError::Lost { retry_after, .. }) => {
                    let held_until = Instant::now() + retry_after;
                    match holder_dead_at {
                        None => warn!("{error}; watching whether its holder still lives"),
                        Some(dead_at) if held_until > dead_at + Duration::from_secs(1) => {
                            let what_to_do = "two nodes at one work do everything twice, so this one stops: give one of \
                                              the two another --name";
                            return (registration, Err(anyhow::Error::from(error).context(what_to_do)));
                        }
                        Some(_) => {}
                    }
                    holder_dead_at.get_or_insert(held_until);
                }
                Err(error) => {
                    let is_outage = matches!(&error, RegistryError::Bus(error) if error.is_transient());
                    // An outage is said by the bus; anything else here, at first and twice a minute.
                    if is_outage {
                        debug!("no heartbeat: {error}");
                    } else if said.is_none_or(|at| at.elapsed() >= Duration::from_secs(30)) {
                        said = Some(Instant::now());
                        warn!("no heartbeat: {error}");
                    }
                    silent = true;
                    self.pulse.unreached(&error);
                }
            }
        }
    }

    async fn declare_again(&self) {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (topic, message_type) in topics {
            declare(&*self.registry, &topic, message_type).await;
        }
    }
}

/// What the node's work shows of its health, and the status that follows from it.
#[derive(Clone)]
pub(super) struct Pulse(Arc<Signs>);

struct Signs {
    /// The silence after which a working node counts as failed.
    tolerance: Option<Duration>,
    seen: Mutex<Seen>,
    changed: Notify,
    health: Health,
}

struct Seen {
    status: Status,
    last: Instant,
}

impl Pulse {
    fn new(tolerance: Option<Duration>, health: Health) -> Self {
        let seen = Mutex::new(Seen { status: Status::Registered, last: Instant::now() });
        Self(Arc::new(Signs { tolerance, seen, changed: Notify::new(), health }))
    }

    /// The node works: it has begun to, or a message came or went.
    pub(super) fn beat(&self) {
        if self.note(Status::Running) {
            self.0.health.set_ready(true);
        }
    }

    /// The node does not get what it needs, for now.
    pub(super) fn fail(&self, error: &anyhow::Error) {
        self.note(Status::Error);
        self.0.health.set_reason(&format!("{error:#}"));
        self.0.health.set_ready(false);
    }

    /// The bus does not answer.
    fn unreached(&self, error: &RegistryError) {
        self.0.health.set_reason(&error.to_string());
        self.0.health.set_ready(false);
    }

    /// The bus answers again.
    fn reached(&self) {
        if self.of_the_kit(Instant::now()) == Status::Running {
            self.0.health.set_ready(true);
        }
    }

    /// Whether the status has changed.
    fn note(&self, status: Status) -> bool {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last = Instant::now();
        let changed = seen.status != status;
        if changed {
            seen.status = status;
            self.0.changed.notify_one();
        }
        changed
    }

    /// What the record says.
    fn status(&self, now: Instant) -> Status {
        match self.of_the_kit(now) {
            Status::Running if self.0.health.is_blocked() => Status::Error,
            status => status,
        }
    }

    /// The status as far as the kit can see it.
    fn of_the_kit(&self, now: Instant) -> Status {
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (&seen.status, self.0.tolerance) {
            (Status::Running, Some(tolerance)) if now - seen.last > tolerance => Status::Error,
            (status, _) => status.clone(),
        }
    }

    async fn changed(&self) {
        tokio::select! {
            () = self.0.changed.notified() => {}
            () = self.0.health.block_changed() => {}
        }
    }
}
