//! The metrics of the recorder.

use msight_node::metrics::{Label, Metric, Unit};

/// Units that came in.
pub const UNITS: Metric =
    Metric::count("msight_recorder_units_total", Unit::Frames, "Access units received.");

/// Units that nothing tells apart by camera.
pub const UNNAMED: Metric = Metric::count(
    "msight_recorder_unnamed_total",
    Unit::Frames,
    "Access units received without a sensor name.",
);

/// Units that are in a segment.
pub const RECORDED: Metric =
    Metric::count("msight_recorder_recorded_total", Unit::Frames, "Access units written into segments.");

/// Units that no segment is meant to have.
pub const LEFT_OUT: Metric = Metric::skip(
    "msight_recorder_left_out_total",
    Unit::Frames,
    "Access units skipped on purpose, by reason.",
)
.with_labels(&[Label {
    name: "reason",
    values: &[
        "metadata",
        "further_video",
        "audio",
        "codec",
        "before_key",
        "repeated",
        "late_track",
        "no_event",
        "converted",
    ],
}]);

/// Units that were lost.
pub const DROPPED: Metric =
    Metric::loss("msight_recorder_dropped_total", Unit::Frames, "Access units lost, by reason.").with_labels(
        &[Label {
            name: "reason",
            values: &[
                "too_slow",
                "sensors",
                "stopped",
                "after_loss",
                "after_restart",
                "after_idle",
                "second_source",
                "malformed",
                "too_long",
                "disk",
                "mux",
            ],
        }],
    );

/// Fragments written.
pub const FRAGMENTS: Metric =
    Metric::count("msight_recorder_fragments_total", Unit::Events, "Fragments of segments written.");

/// Bytes written.
pub const BYTES: Metric =
    Metric::count("msight_recorder_bytes_total", Unit::Bytes, "Bytes written into segments.");

/// How long a fragment took.
pub const WRITE_SECONDS: Metric = Metric::histogram(
    "msight_recorder_write_seconds",
    "Time to write one fragment and bring it to the disk, in seconds.",
);

/// Segments that are being written.
pub const OPEN_SEGMENTS: Metric =
    Metric::gauge("msight_recorder_open_segments", Unit::Segments, "Segments that are being written.");

/// Segments that ended.
pub const SEGMENTS: Metric =
    Metric::count("msight_recorder_segments_total", Unit::Segments, "Segments ended, by reason.")
        .with_labels(&[Label {
            name: "reason",
            values: &[
                "duration",
                "bytes",
                "limit",
                "parameter_sets",
                "tracks",
                "gap",
                "clock_step",
                "session",
                "event",
                "disk",
                "idle",
                "stop",
                "recovered",
            ],
        }]);

/// Segments that were not published.
pub const SEGMENTS_LOST: Metric = Metric::loss(
    "msight_recorder_segments_lost_total",
    Unit::Segments,
    "Segments ended but not published, by reason.",
)
.with_labels(&[Label {
    name: "reason",
    values: &["index", "publish", "too_large", "stopped", "unrecoverable", "empty"],
}]);

/// Segments that stay in the folder.
pub const POSTPONED: Metric = Metric::count(
    "msight_recorder_postponed_total",
    Unit::Segments,
    "Segments that could not be finished on the disk and stay in the spool folder, to be recovered later.",
);

pub(crate) const ALL: &[Metric] = &[
    UNITS,
    UNNAMED,
    RECORDED,
    LEFT_OUT,
    DROPPED,
    FRAGMENTS,
    BYTES,
    WRITE_SECONDS,
    OPEN_SEGMENTS,
    SEGMENTS,
    SEGMENTS_LOST,
    POSTPONED,
];
