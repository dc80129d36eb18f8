//! The node's metrics. Every incoming frame is encoded, copied, left out, dropped or still waiting.

use crate::ending::Ending;
use crate::metrics;
use crate::timeline::LeftOut;
use msight_node::metrics::{Counter, Counters, Histogram, Metrics};
use std::time::Duration;

/// Why a frame was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Its sensor's thread or the bus is too slow, and it was the oldest frame in the queue.
    TooSlow,
    /// There are more active sensors than `--max-sensors`.
    Sensors,
    /// It cannot be decoded.
    Decode,
    /// A unit of the camera's stream that it is decoded from is missing.
    MissingUnit,
    /// Its size cannot be encoded.
    Size,
    /// It comes from a second source with the sensor's name.
    SecondSource,
    /// The encoder failed on it.
    Encode,
    /// It cannot be copied, and `--copy always` is set.
    Copy,
    /// It still waited when the grace period ended, or when its sensor's thread failed.
    Stopped,
}

/// Why a frame should have begun a segment. It is in the open one, because segments ended too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merged {
    /// It has another size, colour range or colour matrix.
    FrameSize,
    /// Its capture time does not continue the segment.
    Clock,
}

/// Why a finished segment was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Its frames do not make an MP4 file.
    Mux,
    /// It could not be published.
    Publish,
    /// The node stopped before it was published.
    Stopped,
}

/// The node's counters.
pub(crate) struct Counts {
    frames: Counter,
    unnamed: Counter,
    encoded: Counter,
    copied: Counter,
    encode: Histogram,
    left_out: Counters<LeftOut>,
    dropped: Counters<Dropped>,
    merged: Counters<Merged>,
    segments: Counters<Ending>,
    segments_copied: Counter,
    lost: Counters<Lost>,
}

impl Counts {
    /// Registers the counters.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            frames: metrics.counter(&metrics::FRAMES),
            unnamed: metrics.counter(&metrics::UNNAMED),
            encoded: metrics.counter(&metrics::ENCODED),
            copied: metrics.counter(&metrics::COPIED),
            encode: metrics.histogram(&metrics::ENCODE_SECONDS),
            left_out: Counters::new(
                metrics,
                &metrics::LEFT_OUT,
                &[
                    (LeftOut::Rate, "rate"),
                    (LeftOut::SlowClock, "slow_clock"),
                    (LeftOut::Late, "late"),
                    (LeftOut::NoTime, "no_time"),
                    (LeftOut::NoKeyFrame, "no_key_frame"),
                ],
            ),
            dropped: Counters::new(
                metrics,
                &metrics::DROPPED,
                &[
                    (Dropped::TooSlow, "too_slow"),
                    (Dropped::Sensors, "sensors"),
                    (Dropped::Decode, "decode"),
                    (Dropped::MissingUnit, "missing_unit"),
                    (Dropped::Size, "size"),
                    (Dropped::SecondSource, "second_source"),
                    (Dropped::Encode, "encode"),
                    (Dropped::Copy, "copy"),
                    (Dropped::Stopped, "stopped"),
                ],
            ),
            merged: Counters::new(
                metrics,
                &metrics::MERGED,
                &[(Merged::FrameSize, "frame_size"), (Merged::Clock, "clock")],
            ),
            segments: Counters::new(
                metrics,
                &metrics::SEGMENTS,
                &Ending::ALL.map(|ending| (ending, ending.as_str())),
            ),
            segments_copied: metrics.counter(&metrics::SEGMENTS_COPIED),
            lost: Counters::new(
                metrics,
                &metrics::SEGMENTS_LOST,
                &[(Lost::Mux, "mux"), (Lost::Publish, "publish"), (Lost::Stopped, "stopped")],
            ),
        }
    }

    /// A frame came in.
    pub(crate) fn frame(&self) {
        self.frames.inc();
    }

    /// It has no sensor name.
    pub(crate) fn unnamed(&self) {
        self.unnamed.inc();
    }

    /// A frame was decoded, converted and encoded in this time.
    pub(crate) fn encoded(&self, took: Duration) {
        self.encoded.inc();
        self.encode.observe(took);
    }

    /// A frame is kept as the camera encoded it.
    pub(crate) fn copied(&self) {
        self.copied.inc();
    }

    /// A frame was left out.
    pub(crate) fn left_out(&self, why: LeftOut) {
        self.left_out.add(why, 1);
    }

    /// This many frames were lost.
    pub(crate) fn dropped(&self, why: Dropped, frames: u64) {
        self.dropped.add(why, frames);
    }

    /// A frame that should have begun a segment is in the open one.
    pub(crate) fn merged(&self, why: Merged) {
        self.merged.add(why, 1);
    }

    /// A segment ended, which is a copy or not.
    pub(crate) fn segment(&self, ending: Ending, is_copy: bool) {
        self.segments.add(ending, 1);
        self.segments_copied.inc_by(is_copy.into());
    }

    /// A segment that ended was lost.
    pub(crate) fn lost(&self, why: Lost) {
        self.lost.add(why, 1);
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
