//! The metrics of nodes. Each metric is declared once, as a constant, with its kind, unit and labels.

use serde::{Deserialize, Serialize};

/// A metric that a node declares.
///
/// ```
/// use msight_contract::{Label, Metric, Unit};
///
/// const FRAMES: Metric = Metric::count("msight_rtsp_frames_total", Unit::Frames, "Frames published");
/// const DROPPED: Metric = Metric::loss("msight_rtsp_dropped_total", Unit::Frames, "Frames lost before the decoder")
///     .with_labels(&[Label { name: "reason", values: &["packet_loss", "decode_error"] }]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `msight_<noun>_<unit>`; counters end in `_total`, histograms in `_seconds`.
    pub name: &'static str,
    /// The meaning of its number.
    pub kind: MetricKind,
    /// The unit of its number.
    pub unit: Unit,
    /// One line that states what is counted or measured.
    pub help: &'static str,
    /// The labels that distinguish its series.
    pub labels: &'static [Label],
}

/// A label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name, mostly `reason`.
    pub name: &'static str,
    /// The values it can have; an empty list stands for any.
    pub values: &'static [&'static str],
}

/// The kind of a metric: the meaning of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// A counter of things that went as they should.
    Count,
    /// A counter of things that were skipped on purpose, as a flag or a rate asks for.
    Skip,
    /// A counter of things that were lost.
    Loss,
    /// A number that goes up and down.
    Gauge,
    /// Durations, counted in buckets.
    Histogram,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A message of a topic.
    Messages,
    /// A picture, or a coded frame.
    Frames,
    /// A video segment.
    Segments,
    /// A packet of the network.
    Packets,
    /// A byte.
    Bytes,
    /// A second.
    Seconds,
    /// A connection to a server.
    Connections,
    /// An open file.
    Files,
    /// One occurrence of an event, such as a retry.
    Events,
    /// 1 for on, 0 for off.
    Switch,
    /// A unit that this version does not know.
    #[serde(other)]
    Other,
}

impl Metric {
    /// A counter of things that went as they should.
    pub const fn count(name: &'static str, unit: Unit, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Count, unit, help, labels: &[] }
    }

    /// A counter of things that were skipped on purpose.
    pub const fn skip(name: &'static str, unit: Unit, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Skip, unit, help, labels: &[] }
    }

    /// A counter of things that were lost. `msight up` and the bench report it as a loss.
    pub const fn loss(name: &'static str, unit: Unit, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Loss, unit, help, labels: &[] }
    }

    /// A number that goes up and down.
    pub const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, unit, help, labels: &[] }
    }

    /// Durations in seconds, counted in buckets.
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Histogram, unit: Unit::Seconds, help, labels: &[] }
    }

    /// The same metric, with one series for each combination of label values.
    #[must_use]
    pub const fn with_labels(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }
}

impl MetricKind {
    /// Whether the metric is a counter for Prometheus: it only grows.
    pub fn is_counter(self) -> bool {
        matches!(self, Self::Count | Self::Skip | Self::Loss)
    }
}

impl Unit {
    /// Whether users want one of these to arrive: messages, frames and segments. Packets can be lost without loss of
    /// data, and a connection can be made again.
    pub fn is_data(self) -> bool {
        matches!(self, Self::Messages | Self::Frames | Self::Segments)
    }
}

/// A metric as a program describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricDescription {
    /// Its name, as Prometheus has it.
    pub name: String,
    /// The meaning of its number.
    pub kind: MetricKind,
    /// The unit of its number.
    pub unit: Unit,
    /// What is counted or measured.
    #[serde(default)]
    pub help: String,
    /// The labels that distinguish its series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelDescription>,
}

/// A label as a program describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelDescription {
    /// Its name.
    pub name: String,
    /// The values it can have; an empty list stands for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl From<&Metric> for MetricDescription {
    fn from(metric: &Metric) -> Self {
        let label = |label: &Label| LabelDescription {
            name: label.name.to_owned(),
            values: label.values.iter().map(|&value| value.to_owned()).collect(),
        };
        Self {
            name: metric.name.to_owned(),
            kind: metric.kind,
            unit: metric.unit,
            help: metric.help.to_owned(),
            labels: metric.labels.iter().map(label).collect(),
        }
    }
}
