//! What `msight up` reports to the supervisor of its own process, such as systemd (sd_notify(3)).

use std::time::{Duration, Instant};

use msight_node::notify::{Notification, Notifier};
use msight_supervise::{Phase, States};

/// A graph counts as started after this time at the latest: an offline camera must not make systemd end the others.
const START_TIMEOUT: Duration = Duration::from_secs(45);

/// Reports the state of a graph, and that its launcher makes progress.
pub(super) struct ServiceReport {
    supervisor: Notifier,
    begun: Instant,
    reported: Notification,
}

impl ServiceReport {
    /// A report to the supervisor that the environment names. Without one, reports go nowhere.
    pub(super) fn new() -> Self {
        let supervisor = Notifier::from_environment();
        Self { supervisor, begun: Instant::now(), reported: Notification::default() }
    }

    /// Reports how the jobs stand, if that has changed, and a sign of life. To be called each second.
    pub(super) fn states(&mut self, states: &States) {
        let (mut total, mut ready, mut first_other) = (0, 0, None);
        let mut are_settled = true;
        for (name, state) in states.iter() {
            total += 1;
            are_settled &= state.is_settled();
            match state.phase {
                Phase::Ready => ready += 1,
                phase => first_other = first_other.or(Some(format!("; {name}: {phase}"))),
            }
        }
        let status = format!("{ready} of {total} ready{}", first_other.unwrap_or_default());
        let is_ready = self.reported.ready || are_settled || self.begun.elapsed() >= START_TIMEOUT;
        self.report(Notification { ready: is_ready, status: Some(status), ..Notification::default() });
    }

    /// Reports that the graph stops.
    pub(super) fn stopping(&mut self) {
        let status = Some("stopping, sources first".to_owned());
        self.report(Notification { stopping: true, status, ..Notification::default() });
    }

    fn report(&mut self, now: Notification) {
        // What does not fit into the socket is sent again the next time.
        if now != self.reported && self.supervisor.try_send(&now) {
            self.reported = now;
        }
        if self.supervisor.watchdog_period().is_some() {
            self.supervisor.try_send(&Notification::alive());
        }
    }
}
