//! What is counted of a stream.

use msight_node::metrics::{Counter, Metrics};

use crate::gate::Reason;

/// Why a whole picture is not published.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LeftOut {
    /// `--gap`.
    Gap,
    /// `--fps`.
    Fps,
    /// The source was stopped meanwhile.
    Stopped,
}

/// Why a packet that came over UDP is of no use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Discard {
    /// It came when it had been given up, and was counted as lost then.
    Late,
    /// It was here before.
    Duplicate,
    /// It is not of the stream.
    Stray,
    /// Another packet of its frame is lost.
    BrokenFrame,
}

/// The counters of one source. Every access unit received ends in exactly one of decoded, dropped, or still inside;
/// every picture decoded in one of published and left out.
#[derive(Clone)]
pub(crate) struct Counts {
    pub(crate) received: Counter,
    pub(crate) decoded: Counter,
    pub(crate) published: Counter,
    pub(crate) lost_packets: Counter,
    /// Over UDP.
    pub(crate) reordered: Counter,
    discarded: [Counter; 4],
    left_out: [Counter; 3],
    dropped: [Counter; 4],
}

impl Counts {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let left_out = |reason| {
            let help = "Pictures that were left out, because nobody asked for them or it was time to stop.";
            metrics.counter_with("msight_rtsp_left_out_total", help, &[("reason", reason)])
        };
        let dropped = |reason: Reason| {
            let help = "Frames that came from the camera and could not be decoded.";
            metrics.counter_with("msight_rtsp_dropped_total", help, &[("reason", reason.label())])
        };
        let discarded = |reason| {
            let help = "RTP and RTCP packets that came over UDP and are of no use.";
            metrics.counter_with("msight_rtsp_discarded_packets_total", help, &[("reason", reason)])
        };
        Self {
            received: metrics.counter("msight_rtsp_received_total", "Frames that came from the camera."),
            decoded: metrics.counter("msight_rtsp_decoded_total", "Pictures that came out of the decoder."),
            published: metrics.counter("msight_rtsp_frames_total", "Pictures that were made into messages."),
            lost_packets: metrics
                .counter("msight_rtsp_lost_packets_total", "RTP packets that the network lost."),
            reordered: metrics.counter(
                "msight_rtsp_reordered_packets_total",
                "RTP packets that came over UDP before one sent earlier, and waited for it.",
            ),
            discarded: [
                discarded("late"),
                discarded("duplicate"),
                discarded("stray"),
                discarded("broken_frame"),
            ],
            left_out: [left_out("gap"), left_out("fps"), left_out("stopped")],
            dropped: [
                dropped(Reason::NoKeyFrameYet),
                dropped(Reason::PacketLoss),
                dropped(Reason::DecodeError),
                dropped(Reason::DecoderSlow),
            ],
        }
    }

    pub(crate) fn left_out(&self, reason: LeftOut) -> &Counter {
        &self.left_out[reason as usize]
    }

    pub(crate) fn discarded(&self, reason: Discard) -> &Counter {
        &self.discarded[reason as usize]
    }

    pub(crate) fn dropped(&self, reason: Reason) -> &Counter {
        &self.dropped[reason as usize]
    }
}
