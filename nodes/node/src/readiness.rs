//! What a node reports to its supervisor: its health, each time it changes, and that its runtime makes progress.

use std::future::pending;
use std::net::SocketAddr;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::notify::{Notification, Notifier};

/// Reports until it is dropped. It runs on the node's own runtime: where that stands still, so do the signs of life.
pub(crate) async fn report(
    health: Health,
    metrics: Option<SocketAddr>,
    stop: CancellationToken,
    supervisor: Notifier,
) {
    let mut changes = health.changes();
    let mut signs_of_life = supervisor.watchdog_period().map(interval);
    if let Some(signs_of_life) = &mut signs_of_life {
        signs_of_life.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let mut reported = Notification::default();
    loop {
        changes.mark_unchanged();
        let stopping = stop.is_cancelled();
        let unready = health.unready().filter(|_| !stopping);
        let now = state(unready.as_deref(), stopping, metrics);
        if now != reported {
            supervisor.send(&now).await;
            reported = now;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = stop.cancelled(), if !stopping => {}
            () = tick(&mut signs_of_life) => supervisor.send(&Notification::alive()).await,
        }
    }
}

fn state(unready: Option<&str>, stopping: bool, metrics: Option<SocketAddr>) -> Notification {
    let status = match unready {
        _ if stopping => "stopping",
        Some(reason) => reason,
        None => "running",
    };
    Notification {
        ready: !stopping && unready.is_none(),
        unready: unready.is_some(),
        stopping,
        status: Some(status.to_owned()),
        metrics,
        ..Notification::default()
    }
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    struct Reports {
        health: Health,
        stop: CancellationToken,
        sent: mpsc::Receiver<Notification>,
        _task: AbortOnDropHandle<()>,
    }

    fn reports(watchdog: Option<Duration>) -> Reports {
        let (sender, sent) = mpsc::channel(16);
        let report_to = Notifier::function(move |one| sender.try_send(one.clone()).expect("room"), watchdog);
        let (health, stop) = (Health::default(), CancellationToken::new());
        let metrics = Some(SocketAddr::from(([127, 0, 0, 1], 9100)));
        let task = tokio::spawn(report(health.clone(), metrics, stop.clone(), report_to));
        Reports { health, stop, sent, _task: AbortOnDropHandle::new(task) }
    }

    #[tokio::test(start_paused = true)]
    async fn each_change_of_health_is_reported_with_the_address_of_the_metrics() {
        let Reports { health, stop, mut sent, _task } = reports(None);
        let mut next = async || {
            let one = sent.recv().await.expect("a report");
            assert_eq!(one.metrics.map(|address| address.port()), Some(9100));
            (one.ready, one.unready, one.stopping, one.status.unwrap_or_default())
        };
        assert_eq!(next().await, (false, true, false, "starting".to_owned()));
        health.set_reason("waiting for the bus");
        assert_eq!(next().await, (false, true, false, "waiting for the bus".to_owned()));
        health.set_ready(true);
        assert_eq!(next().await, (true, false, false, "running".to_owned()));
        health.set_blocked(Some("the bucket refuses".to_owned()));
        assert_eq!(next().await, (false, true, false, "the bucket refuses".to_owned()));
        stop.cancel();
        assert_eq!(next().await, (false, false, true, "stopping".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_come_twice_within_the_watchdogs_time() {
        let Reports { mut sent, _task, .. } = reports(Some(Duration::from_secs(10)));
        let begun = tokio::time::Instant::now();
        let mut alive = 0;
        while alive < 5 {
            alive += usize::from(sent.recv().await.expect("a report").alive);
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(20), "one at once, and one every 5 s");
    }
}
