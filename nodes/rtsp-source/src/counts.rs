//! The source's metrics.

use msight_media::DropReason;
use msight_node::metrics::{Counter, Metrics};
use msight_rtp::Fault;

use crate::metrics;

/// Why a picture is not published.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LeftOut {
    /// `--gap`.
    Gap,
    /// `--fps`.
    Fps,
    /// The source was stopped first.
    Stopped,
    /// `--keyframes-only`, before it is decoded.
    NotKey,
}

/// Why a packet is discarded before it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Discard {
    /// It arrived after it was skipped and counted as lost.
    Late,
    /// It is a duplicate.
    Duplicate,
    /// It does not belong to the stream.
    Stray,
    /// It is no packet: bytes between the packets of a connection.
    StrayBytes,
}

/// The counters of one source. The picture of every received access unit is published, left out, dropped, or on its way.
#[derive(Clone)]
pub(crate) struct Counts {
    pub(crate) received: Counter,
    pub(crate) decoded: Counter,
    pub(crate) published: Counter,
    pub(crate) lost_packets: Counter,
    /// Packets that arrived out of order over UDP.
    pub(crate) reordered: Counter,
    discarded: [Counter; 4],
    faults: [Counter; Fault::ALL.len()],
    left_out: [Counter; 4],
    dropped: [Counter; 4],
}

impl Counts {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let left_out = |reason| metrics.counter_with(&metrics::LEFT_OUT, &[reason]);
        let dropped = |reason: DropReason| metrics.counter_with(&metrics::DROPPED, &[reason.label()]);
        let discarded = |reason| metrics.counter_with(&metrics::DISCARDED_PACKETS, &[reason]);
        Self {
            received: metrics.counter(&metrics::RECEIVED),
            decoded: metrics.counter(&metrics::DECODED),
            published: metrics.counter(&metrics::FRAMES),
            lost_packets: metrics.counter(&metrics::LOST_PACKETS),
            reordered: metrics.counter(&metrics::REORDERED_PACKETS),
            discarded: ["late", "duplicate", "stray", "stray_bytes"].map(discarded),
            faults: Fault::ALL.map(|fault| discarded(fault.label())),
            left_out: ["gap", "fps", "stopped", "not_key"].map(left_out),
            dropped: [
                dropped(DropReason::NoKeyFrameYet),
                dropped(DropReason::PacketLoss),
                dropped(DropReason::DecodeError),
                dropped(DropReason::DecoderSlow),
            ],
        }
    }

    pub(crate) fn left_out(&self, reason: LeftOut) -> &Counter {
        &self.left_out[reason as usize]
    }

    pub(crate) fn discarded(&self, reason: Discard) -> &Counter {
        &self.discarded[reason as usize]
    }

    /// What was discarded because it cannot be used.
    pub(crate) fn fault(&self, fault: Fault) -> &Counter {
        &self.faults[fault as usize]
    }

    pub(crate) fn dropped(&self, reason: DropReason) -> &Counter {
        &self.dropped[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets;

    #[test]
    fn the_metrics_in_use_are_those_declared() {
        let registry = Metrics::default();
        Counts::new(&registry);
        packets::Counts::new(&registry);
        assert_eq!(registry.undeclared(metrics::ALL), [""; 0]);
        assert_eq!(registry.unused(metrics::ALL), [""; 0]);
    }
}
