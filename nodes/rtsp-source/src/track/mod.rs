//! From the packets of a session to access units with their times.
//!
//! ```text
//! TCP ─▶ Sequence ─┐
//!                  ├─▶ TrackReader: Depacketizer ─▶ StreamTimes ─▶ Sinks: ┬ pictures ─▶ decoding thread
//! UDP ─▶ Reorder ──┘                                                      └ packets ─▶ --packet-topic
//! ```

mod clock_log;
mod reader;
mod sequence;

pub(crate) use self::reader::{Sinks, TrackReader};
pub(crate) use self::sequence::{Place, Sequence};
