//! When a node last worked or failed, and the status that follows from it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use msight_bus::registry::{RegistryError, Status};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::health::Health;

/// When the node last worked or failed, and the status that follows from it.
#[derive(Clone)]
pub(crate) struct Activity(Arc<ActivityState>);

struct ActivityState {
    /// The time without work after which a running node counts as failed.
    tolerance: Option<Duration>,
    seen: Mutex<Seen>,
    changed: Notify,
    /// The node works, after a time in which it did not.
    works: Notify,
    health: Health,
}

struct Seen {
    status: Status,
    last: Instant,
}

impl Activity {
    /// Of a node that is registered. Without work for `tolerance`, it counts as failed.
    pub(super) fn new(tolerance: Option<Duration>, health: Health) -> Self {
        let seen = Mutex::new(Seen { status: Status::Registered, last: Instant::now() });
        let (changed, works) = (Notify::new(), Notify::new());
        Self(Arc::new(ActivityState { tolerance, seen, changed, works, health }))
    }

    /// The node works: it has started, or a message arrived or was published.
    pub(crate) fn work_seen(&self) {
        if self.note(Status::Running) {
            self.0.health.set_ready(true);
            self.0.works.notify_one();
        }
    }

    /// Waits until the node has worked since it last failed. For one waiter.
    pub(super) async fn works(&self) {
        while !self.is_working() {
            self.0.works.notified().await;
        }
    }

    fn is_working(&self) -> bool {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).status == Status::Running
    }

    /// The node fails for now.
    pub(super) fn fail(&self, error: &anyhow::Error) {
        // The reason first: the change of the status sends a heartbeat, which writes both.
        self.0.health.set_reason(&format!("{error:#}"));
        self.0.health.set_ready(false);
        self.note(Status::Error);
    }

    /// The node has ended, perhaps by a panic, which only its caller notices.
    pub(super) fn end(&self) {
        self.0.health.set_ready(false);
    }

    /// The bus does not answer.
    pub(super) fn bus_lost(&self, error: &RegistryError) {
        self.0.health.set_reason(&error.to_string());
        self.0.health.set_ready(false);
    }

    /// The bus answers again.
    pub(super) fn bus_back(&self) {
        if self.observed_status(Instant::now()) == Status::Running {
            self.0.health.set_ready(true);
        }
    }

    /// Stores the status. Returns whether it has changed.
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

    /// The status for the node's record, and why it is not RUNNING.
    pub(super) fn status(&self, now: Instant) -> (Status, Option<String>) {
        let health = &self.0.health;
        match (self.observed_status(now), health.blocked()) {
            (Status::Running, None) => (Status::Running, None),
            (Status::Running, blocked) => (Status::Error, blocked),
            // A node that has become silent still counts as ready.
            (status, _) => (status, Some(health.unready().unwrap_or_else(|| self.silence()))),
        }
    }

    fn silence(&self) -> String {
        let seconds = self.0.tolerance.unwrap_or_default().as_secs_f64();
        format!("no message for more than {seconds} s (--heartbeat-tolerance)")
    }

    /// The status as the kit observes it.
    fn observed_status(&self, now: Instant) -> Status {
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (&seen.status, self.0.tolerance) {
            (Status::Running, Some(tolerance)) if now - seen.last > tolerance => Status::Error,
            (status, _) => status.clone(),
        }
    }

    /// Waits until the status is another one.
    pub(super) async fn changed(&self) {
        tokio::select! {
            () = self.0.changed.notified() => {}
            () = self.0.health.block_changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_status_other_than_running_has_the_words_of_readyz() {
        let health = Health::default();
        let activity = Activity::new(Some(Duration::from_secs(60)), health.clone());
        let now = || {
            let (status, reason) = activity.status(Instant::now());
            (status.to_string(), reason.unwrap_or_default())
        };
        let is = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
        health.set_reason("opening");
        assert_eq!(now(), is("REGISTERED", "opening"));
        activity.work_seen();
        assert_eq!(now(), is("RUNNING", ""));
        advance(Duration::from_secs(61)).await;
        assert_eq!(now(), is("ERROR", "no message for more than 60 s (--heartbeat-tolerance)"));
        activity.work_seen();
        health.set_blocked(Some("the bucket is full".to_owned()));
        assert_eq!(now(), is("ERROR", "the bucket is full"));
        activity.fail(&anyhow!("the cable is out"));
        assert_eq!(now(), is("ERROR", "the cable is out"));
        health.set_blocked(None);
        activity.work_seen();
        assert_eq!(now(), is("RUNNING", ""));
    }
}
