//! Prometheus' text format, version 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use msight_contract::{Metric, MetricKind};

use super::family::{Family, Instrument, Labels};
use super::instrument::BOUNDS;

/// The type of the whole text.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

// Writing to a String cannot fail, so the results of `write!` are let go here and in `process`.

pub(super) fn family(out: &mut String, family: &Family) {
    let name = family.metric.name;
    head(out, &family.metric);
    for (labels, instrument) in &family.series {
        match instrument {
            Instrument::Counter(counter) => sample(out, name, labels, None, counter.get()),
            Instrument::Gauge(gauge) => sample(out, name, labels, None, gauge.get()),
            Instrument::Elapsed(elapsed) => {
                sample(out, name, labels, None, format_args!("{:.3}", elapsed.seconds()));
            }
            Instrument::Histogram(histogram) => {
                let bucket = format!("{name}_bucket");
                let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
                let mut count = 0;
                for (bound, observed) in bounds.zip(&histogram.0.counts) {
                    count += observed.load(Relaxed);
                    sample(out, &bucket, labels, Some(("le", &bound)), count);
                }
                // A double has 15 digits: microseconds of an uptime of 30 years.
                let sum = histogram.0.sum_micros.load(Relaxed) as f64 / 1e6;
                sample(out, &format!("{name}_sum"), labels, None, sum);
                sample(out, &format!("{name}_count"), labels, None, count);
            }
        }
    }
}

pub(super) fn head(out: &mut String, metric: &Metric) {
    let (name, help) = (metric.name, metric.help.replace('\\', "\\\\").replace('\n', "\\n"));
    let kind = match metric.kind {
        MetricKind::Count | MetricKind::Skip | MetricKind::Loss => "counter",
        MetricKind::Histogram => "histogram",
        MetricKind::Gauge | MetricKind::Other => "gauge",
    };
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(
    out: &mut String,
    name: &str,
    labels: &Labels,
    last: Option<(&str, &str)>,
    value: impl std::fmt::Display,
) {
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str())).chain(last);
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let _ = match labels.as_slice() {
        [] => writeln!(out, "{name} {value}"),
        labels => writeln!(out, "{name}{{{}}} {value}", labels.join(",")),
    };
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
pub(super) fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':');
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}
