//! The start of a sensor's recording: units before the first key frame cannot be recorded, and after a crash they are lost.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use msight_proto::{LossSpan, Utc};
use tracing::{error, warn};

use crate::unit::Unit;

/// The sensors whose recording a dead recorder left unfinished. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupted(Arc<Mutex<HashSet<Option<String>>>>);

impl Interrupted {
    /// Adds sensors.
    pub(crate) fn note(&self, sensors: impl Iterator<Item = Option<String>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(sensors);
    }

    /// Removes a sensor.
    pub(crate) fn forget(&self, sensor: &Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(sensor);
    }

    fn contains(&self, sensor: &Option<String>) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(sensor)
    }
}

/// The units of a sensor before its first key frame since the start of the node.
#[derive(Debug)]
pub(crate) struct Start {
    interrupted: Interrupted,
    sensor: Option<String>,
    /// `None` once the key frame has come.
    before_key: Option<LossSpan>,
}

impl Start {
    /// No unit has come.
    pub(crate) fn new(sensor: Option<String>, interrupted: Interrupted) -> Self {
        Self { interrupted, sensor, before_key: Some(LossSpan::NONE) }
    }

    /// A unit before the first key frame. Returns whether it is lost, because a recorder of the sensor died before.
    pub(crate) fn before_key(&mut self, captured: f64) -> bool {
        let Some(span) = &mut self.before_key else { return false };
        *span = span.merge(LossSpan::one(captured));
        self.interrupted.contains(&self.sensor)
    }

    /// The first key frame: reports the units before it, and adds those that are lost to those lost before the key frame.
    pub(crate) fn begin(&mut self, key: &mut Unit, sensor: &str) {
        let Some(span) = self.before_key.take() else { return };
        let is_interrupted = self.interrupted.contains(&self.sensor);
        self.interrupted.forget(&self.sensor);
        if span.count == 0 {
            return;
        }
        let (units, from, to) = (span.count, Utc(span.from), Utc(span.to));
        let seconds = ((key.captured - span.from) * 1e3).round() / 1e3;
        if is_interrupted {
            key.lost_before = key.lost_before.saturating_add(units);
            error!(
                sensor,
                units,
                seconds,
                %from,
                %to,
                "units lost: they came after a restart and before the next key frame; set the key frame interval of the camera to \
                 1 or 2 seconds"
            );
        } else {
            warn!(
                sensor,
                units,
                seconds,
                %from,
                %to,
                "units left out: they came before the first key frame after the start; set the key frame interval of the camera to \
                 1 or 2 seconds"
            );
        }
    }
}
