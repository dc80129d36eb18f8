//! Reports of lost video. Every loss is one event, `frames lost` or `segment lost`, with the sensor, the number of frames,
//! and the time span of their capture.

use msight_media::LostFrames;
use msight_node::logs::Repeated;
use msight_proto::Utc;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::error;

/// Reports losses of one kind: the first one at once, and those that follow at most once a second, together.
#[derive(Debug)]
pub(crate) struct LossLog {
    repeated: Repeated,
    /// Not reported as yet.
    pending: Arc<Mutex<LostFrames>>,
}

impl LossLog {
    /// Without losses.
    pub(crate) fn new() -> Self {
        Self { repeated: Repeated::new(), pending: Arc::default() }
    }

    /// Adds lost frames of a sensor. They are reported here, or later with those that follow.
    pub(crate) fn add(&self, lost: LostFrames, sensor: &str, reason: impl Display + Send + 'static) {
        let sensor = sensor.to_owned();
        self.merge(lost, move |lost| report(&sensor, lost, reason));
    }

    fn merge(&self, lost: LostFrames, line: impl FnOnce(LostFrames) + Send + 'static) {
        {
            let mut pending = lock(&self.pending);
            *pending = pending.merge(lost);
        }
        let pending = Arc::clone(&self.pending);
        self.repeated.add(lost.frames, move |_| {
            let lost = lock(&pending).take();
            if let Some(lost) = lost {
                line(lost);
            }
        });
    }
}

/// Reports lost frames of a sensor.
pub(crate) fn report(sensor: &str, lost: LostFrames, reason: impl Display) {
    let (frames, from, to) = (lost.frames, Utc(lost.from), Utc(lost.to));
    error!(sensor, frames, %from, %to, "frames lost: {reason}");
}

fn lock(pending: &Mutex<LostFrames>) -> std::sync::MutexGuard<'_, LostFrames> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_wait_are_reported_together() {
        let (sender, lines) = std::sync::mpsc::channel();
        let log = LossLog::new();
        let add = |times: &[f64]| {
            let sender = sender.clone();
            log.merge(times.iter().copied().collect(), move |lost| sender.send(lost).unwrap());
        };
        add(&[5.0]);
        add(&[7.0, 6.0]);
        add(&[f64::NAN, 8.0]);
        drop(log);
        let seen: Vec<_> = lines.try_iter().collect();
        let lost = |frames, from, to| LostFrames { frames, from, to };
        assert_eq!(seen, [lost(1, 5.0, 5.0), lost(4, 6.0, 8.0)]);
    }
}
