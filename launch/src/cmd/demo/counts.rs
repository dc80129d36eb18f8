//! What the demo's nodes count, for its progress.

use msight_node::metrics::{Counter, Metrics};

use super::{AGGREGATOR, PUSHER, SOURCE};

/// What the nodes have done so far.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// Frames that the source has published.
    pub(super) published: Counter,
    /// Frames that the aggregator has taken.
    pub(super) taken: Counter,
    /// Segments that the aggregator has published.
    pub(super) segments: Counter,
    /// Segments that are in the bucket.
    pub(super) uploaded: Counter,
    /// Their bytes.
    pub(super) bytes: Counter,
}

impl Counts {
    /// Of the nodes that count here.
    pub(super) fn of(metrics: &Metrics) -> Self {
        let [source, aggregator, pusher] =
            [SOURCE, AGGREGATOR, PUSHER].map(|name| metrics.labelled("node", name));
        Self {
            published: source.counter("msight_published_total", "Messages that the bus has taken."),
            taken: aggregator.counter("msight_received_total", "Messages taken from the queue."),
            segments: aggregator.counter("msight_published_total", "Messages that the bus has taken."),
            uploaded: pusher.counter("msight_segments_uploaded_total", "Segments stored with their sidecar"),
            bytes: pusher.counter("msight_uploaded_bytes_total", "Bytes of the videos stored"),
        }
    }
}
