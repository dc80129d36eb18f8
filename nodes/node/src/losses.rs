//! Reports of messages that are not delivered: which topic, whose, how many, from when to when, and why.

use std::collections::BTreeSet;
use std::fmt::Display;

use msight_bus::Topic;
use msight_proto::{LossSpan, Utc};
use tracing::{error, warn};

use crate::logs::RepeatedSum;

/// The longest name of a sensor in a report, in characters. Names come from messages of other programs.
const MAX_NAME: usize = 200;

/// The name of a sensor as it is in reports.
pub(crate) fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

/// Logs the lost messages of a topic: the first at once, and those that follow together, as [`RepeatedSum`] does.
pub(crate) struct LossLog {
    topic: Topic,
    losses: RepeatedSum<Dropped>,
    /// Announcements, with which no data is lost.
    announcements: RepeatedSum<Dropped>,
}

/// What a line reports.
#[derive(Debug, Default, PartialEq)]
struct Dropped {
    sensors: BTreeSet<String>,
    span: LossSpan,
}

impl LossLog {
    /// Without losses.
    pub(crate) fn new(topic: Topic) -> Self {
        Self { topic, losses: RepeatedSum::new(), announcements: RepeatedSum::new() }
    }

    /// Adds a lost message of a sensor, captured in this span.
    pub(crate) fn add(&self, sensor: Option<&str>, span: (f64, f64), reason: impl Display + Send + 'static) {
        let topic = self.topic.clone();
        self.merge(sensor, span, move |lost| {
            let (sensor, count, from, to) = lost.fields();
            error!(%topic, sensor, lost = count, %from, %to, "messages lost: {reason}");
        });
    }

    /// Adds an announcement that is not delivered, of data of a sensor.
    pub(crate) fn add_announcement(
        &self,
        sensor: Option<&str>,
        span: (f64, f64),
        reason: impl Display + Send + 'static,
    ) {
        let topic = self.topic.clone();
        let line = move |dropped: Dropped| {
            let (sensor, count, from, to) = dropped.fields();
            warn!(
                %topic, sensor, dropped = count, %from, %to,
                "announcements dropped: {reason}; no data is lost: the segments stay in their folder"
            );
        };
        self.announcements.add(|sum| sum.add(sensor.unwrap_or_default(), span), line);
    }

    fn merge(&self, sensor: Option<&str>, span: (f64, f64), line: impl FnOnce(Dropped) + Send + 'static) {
        self.losses.add(|lost| lost.add(sensor.unwrap_or_default(), span), line);
    }
}

impl Dropped {
    /// A line has no more names of sensors than this.
    const MAX_SENSORS: usize = 8;

    /// Sensors, number, and the capture times of the first and the last one.
    fn fields(self) -> (String, u64, Utc, Utc) {
        let sensors = self.sensors.into_iter().collect::<Vec<_>>().join(", ");
        (sensors, self.span.count, Utc(self.span.from), Utc(self.span.to))
    }

    fn add(&mut self, sensor: &str, span: (f64, f64)) {
        self.span = self.span.merge(LossSpan::of_message(span));
        if self.sensors.len() < Self::MAX_SENSORS {
            self.sensors.insert(shortened(sensor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_follow_are_reported_together() {
        let (sender, lines) = std::sync::mpsc::channel();
        let log = LossLog::new(Topic::new("t").unwrap());
        let add = |sensor, span| {
            let sender = sender.clone();
            log.merge(sensor, span, move |lost| sender.send(lost).unwrap());
        };
        add(Some("gate"), (10.0, 19.9));
        let first = lines.try_recv().expect("the first has its line");
        assert_eq!(first.span, LossSpan { count: 1, from: 10.0, to: 19.9 });
        add(Some("gate"), (20.0, 29.9));
        add(None, (15.0, 16.0));
        drop(log);
        let lost = lines.try_recv().expect("the others have one");
        assert_eq!((lost.span, lost.sensors.len()), (LossSpan { count: 2, from: 15.0, to: 29.9 }, 2));
    }

    #[test]
    fn the_names_in_a_line_are_bounded() {
        let mut lost = Dropped::default();
        (0..100).for_each(|number| lost.add(&number.to_string(), (f64::from(number), f64::from(number + 1))));
        assert_eq!((lost.sensors.len(), lost.span), (8, LossSpan { count: 100, from: 0.0, to: 100.0 }));
    }
}
