//! The node's counters. Every unit that comes in is recorded, left out, dropped or still waiting.

use std::time::Duration;

use msight_node::metrics::{Counter, Counters, Gauge, Histogram, Metrics};

use crate::ending::Ending;
use crate::metrics;

/// Why a unit was left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LeftOut {
    /// Its container has no place for metadata.
    Metadata,
    /// It is of a second video track.
    FurtherVideo,
    /// It is sound, with `--audio none`.
    Audio,
    /// The container has no form for its codec.
    Codec,
    /// It came before the first key frame.
    BeforeKey,
    /// It was recorded already.
    Repeated,
    /// Its track began in the middle of a segment.
    LateTrack,
    /// No event asked for it.
    NoEvent,
    /// AAC is recorded in its place.
    Converted,
}

/// Why a unit was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Its sensor's thread is too slow, and it was the oldest one in the queue.
    TooSlow,
    /// There are more active sensors than `--max-sensors`.
    Sensors,
    /// It still waited when the node stopped or its sensor's thread failed.
    Stopped,
    /// Units before it were lost, so that it cannot be decoded.
    AfterLoss,
    /// It came after a restart that cut off a segment, and before the next key frame.
    AfterRestart,
    /// Its segment had ended for want of units before it came, and it is no key frame.
    AfterIdle,
    /// Another source has the sensor's name.
    SecondSource,
    /// It is not an access unit.
    Malformed,
    /// Its segment has its largest size, and no key frame comes.
    TooLong,
    /// It could not be written.
    Disk,
    /// The container has no form for it.
    Mux,
    /// The index of its segment could not be written.
    Index,
}

/// Why a whole segment was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentLoss {
    /// Its index could not be written.
    Index,
    /// It could not be published.
    Publish,
    /// Its message is larger than Redis delivers.
    TooLarge,
    /// The node stopped before it was published.
    Stopped,
    /// What a dead node left cannot be read.
    Unrecoverable,
    /// What a dead node left has no whole fragment.
    Empty,
}

/// The node's counters.
pub(crate) struct Counts {
    units: Counter,
    unnamed: Counter,
    recorded: Counter,
    left_out: Counters<LeftOut>,
    dropped: Counters<Lost>,
    fragments: Counter,
    bytes: Counter,
    write: Histogram,
    open: Gauge,
    segments: Counters<Ending>,
    segments_lost: Counters<SegmentLoss>,
    postponed: Counter,
}

impl Counts {
    /// Registers the counters.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            units: metrics.counter(&metrics::UNITS),
            unnamed: metrics.counter(&metrics::UNNAMED),
            recorded: metrics.counter(&metrics::RECORDED),
            left_out: Counters::new(
                metrics,
                &metrics::LEFT_OUT,
                &[
                    (LeftOut::Metadata, "metadata"),
                    (LeftOut::FurtherVideo, "further_video"),
                    (LeftOut::Audio, "audio"),
                    (LeftOut::Codec, "codec"),
                    (LeftOut::BeforeKey, "before_key"),
                    (LeftOut::Repeated, "repeated"),
                    (LeftOut::LateTrack, "late_track"),
                    (LeftOut::NoEvent, "no_event"),
                    (LeftOut::Converted, "converted"),
                ],
            ),
            dropped: Counters::new(
                metrics,
                &metrics::DROPPED,
                &[
                    (Lost::TooSlow, "too_slow"),
                    (Lost::Sensors, "sensors"),
                    (Lost::Stopped, "stopped"),
                    (Lost::AfterLoss, "after_loss"),
                    (Lost::AfterRestart, "after_restart"),
                    (Lost::AfterIdle, "after_idle"),
                    (Lost::SecondSource, "second_source"),
                    (Lost::Malformed, "malformed"),
                    (Lost::TooLong, "too_long"),
                    (Lost::Disk, "disk"),
                    (Lost::Mux, "mux"),
                ],
            ),
            fragments: metrics.counter(&metrics::FRAGMENTS),
            bytes: metrics.counter(&metrics::BYTES),
            write: metrics.histogram(&metrics::WRITE_SECONDS),
            open: metrics.gauge(&metrics::OPEN_SEGMENTS),
            segments: Counters::new(
                metrics,
                &metrics::SEGMENTS,
                &Ending::ALL.map(|ending| (ending, ending.as_str())),
            ),
            segments_lost: Counters::new(
                metrics,
                &metrics::SEGMENTS_LOST,
                &[
                    (SegmentLoss::Index, "index"),
                    (SegmentLoss::Publish, "publish"),
                    (SegmentLoss::TooLarge, "too_large"),
                    (SegmentLoss::Stopped, "stopped"),
                    (SegmentLoss::Unrecoverable, "unrecoverable"),
                    (SegmentLoss::Empty, "empty"),
                ],
            ),
            postponed: metrics.counter(&metrics::POSTPONED),
        }
    }

    /// A unit came in.
    pub(crate) fn unit(&self) {
        self.units.inc();
    }

    /// It has no sensor name.
    pub(crate) fn unnamed(&self) {
        self.unnamed.inc();
    }

    /// A fragment of these bytes, with these units, was written in this time.
    pub(crate) fn fragment(&self, bytes: usize, units: usize, took: Duration) {
        self.fragments.inc();
        self.bytes.inc_by(bytes as u64);
        self.recorded.inc_by(units as u64);
        self.write.observe(took);
    }

    /// Units were left out.
    pub(crate) fn left_out(&self, why: LeftOut, units: u64) {
        self.left_out.add(why, units);
    }

    /// Units were lost.
    pub(crate) fn lost(&self, why: Lost, units: u64) {
        self.dropped.add(why, units);
    }

    /// A segment was begun.
    pub(crate) fn begun(&self) {
        self.open.add(1);
    }

    /// A segment is no longer being written.
    pub(crate) fn closed(&self) {
        self.open.add(-1);
    }

    /// A segment ended.
    pub(crate) fn segment(&self, ending: Ending) {
        self.segments.add(ending, 1);
    }

    /// A segment was lost.
    pub(crate) fn segment_lost(&self, why: SegmentLoss) {
        self.segments_lost.add(why, 1);
    }

    /// A segment stays in the spool folder, unfinished.
    pub(crate) fn postponed(&self) {
        self.postponed.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_in_use_are_those_declared() {
        let registry = Metrics::default();
        Counts::new(&registry);
        assert_eq!(registry.undeclared(metrics::ALL), [""; 0]);
        assert_eq!(registry.unused(metrics::ALL), [""; 0]);
    }
}
