//! The metrics of a node, and Prometheus' text of them.
//!
//! A node declares each metric as a constant, a [`Metric`], and lists them in
//! [`Node::METRICS`](crate::Node::METRICS). Names are `msight_<noun>_<unit>`, counters with `_total` behind. An
//! instrument is made once and kept: making it takes a lock, using it is one atomic operation. Making it again gives the
//! same one.

mod counters;
mod family;
mod instrument;
mod process;
mod registry;
mod text;

pub use msight_contract::{Label, Metric, MetricKind, Unit};

pub use self::counters::Counters;
pub use self::instrument::{Counter, Elapsed, Gauge, Histogram};
pub use self::process::Usage;
pub use self::registry::Metrics;
pub(crate) use self::text::CONTENT_TYPE;

#[cfg(test)]
mod tests;
