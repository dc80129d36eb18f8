//! The metrics of the S3 pusher.

use crate::failure::Hold;
use msight_node::metrics::{Label, Metric, Unit};

/// Segments that came in.
pub const RECEIVED: Metric =
    Metric::count("msight_segments_received_total", Unit::Segments, "Segments received");

/// Segments that are in the bucket.
pub const UPLOADED: Metric = Metric::count(
    "msight_segments_uploaded_total",
    Unit::Segments,
    "Segments uploaded together with their sidecar",
);

/// Their size.
pub const UPLOADED_BYTES: Metric =
    Metric::count("msight_uploaded_bytes_total", Unit::Bytes, "Bytes of the videos uploaded");

/// How long a segment took.
pub const UPLOAD_SECONDS: Metric = Metric::histogram(
    "msight_upload_seconds",
    "Time from a segment's first upload attempt to its stored sidecar, in seconds",
);

/// How long no segment of a sensor has reached the bucket.
pub const UPLOADED_LAST: Metric = Metric::gauge(
    "msight_last_uploaded_age_seconds",
    Unit::Seconds,
    "Time since a segment of the sensor was last uploaded, or since its first one came, in seconds",
)
.with_labels(&[Label { name: "sensor", values: &[] }]);

/// Segments that are not in the bucket yet.
pub const PENDING: Metric =
    Metric::gauge("msight_segments_pending", Unit::Segments, "Segments waiting for upload or being uploaded");

/// Their size.
pub const PENDING_BYTES: Metric = Metric::gauge(
    "msight_pending_bytes",
    Unit::Bytes,
    "Bytes of the videos waiting for upload or being uploaded",
);

/// How long the oldest of them waits.
pub const PENDING_OLDEST: Metric = Metric::gauge(
    "msight_pending_oldest_seconds",
    Unit::Seconds,
    "Age of the oldest segment that is not in the bucket yet, in seconds",
);

/// Why uploads wait for a person: [`Hold::ALL`], and behind them why others are retried.
const REASONS: [&str; 18] = [
    "credentials",
    "denied",
    "no_bucket",
    "region",
    "encryption",
    "full",
    "too_large",
    "options",
    "unclear",
    "transient",
    "timeout",
    "permanent",
    "damaged",
    "exists",
    "unconditional",
    "no_such_upload",
    "file",
    "unreadable",
];

/// Attempts that failed.
pub const RETRIES: Metric = Metric::count(
    "msight_upload_retries_total",
    Unit::Events,
    "Upload attempts that failed and are retried, by reason",
)
.with_labels(&[Label { name: "reason", values: &REASONS }]);

/// Segments that are lost, or left in the spool folder.
pub const FAILED: Metric = Metric::loss(
    "msight_segments_failed_total",
    Unit::Segments,
    "Segments lost, or left in the spool folder until the next start, by reason",
)
.with_labels(&[Label { name: "reason", values: &["unusable", "stopped", "refused", "vanished"] }]);

/// Why uploads wait for a person.
pub const HELD: Metric = Metric::gauge(
    "msight_uploads_held",
    Unit::Switch,
    "1 while uploads wait until an operator fixes the cause, by reason",
)
.with_labels(&[Label { name: "reason", values: REASONS.split_at(Hold::ALL.len()).0 }]);

pub(crate) const ALL: &[Metric] = &[
    RECEIVED,
    UPLOADED,
    UPLOADED_BYTES,
    UPLOAD_SECONDS,
    UPLOADED_LAST,
    PENDING,
    PENDING_BYTES,
    PENDING_OLDEST,
    RETRIES,
    FAILED,
    HELD,
];
