//! The result of packets: units, and counts of faults.

use std::collections::VecDeque;

use crate::fault::Fault;
use crate::unit::Unit;

/// The units from some packets, and what was discarded.
#[derive(Debug, Default)]
pub struct Output {
    /// Whole units, oldest first.
    pub units: VecDeque<Unit>,
    /// Why something was discarded, and how often since this was last taken.
    pub faults: Vec<(Fault, u64)>,
}

impl Output {
    /// Counts something that was discarded.
    pub(crate) fn fault(&mut self, fault: Fault) {
        match self.faults.iter_mut().find(|(other, _)| *other == fault) {
            Some((_, count)) => *count += 1,
            None => self.faults.push((fault, 1)),
        }
    }
}
