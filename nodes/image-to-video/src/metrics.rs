//! The metrics of the aggregator.

use msight_node::metrics::{Label, Metric, Unit};

/// Frames that came in.
pub const FRAMES: Metric = Metric::count("msight_aggregator_frames_total", Unit::Frames, "Frames received.");

/// Frames that nothing tells apart by camera.
pub const UNNAMED: Metric =
    Metric::count("msight_aggregator_unnamed_total", Unit::Frames, "Frames received without a sensor name.");

/// Frames that are in a segment.
pub const ENCODED: Metric = Metric::count("msight_aggregator_encoded_total", Unit::Frames, "Frames encoded.");

/// Frames that are in a segment as the camera encoded them.
pub const COPIED: Metric = Metric::count(
    "msight_aggregator_copied_total",
    Unit::Frames,
    "Frames copied as the camera encoded them, and not encoded.",
);

/// How long a frame took.
pub const ENCODE_SECONDS: Metric = Metric::histogram(
    "msight_aggregator_encode_seconds",
    "Time to decode, convert and encode one frame, in seconds.",
);

/// Frames that no segment shows.
pub const LEFT_OUT: Metric =
    Metric::skip("msight_aggregator_left_out_total", Unit::Frames, "Frames skipped on purpose, by reason.")
        .with_labels(&[Label {
            name: "reason",
            values: &["rate", "slow_clock", "late", "no_time", "no_key_frame"],
        }]);

/// Frames that were lost.
pub const DROPPED: Metric =
    Metric::loss("msight_aggregator_dropped_total", Unit::Frames, "Frames lost, by reason.").with_labels(&[
        Label {
            name: "reason",
            values: &[
                "too_slow",
                "sensors",
                "decode",
                "missing_unit",
                "size",
                "second_source",
                "encode",
                "copy",
                "stopped",
            ],
        },
    ]);

/// Frames that did not get a segment of their own.
pub const MERGED: Metric = Metric::count(
    "msight_aggregator_merged_total",
    Unit::Frames,
    "Frames kept in the open segment although they should have ended it, by reason: segments ended too often.",
)
.with_labels(&[Label { name: "reason", values: &["frame_size", "clock"] }]);

/// Segments that ended.
pub const SEGMENTS: Metric =
    Metric::count("msight_aggregator_segments_total", Unit::Segments, "Segments ended, by reason.")
        .with_labels(&[Label {
            name: "reason",
            values: &[
                "full",
                "bytes",
                "gap",
                "clock_step",
                "frame_size",
                "encoder",
                "stream",
                "idle",
                "stop",
            ],
        }]);

/// Segments that were copied.
pub const SEGMENTS_COPIED: Metric = Metric::count(
    "msight_aggregator_segments_copied_total",
    Unit::Segments,
    "Segments ended that hold what the camera encoded; all others are encoded.",
);

/// Segments that were not published.
pub const SEGMENTS_LOST: Metric = Metric::loss(
    "msight_aggregator_segments_lost_total",
    Unit::Segments,
    "Segments ended but not published, by reason.",
)
.with_labels(&[Label { name: "reason", values: &["mux", "publish", "stopped"] }]);

pub(crate) const ALL: &[Metric] = &[
    FRAMES,
    UNNAMED,
    ENCODED,
    COPIED,
    ENCODE_SECONDS,
    LEFT_OUT,
    DROPPED,
    MERGED,
    SEGMENTS,
    SEGMENTS_COPIED,
    SEGMENTS_LOST,
];
