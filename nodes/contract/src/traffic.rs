//! The metrics that the kit keeps for every node: messages in and out, and the process.

use crate::metric::{Label, Metric, Unit};
use crate::port::Kind;

/// Messages that the node has read.
pub const RECEIVED: Metric =
    Metric::count("msight_received_total", Unit::Messages, "Messages taken from the queue.");

/// Size of the messages that the node has read.
pub const RECEIVED_BYTES: Metric =
    Metric::count("msight_received_bytes_total", Unit::Bytes, "Bytes of the messages taken from the queue.");

/// Age of the messages that the node has read.
pub const RECEIVED_AGE: Metric = Metric::histogram(
    "msight_received_age_seconds",
    "Time from capture to receipt, by this device's clock, in seconds.",
);

/// The label of a sensor, by its name in the messages.
const SENSOR: &[Label] = &[Label { name: "sensor", values: &[] }];

/// Time since the last message of a sensor was received.
pub const RECEIVED_LAST: Metric = Metric::gauge(
    "msight_last_received_age_seconds",
    Unit::Seconds,
    "Time since the last message of the sensor was received, in seconds.",
)
.with_labels(SENSOR);

/// Time since the last message of a sensor was published.
pub const PUBLISHED_LAST: Metric = Metric::gauge(
    "msight_last_published_age_seconds",
    Unit::Seconds,
    "Time since the node last published a message of the sensor, in seconds.",
)
.with_labels(SENSOR);

/// Messages that `--gap` skips.
pub const GAP_LEFT_OUT: Metric =
    Metric::skip("msight_gap_left_out_total", Unit::Messages, "Messages skipped by --gap.");

/// Messages still in the queue when the node stopped.
pub const ABANDONED: Metric = Metric::loss(
    "msight_abandoned_total",
    Unit::Messages,
    "Messages still in the queue when the node stopped.",
);

/// Messages that the end of the node left unfinished.
pub const UNFINISHED: Metric = Metric::loss(
    "msight_unfinished_total",
    Unit::Messages,
    "Messages that the node held and had not finished when it stopped.",
);

/// Messages whose processing failed.
pub const FAILED: Metric =
    Metric::loss("msight_failed_total", Unit::Messages, "Messages whose processing ended in an error.");

/// Messages that cannot be decoded as the input's type.
pub const BAD_MESSAGES: Metric = Metric::loss(
    "msight_bad_messages_total",
    Unit::Messages,
    "Messages skipped because they cannot be decoded, by reason.",
)
.with_labels(&[Label { name: "reason", values: &["malformed", "other type", "too large"] }]);

/// Messages that the subscription has delivered.
pub const QUEUE_ARRIVED: Metric =
    Metric::count("msight_queue_arrived_total", Unit::Messages, "Messages that reached the node's queue.");

/// Messages that did not fit into the queue.
pub const QUEUE_DROPPED: Metric = Metric::loss(
    "msight_queue_dropped_total",
    Unit::Messages,
    "Messages dropped because the queue was full.",
);

/// Messages in the queue now.
pub const QUEUE_MESSAGES: Metric =
    Metric::gauge("msight_queue_messages", Unit::Messages, "Messages waiting in the node's queue.");

/// Size of the messages in the queue now.
pub const QUEUE_BYTES: Metric =
    Metric::gauge("msight_queue_bytes", Unit::Bytes, "Bytes of the messages waiting in the node's queue.");

/// Subscriptions that ended.
pub const BUS_DISCONNECTS: Metric =
    Metric::loss("msight_bus_disconnects_total", Unit::Connections, "Times the bus closed the subscription.");

/// Messages that the bus has accepted.
pub const PUBLISHED: Metric =
    Metric::count("msight_published_total", Unit::Messages, "Messages published to the bus.");

/// Size of the messages that the bus has accepted.
pub const PUBLISHED_BYTES: Metric =
    Metric::count("msight_published_bytes_total", Unit::Bytes, "Bytes of the messages published to the bus.");

/// Messages that were published without a subscriber.
pub const PUBLISHED_UNHEARD: Metric = Metric::count(
    "msight_published_unheard_total",
    Unit::Messages,
    "Messages published while the topic had no subscriber.",
);

/// Why a message did not reach the bus.
const OUTBOX_REASONS: &[Label] = &[Label {
    name: "reason",
    values: &["queue full", "too large", "refused by the bus", "stopped", "no subscriber"],
}];

/// Messages that did not reach the bus.
pub const PUBLISH_DROPPED: Metric = Metric::loss(
    "msight_publish_dropped_total",
    Unit::Messages,
    "Messages lost on their way to a subscriber, by reason; without a subscriber, only recordings are lost.",
)
.with_labels(OUTBOX_REASONS);

/// Announcements that reached no subscriber. No data is lost with them.
pub const ANNOUNCEMENTS_DROPPED: Metric = Metric::count(
    "msight_announcements_dropped_total",
    Unit::Messages,
    "Messages that announce segments in a folder and reached no subscriber, by reason; the segments stay in their folder.",
)
.with_labels(OUTBOX_REASONS);

/// Messages of an exposed topic that the bus has accepted.
pub const EXPOSED: Metric = Metric::count(
    "msight_exposed_total",
    Unit::Messages,
    "Messages of an exposed topic published to the bus.",
);

/// Size of the messages of an exposed topic that the bus has accepted.
pub const EXPOSED_BYTES: Metric = Metric::count(
    "msight_exposed_bytes_total",
    Unit::Bytes,
    "Bytes of the messages of an exposed topic published to the bus.",
);

/// Messages of an exposed topic that were published without a subscriber.
pub const EXPOSED_UNHEARD: Metric = Metric::count(
    "msight_exposed_unheard_total",
    Unit::Messages,
    "Messages of an exposed topic published while the bus had no subscriber for it.",
);

/// Messages of an exposed topic that did not reach the bus.
pub const EXPOSE_DROPPED: Metric = Metric::loss(
    "msight_expose_dropped_total",
    Unit::Messages,
    "Messages of an exposed topic dropped before they reached the bus, by reason.",
)
.with_labels(OUTBOX_REASONS);

/// Times that a source was reopened.
pub const SOURCE_REOPENED: Metric = Metric::count(
    "msight_source_reopened_total",
    Unit::Events,
    "Times the source was reopened after an error.",
);

/// CPU time of the process.
pub const CPU: Metric =
    Metric::count("process_cpu_seconds_total", Unit::Seconds, "CPU time used, in seconds.");

/// Memory of the process.
pub const MEMORY: Metric =
    Metric::gauge("process_resident_memory_bytes", Unit::Bytes, "Resident memory, in bytes.");

/// Peak memory of the process.
pub const MEMORY_PEAK: Metric = Metric::gauge(
    "process_resident_memory_peak_bytes",
    Unit::Bytes,
    "Peak resident memory since the start, in bytes.",
);

/// When the process started.
pub const START_TIME: Metric = Metric::gauge(
    "process_start_time_seconds",
    Unit::Seconds,
    "Start time of the process, in seconds since 1970.",
);

/// Open file descriptors.
pub const OPEN_FILES: Metric =
    Metric::gauge("process_open_fds", Unit::Files, "Open file descriptors: files and connections.");

/// Log lines left out while standard error accepted none.
pub const LOG_LINES_LEFT_OUT: Metric = Metric::count(
    "msight_log_lines_left_out_total",
    Unit::Events,
    "Log lines left out because standard error took none.",
);

const INPUT: &[Metric] = &[
    RECEIVED,
    RECEIVED_BYTES,
    RECEIVED_AGE,
    RECEIVED_LAST,
    GAP_LEFT_OUT,
    ABANDONED,
    UNFINISHED,
    FAILED,
    BAD_MESSAGES,
    QUEUE_ARRIVED,
    QUEUE_DROPPED,
    QUEUE_MESSAGES,
    QUEUE_BYTES,
    BUS_DISCONNECTS,
];

const OUTPUT: &[Metric] = &[
    PUBLISHED,
    PUBLISHED_BYTES,
    PUBLISHED_UNHEARD,
    PUBLISHED_LAST,
    PUBLISH_DROPPED,
    ANNOUNCEMENTS_DROPPED,
    EXPOSED,
    EXPOSED_BYTES,
    EXPOSED_UNHEARD,
    EXPOSE_DROPPED,
];

const SOURCE: &[Metric] = &[SOURCE_REOPENED];

const PROCESS: &[Metric] = &[CPU, MEMORY, MEMORY_PEAK, START_TIME, OPEN_FILES, LOG_LINES_LEFT_OUT];

/// The metrics of every node of this kind.
pub fn of(kind: Kind) -> impl Iterator<Item = &'static Metric> {
    let (input, output, source) = match kind {
        Kind::Source => (&[][..], OUTPUT, SOURCE),
        Kind::Processor => (INPUT, OUTPUT, &[][..]),
        Kind::Sink => (INPUT, &[][..], &[][..]),
    };
    input.iter().chain(output).chain(source).chain(PROCESS)
}
