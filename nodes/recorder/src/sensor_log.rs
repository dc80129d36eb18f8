//! What is logged about the units of one sensor. An event that may come with each unit is counted, and logged with those that
//! follow.

use std::collections::HashSet;
use std::fmt::Display;

use msight_node::logs::RepeatedSum;
use msight_proto::{LossSpan, Utc};
use tracing::{error, info};

use crate::counts::{Counts, LeftOut, Lost};
use std::sync::Arc;

/// The log lines of one sensor, and its counters.
pub(crate) struct SensorLog {
    label: String,
    counts: Arc<Counts>,
    losses: Vec<(Lost, RepeatedSum<LossSpan>)>,
    /// What was reported once.
    reported: HashSet<(LeftOut, String)>,
}

impl SensorLog {
    /// For the sensor that log lines call `label`.
    pub(crate) fn new(label: &str, counts: Arc<Counts>) -> Self {
        Self { label: label.to_owned(), counts, losses: Vec::new(), reported: HashSet::new() }
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Counts units that were lost, and reports them now or with those that follow.
    pub(crate) fn lost(&mut self, why: Lost, lost: LossSpan, reason: impl Display + Send + 'static) {
        if lost.count == 0 {
            return;
        }
        self.counts.lost(why, lost.count);
        let at = self.losses.iter().position(|(known, _)| *known == why).unwrap_or_else(|| {
            self.losses.push((why, RepeatedSum::new()));
            self.losses.len() - 1
        });
        let sensor = self.label.clone();
        self.losses[at].1.add(|sum| *sum = sum.merge(lost), move |lost| report(&sensor, lost, reason));
    }

    /// Counts units that were left out.
    pub(crate) fn left_out(&self, why: LeftOut, units: u64) {
        self.counts.left_out(why, units);
    }

    /// Counts a unit that was left out, and reports once for each track why.
    pub(crate) fn left_out_track(&mut self, why: LeftOut, track: &str, reason: &str) {
        const MAX_REPORTED: usize = 32;
        self.counts.left_out(why, 1);
        if self.reported.len() < MAX_REPORTED && self.reported.insert((why, track.to_owned())) {
            let sensor = self.label.as_str();
            info!(sensor, track, "track left out: {reason}; reported once");
        }
    }
}

/// Reports lost units of a sensor.
pub(crate) fn report(sensor: &str, lost: LossSpan, reason: impl Display) {
    let (units, from, to) = (lost.count, Utc(lost.from), Utc(lost.to));
    error!(sensor, units, %from, %to, "units lost: {reason}");
}
