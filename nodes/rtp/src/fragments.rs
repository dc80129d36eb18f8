//! Units that extend over several packets, of which only the last one is marked.

use crate::fault::Fault;
use crate::key_units::KeyUnits;
use crate::output::Output;
use crate::packet::Packet;

/// Puts the payloads of a unit together, up to the marker or to another timestamp.
#[derive(Debug)]
pub(crate) struct Fragments {
    /// Maximum length of a unit, bytes.
    max: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The next packet begins a unit.
    Next,
    /// What has come of one.
    Part { timestamp: u32, bytes: Vec<u8> },
    /// The rest of one is discarded.
    Discarded { timestamp: u32 },
}

/// The timestamp and the bytes of a complete unit.
pub(crate) type CompleteUnit = (u32, Vec<u8>);

impl Fragments {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, state: State::Next }
    }

    /// Takes the next packet: it can end the unit before it, and be a whole one itself. `begins`: behind a gap, the packet
    /// is the first one of a unit.
    pub(crate) fn push(
        &mut self,
        packet: &Packet<'_>,
        after_gap: bool,
        begins: bool,
        units: &mut KeyUnits,
        out: &mut Output,
    ) -> [Option<CompleteUnit>; 2] {
        let timestamp = packet.timestamp;
        if after_gap {
            units.lose();
            if matches!(self.state, State::Part { .. }) {
                out.fault(Fault::Incomplete);
            }
            self.state = State::Next;
            if !begins {
                out.fault(Fault::Fragment);
                self.state = State::Discarded { timestamp };
            }
        }
        let ended = if self.timestamp() == Some(timestamp) { None } else { self.finish() };
        if packet.payload.is_empty() {
            out.fault(Fault::Empty);
        }
        match &mut self.state {
            State::Next if packet.payload.is_empty() => {}
            State::Next => self.state = State::Part { timestamp, bytes: packet.payload.to_vec() },
            State::Part { bytes, .. } if bytes.len() + packet.payload.len() > self.max => {
                units.discard(Fault::TooLong, out);
                self.state = State::Discarded { timestamp };
            }
            State::Part { bytes, .. } => bytes.extend(packet.payload),
            State::Discarded { .. } => {}
        }
        [ended, if packet.marker { self.finish() } else { None }]
    }

    /// The timestamp of the current unit.
    pub(crate) fn timestamp(&self) -> Option<u32> {
        match self.state {
            State::Next => None,
            State::Part { timestamp, .. } | State::Discarded { timestamp } => Some(timestamp),
        }
    }

    fn finish(&mut self) -> Option<CompleteUnit> {
        match std::mem::replace(&mut self.state, State::Next) {
            State::Part { timestamp, bytes } => Some((timestamp, bytes)),
            State::Next | State::Discarded { .. } => None,
        }
    }
}
