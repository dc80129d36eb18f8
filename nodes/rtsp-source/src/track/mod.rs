//! From the packets of a session to access units with their times.
//!
//! ```text
//! TCP ─▶ Sequence ─┐
//!                  ├─▶ TrackReader: Depacketizer ─▶ StreamTimes ─▶ Sinks: ┬ pictures ─▶ decoding thread
//! UDP ─▶ Reorder ──┘                                                      └ packets ─▶ --packet-topic
//! ```
//!
//! Before both, packets that do not continue the stream are on [`Probation`].

mod clock_log;
mod probation;
mod reader;
mod sequence;

pub(crate) use self::probation::{Probation, Waiting};
pub(crate) use self::reader::{Sinks, TrackReader};
pub(crate) use self::sequence::{Place, Sequence};
