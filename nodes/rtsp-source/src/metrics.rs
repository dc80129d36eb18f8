//! The metrics of the RTSP source.

use msight_node::metrics::{Label, Metric, Unit};

/// Frames that the camera sent.
pub const RECEIVED: Metric =
    Metric::count("msight_rtsp_received_total", Unit::Frames, "Frames received from the camera.");

/// Pictures that the decoder made.
pub const DECODED: Metric = Metric::count(
    "msight_rtsp_decoded_total",
    Unit::Frames,
    "Pictures decoded. In one process with all readers, only those that a node asks for, and those they refer to.",
);

/// Pictures that became messages.
pub const FRAMES: Metric =
    Metric::count("msight_rtsp_frames_total", Unit::Frames, "Pictures made into messages.");

/// Packets that did not arrive.
pub const LOST_PACKETS: Metric = Metric::loss(
    "msight_rtsp_lost_packets_total",
    Unit::Packets,
    "RTP packets that the camera or the network left out.",
);

/// Packets that arrived before an earlier one.
pub const REORDERED_PACKETS: Metric = Metric::count(
    "msight_rtsp_reordered_packets_total",
    Unit::Packets,
    "RTP packets that arrived over UDP before an earlier one, and waited for it.",
);

/// Packets that were discarded.
pub const DISCARDED_PACKETS: Metric = Metric::count(
    "msight_rtsp_discarded_packets_total",
    Unit::Packets,
    "RTP and RTCP packets, and parts of them, that arrived and were discarded, by reason.",
)
.with_labels(&[Label {
    name: "reason",
    values: &[
        "late",
        "duplicate",
        "stray",
        "stray_bytes",
        "malformed",
        "other_payload_type",
        "empty",
        "bad_nal",
        "fragment",
        "bad_payload",
        "too_long",
        "incomplete",
        "unknown_size",
    ],
}]);

/// Pictures that the flags leave out.
pub const LEFT_OUT: Metric = Metric::skip(
    "msight_rtsp_left_out_total",
    Unit::Frames,
    "Pictures skipped by --gap, --fps or --keyframes-only, or because the source was stopped.",
)
.with_labels(&[Label { name: "reason", values: &["gap", "fps", "stopped", "not_key"] }]);

/// Frames that were not decoded.
pub const DROPPED: Metric = Metric::loss(
    "msight_rtsp_dropped_total",
    Unit::Frames,
    "Frames received from the camera that cannot be decoded, by reason.",
)
.with_labels(&[Label {
    name: "reason",
    values: &["no_key_frame", "packet_loss", "decode_error", "decoder_slow"],
}]);

/// Access units that were published as they are.
pub const UNITS: Metric = Metric::count(
    "msight_rtsp_access_units_total",
    Unit::Messages,
    "Access units made into messages for --packet-topic, by kind of track.",
)
.with_labels(&[Label { name: "kind", values: &["video", "audio", "metadata"] }]);

/// Access units that were not published.
pub const UNITS_DROPPED: Metric = Metric::loss(
    "msight_rtsp_access_units_dropped_total",
    Unit::Messages,
    "Access units left out of --packet-topic, by reason.",
)
.with_labels(&[Label { name: "reason", values: &["no_key_frame", "packet_loss", "queue_full", "stopped"] }]);

pub(crate) const ALL: &[Metric] = &[
    RECEIVED,
    DECODED,
    FRAMES,
    LOST_PACKETS,
    REORDERED_PACKETS,
    DISCARDED_PACKETS,
    LEFT_OUT,
    DROPPED,
    UNITS,
    UNITS_DROPPED,
];
