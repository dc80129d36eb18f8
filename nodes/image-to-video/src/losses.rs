//! Reports of lost video. Every loss is one event, `frames lost` or `segment lost`, with the sensor, the number of frames,
//! and the time span of their capture.

use msight_node::logs::RepeatedSum;
use msight_proto::{LossSpan, Utc};
use std::fmt::Display;
use tracing::error;

/// Reports losses of one kind: the first one at once, and those that follow together, as [`RepeatedSum`] does.
#[derive(Debug, Default)]
pub(crate) struct LossLog(RepeatedSum<LossSpan>);

impl LossLog {
    /// Adds lost frames of a sensor. They are reported here, or later with those that follow.
    pub(crate) fn add(&self, lost: LossSpan, sensor: &str, reason: impl Display + Send + 'static) {
        let sensor = sensor.to_owned();
        self.merge(lost, move |lost| report(&sensor, lost, reason));
    }

    fn merge(&self, lost: LossSpan, line: impl FnOnce(LossSpan) + Send + 'static) {
        self.0.add(|sum| *sum = sum.merge(lost), line);
    }
}

/// Reports lost frames of a sensor.
pub(crate) fn report(sensor: &str, lost: LossSpan, reason: impl Display) {
    let (frames, from, to) = (lost.count, Utc(lost.from), Utc(lost.to));
    error!(sensor, frames, %from, %to, "frames lost: {reason}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_wait_are_reported_together() {
        let (sender, lines) = std::sync::mpsc::channel();
        let log = LossLog::default();
        let add = |times: &[f64]| {
            let sender = sender.clone();
            log.merge(times.iter().copied().collect(), move |lost| sender.send(lost).unwrap());
        };
        add(&[5.0]);
        add(&[7.0, 6.0]);
        add(&[f64::NAN, 8.0]);
        drop(log);
        let seen: Vec<_> = lines.try_iter().collect();
        let lost = |count, from, to| LossSpan { count, from, to };
        assert_eq!(seen, [lost(1, 5.0, 5.0), lost(4, 6.0, 8.0)]);
    }
}
