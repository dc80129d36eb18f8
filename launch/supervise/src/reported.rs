//! What a job reports of itself, by the protocol of sd_notify(3): whether it is ready, and where its metrics are.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use msight_node::notify::Notification;

/// Within this time a job that gives signs of life is to give one.
pub const WATCHDOG: Duration = Duration::from_secs(10);

/// A job that has reported nothing for so long after its start does not know the protocol.
const FIRST_REPORT: Duration = Duration::from_secs(5);

/// What a job has reported since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    /// Whether it is ready; `None` before its first report.
    ready: Option<bool>,
    /// What it waits for.
    status: String,
    /// Where its metrics are.
    pub(crate) metrics: Option<SocketAddr>,
    /// When it last gave a sign of life, where it gives such signs.
    alive: Option<Instant>,
}

impl Reported {
    /// Takes in what a report says anew.
    pub(crate) fn update(&mut self, report: &Notification, now: Instant) {
        let was_ready = self.ready.unwrap_or(false);
        self.ready = Some(report.ready || (was_ready && !report.unready));
        if let Some(status) = &report.status {
            self.status.clone_from(status);
        }
        self.metrics = report.metrics.or(self.metrics);
        if report.alive || self.alive.is_some() {
            self.alive = Some(now);
        }
    }

    /// Whether a job that began then is ready now, or why not; `None` while nothing is known.
    pub(crate) fn readiness(&self, begun: Instant, now: Instant) -> Option<Result<(), String>> {
        match (self.ready, self.alive) {
            (None, _) => (now >= begun + FIRST_REPORT).then_some(Ok(())),
            (_, Some(alive)) if now >= alive + WATCHDOG => {
                Some(Err(format!("no sign of life for {} s", WATCHDOG.as_secs())))
            }
            (Some(true), _) => Some(Ok(())),
            (Some(false), _) => Some(Err(self.status.clone())),
        }
    }

    /// When the answer of [`readiness`](Self::readiness) changes without a further report.
    pub(crate) fn deadline(&self, begun: Instant, now: Instant) -> Option<Instant> {
        let deadline = match (self.ready, self.alive) {
            (None, _) => begun + FIRST_REPORT,
            (_, alive) => alive? + WATCHDOG,
        };
        (deadline > now).then_some(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Notification {
        Notification::parse(text.as_bytes())
    }

    #[test]
    fn a_job_is_ready_from_its_report_until_it_takes_that_back() {
        let begun = Instant::now();
        let mut reported = Reported::default();
        assert_eq!(reported.readiness(begun, begun), None);
        reported.update(&report("STATUS=waiting for the bus\nX_MSIGHT_METRICS=127.0.0.1:4711"), begun);
        assert_eq!(reported.readiness(begun, begun), Some(Err("waiting for the bus".to_owned())));
        reported.update(&report("READY=1"), begun);
        assert_eq!(reported.readiness(begun, begun), Some(Ok(())));
        // A sign of life or a status takes nothing back.
        reported.update(&report("STATUS=42 frames"), begun);
        assert_eq!(reported.readiness(begun, begun), Some(Ok(())));
        assert_eq!(reported.metrics, Some(SocketAddr::from(([127, 0, 0, 1], 4711))));
        reported.update(&report("X_MSIGHT_READY=0\nSTATUS=no camera"), begun);
        assert_eq!(reported.readiness(begun, begun), Some(Err("no camera".to_owned())));
    }

    #[test]
    fn a_job_that_never_reports_is_ready_after_a_while() {
        let begun = Instant::now();
        let reported = Reported::default();
        assert_eq!(reported.deadline(begun, begun), Some(begun + FIRST_REPORT));
        assert_eq!(reported.readiness(begun, begun + FIRST_REPORT), Some(Ok(())));
    }

    #[test]
    fn a_job_that_gave_signs_of_life_is_not_ready_without_them() {
        let begun = Instant::now();
        let mut reported = Reported::default();
        reported.update(&report("READY=1"), begun);
        assert_eq!(reported.deadline(begun, begun), None, "it gives no such signs");
        reported.update(&report("WATCHDOG=1"), begun);
        assert_eq!(reported.deadline(begun, begun), Some(begun + WATCHDOG));
        assert!(reported.readiness(begun, begun + WATCHDOG).is_some_and(|answer| answer.is_err()));
        reported.update(&report("WATCHDOG=1"), begun + WATCHDOG);
        assert_eq!(reported.readiness(begun, begun + WATCHDOG), Some(Ok(())));
    }
}
