//! Measures delays: frames as a second subscriber of their topic receives them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use msight_bus::{Bus, Overflow, QueueConfig, Subscription, Topic};
use msight_proto::{ImageData, Sample, decode, unix_now};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// The distribution of delays, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(super) struct Delay {
    pub(super) median_ms: f64,
    /// A percentile of the delays.
    pub(super) p95_ms: f64,
    pub(super) max_ms: f64,
    pub(super) count: usize,
}

impl Delay {
    /// The distribution of delays in seconds; `None` for an empty list.
    pub(super) fn of(mut seconds: Vec<f64>) -> Option<Self> {
        seconds.sort_by(f64::total_cmp);
        let at = |rank: f64| seconds.get((seconds.len().saturating_sub(1) as f64 * rank).round() as usize);
        let ms = |seconds: &f64| seconds * 1e3;
        Some(Self {
            median_ms: at(0.5).map(ms)?,
            p95_ms: at(0.95).map(ms)?,
            max_ms: at(1.0).map(ms)?,
            count: seconds.len(),
        })
    }
}

/// A subscriber of the frames.
pub(super) struct Watch {
    seen: watch::Receiver<Seen>,
    _task: AbortOnDropHandle<()>,
}

/// The frames so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Seconds from the capture of each frame to its arrival here.
    pub(super) delays: Vec<f64>,
    /// The arrival of each sensor's first frame.
    pub(super) first: BTreeMap<String, Instant>,
    /// The frames of one sensor, as long as there is room.
    pub(super) frames: Vec<Sample<ImageData>>,
}

/// Subscribes to a topic of the programs, with a queue that holds what a busy machine leaves waiting.
pub(super) async fn subscribe(bus: &dyn Bus, topic: &str) -> Result<Subscription> {
    let queue = QueueConfig { max_items: 10_000, max_bytes: 256 << 20, overflow: Overflow::DropNewest };
    Ok(bus.subscribe(&Topic::new(topic)?, queue).await?)
}

impl Watch {
    /// Subscribes. The frames of sensor `keep` are kept, up to 256 MiB of them.
    pub(super) async fn start(bus: &dyn Bus, topic: &str, keep: Option<String>) -> Result<Self> {
        const MAX_KEPT: usize = 256 << 20;
        let mut frames = subscribe(bus, topic).await.context("cannot subscribe to the frames")?;
        let (sender, seen) = watch::channel(Seen::default());
        let task = tokio::spawn(async move {
            let mut kept = 0;
            while let Some(delivery) = frames.recv().await {
                let payload = delivery.payload;
                let (now, wall) = (Instant::now(), unix_now());
                // Other messages do not come from the programs.
                let Ok(sample) = decode::<ImageData>(&payload) else { continue };
                let sensor = sample.head.sensor_name.clone().unwrap_or_default();
                let keeps = keep.as_ref() == Some(&sensor) && kept + payload.len() <= MAX_KEPT;
                sender.send_modify(|seen| {
                    seen.delays.push(wall - sample.head.capture_timestamp);
                    seen.first.entry(sensor).or_insert(now);
                    if keeps {
                        kept += payload.len();
                        seen.frames.push(sample);
                    }
                });
            }
        });
        Ok(Self { seen, _task: AbortOnDropHandle::new(task) })
    }

    /// Waits for the first frame of this number of sensors, and returns the frames so far.
    pub(super) async fn until_sensors(&self, count: usize, time_limit: Duration) -> Result<Seen> {
        let mut waiting = self.seen.clone();
        let all = waiting.wait_for(|seen| seen.first.len() >= count);
        if let Ok(seen) = tokio::time::timeout(time_limit, all).await {
            return Ok(seen.context("the subscription has ended")?.clone());
        }
        let arrived = self.seen.borrow().first.len();
        bail!("only {arrived} of {count} cameras sent a frame within {} s", time_limit.as_secs())
    }

    /// The frames so far.
    pub(super) fn seen(self) -> Seen {
        self.seen.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        assert_eq!(Delay::of(Vec::new()), None);
        let one = Delay::of(vec![0.25]).expect("one");
        assert_eq!(one, Delay { median_ms: 250.0, p95_ms: 250.0, max_ms: 250.0, count: 1 });
        let many = Delay::of((0..=100).rev().map(f64::from).collect()).expect("many");
        assert_eq!((many.median_ms, many.p95_ms, many.max_ms), (50_000.0, 95_000.0, 100_000.0));
        let odd = Delay::of(vec![-0.001, f64::NAN, 0.002]).expect("some");
        assert_eq!((odd.median_ms, odd.count), (2.0, 3));
    }
}
