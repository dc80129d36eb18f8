//! The example for Prometheus and Grafana asks for metrics that the nodes have, and its alerts react as they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use msight::BUILT_IN;
use msight_contract::MetricKind;
use msight_test_support::{can_run, is_installed};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../compose/monitoring"))
}

/// The names of our metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("msight_")).map(str::to_owned).collect()
}

#[test]
fn rules_and_dashboard_name_metrics_that_the_nodes_have() {
    let described: Vec<_> = BUILT_IN.iter().map(msight_node::Entry::describe).collect();
    let metrics: Vec<_> = described.iter().flat_map(|node| &node.metrics).collect();
    let is_known = |name: &str| {
        let is_series = |metric: &str, name: &str| {
            name == metric
                || name.strip_prefix(metric).is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest))
        };
        metrics.iter().any(|metric| is_series(&metric.name, name))
    };
    for file in ["alerts.yml", "dashboard.json"] {
        let text = fs::read_to_string(folder().join(file)).expect("the file can be read");
        let unknown: Vec<_> = names(&text).into_iter().filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which no node has");
    }
    let losses = metrics.iter().filter(|metric| metric.kind == MetricKind::Loss);
    let losses: BTreeSet<_> = losses.map(|metric| metric.name.to_string()).collect();
    for file in ["alerts.yml", "dashboard.json"] {
        let named = names(&fs::read_to_string(folder().join(file)).expect("the file can be read"));
        let missing: Vec<_> = losses.difference(&named).collect();
        assert!(missing.is_empty(), "{file} leaves out {missing:?}");
    }
}

#[test]
fn prometheus_accepts_the_rules_and_they_react_to_what_they_are_for() {
    if !can_run(is_installed("promtool", &["--version"]), "promtool (apt-get install prometheus)") {
        return;
    }
    for arguments in [["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]] {
        let output =
            Command::new("promtool").args(arguments).current_dir(folder()).output().expect("it runs");
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "promtool {arguments:?}: {text}");
    }
}
