//! Units that are decoded each by itself: sound and metadata.

use std::sync::Arc;

use bytes::Bytes;
use msight_media::ParameterSets;

use crate::fault::Fault;
use crate::output::Output;
use crate::unit::Unit;

/// Hands on units that are decoded each by itself, and notes what is missing between them.
#[derive(Debug, Default)]
pub(crate) struct KeyUnits {
    /// What each unit is decoded with.
    pub(crate) parameter_sets: Option<Arc<ParameterSets>>,
    after_loss: bool,
}

impl KeyUnits {
    pub(crate) fn new(parameter_sets: Option<Arc<ParameterSets>>) -> Self {
        Self { parameter_sets, after_loss: false }
    }

    pub(crate) fn emit(&mut self, timestamp: u32, data: impl Into<Bytes>, out: &mut Output) {
        out.units.push_back(Unit {
            timestamp,
            data: data.into(),
            key: true,
            after_loss: std::mem::take(&mut self.after_loss),
            parameter_sets: self.parameter_sets.clone(),
            size: None,
        });
    }

    /// Packets are missing.
    pub(crate) fn lose(&mut self) {
        self.after_loss = true;
    }

    /// Something was discarded.
    pub(crate) fn discard(&mut self, fault: Fault, out: &mut Output) {
        self.after_loss = true;
        out.fault(fault);
    }
}
