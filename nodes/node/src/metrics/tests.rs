use std::time::Duration;

use super::family::MAX_SERIES;
use super::*;

const REASON: &[Label] = &[Label { name: "reason", values: &[] }];
const FRAMES: Metric = Metric::count("msight_frames_total", Unit::Frames, "Frames \\ all\nof them.");
const DROPPED: Metric = Metric::loss("msight_dropped_total", Unit::Frames, "Dropped.").with_labels(REASON);
const QUEUE: Metric = Metric::gauge("msight_queue_bytes", Unit::Bytes, "Waiting.");
const UPLOAD: Metric = Metric::histogram("msight_upload_seconds", "Uploads.");

/// What a node counted, without the process's numbers.
fn rendered(metrics: &Metrics) -> String {
    let all = metrics.render();
    all[..all.find("# HELP process_").unwrap_or(all.len())].to_owned()
}

#[test]
fn text_is_prometheus() {
    let metrics = Metrics::default();
    metrics.counter(&FRAMES).inc_by(3);
    metrics.counter_with(&DROPPED, &["a \"b\"\n\\"]).inc();
    metrics.counter_with(&DROPPED, &["z"]);
    metrics.gauge(&QUEUE).set(-5);
    assert_eq!(
        rendered(&metrics),
        r#"# HELP msight_dropped_total Dropped.
# TYPE msight_dropped_total counter
msight_dropped_total{reason="a \"b\"\n\\"} 1
msight_dropped_total{reason="z"} 0
# HELP msight_frames_total Frames \\ all\nof them.
# TYPE msight_frames_total counter
msight_frames_total 3
# HELP msight_queue_bytes Waiting.
# TYPE msight_queue_bytes gauge
msight_queue_bytes -5
"#
    );
}

#[test]
fn losses_with_known_reasons_begin_at_zero() {
    const LOST: Metric = Metric::loss("msight_lost_total", Unit::Frames, "Lost.").with_labels(&[
        Label { name: "reason", values: &["late", "size"] },
        Label { name: "stage", values: &["in"] },
    ]);
    let metrics = Metrics::default();
    metrics.start_losses(&[LOST, DROPPED, FRAMES]);
    let text = rendered(&metrics);
    let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        series,
        [
            r#"msight_lost_total{reason="late",stage="in"} 0"#,
            r#"msight_lost_total{reason="size",stage="in"} 0"#
        ]
    );
}

#[test]
fn a_silence_grows_until_it_ends_and_the_own_label_takes_precedence() {
    const LAST: Metric = Metric::gauge("msight_last_age_seconds", Unit::Seconds, "Silence.")
        .with_labels(&[Label { name: "sensor", values: &[] }]);
    let metrics = Metrics::default().labelled("node", "n").labelled("sensor", "all");
    metrics.declare(&LAST);
    assert!(rendered(&metrics).ends_with("gauge\n"));
    let last = metrics.elapsed_with(&LAST, &["cam"]);
    while last.seconds() < 0.002 {
        std::hint::spin_loop();
    }
    last.restart();
    assert!(last.seconds() < 0.002);
    let text = rendered(&metrics);
    assert!(text.contains(r#"msight_last_age_seconds{node="n",sensor="cam"} 0.0"#), "{text}");
}

#[test]
fn made_again_is_the_same() {
    let metrics = Metrics::default();
    metrics.counter(&FRAMES).inc();
    let again = metrics.counter(&FRAMES);
    again.inc();
    again.raise_to(1);
    assert_eq!(again.get(), 2);
    again.raise_to(7);
    assert_eq!(metrics.counter(&FRAMES).get(), 7);
    let gauge = metrics.gauge(&QUEUE);
    gauge.add(2);
    gauge.add(-3);
    assert_eq!(metrics.gauge(&QUEUE).get(), -1);
}

#[test]
fn nodes_in_one_process_are_told_apart() {
    let metrics = Metrics::default();
    for node in ["a", "b"] {
        metrics.labelled("node", node).counter_with(&DROPPED, &["r"]).inc();
    }
    let text = rendered(&metrics);
    assert!(text.contains("msight_dropped_total{node=\"a\",reason=\"r\"} 1\n"), "{text}");
    assert!(text.contains("msight_dropped_total{node=\"b\",reason=\"r\"} 1\n"), "{text}");
}

#[test]
fn combinations_are_bounded() {
    let metrics = Metrics::default();
    for sensor in 0..10_000 {
        metrics.counter_with(&DROPPED, &[&sensor.to_string()]).inc();
    }
    let text = rendered(&metrics);
    assert_eq!(text.lines().filter(|line| line.starts_with("msight_dropped_total")).count(), MAX_SERIES + 1);
    assert!(text.contains("msight_dropped_total{reason=\"other\"} 9800\n"), "{text}");
    // Those that were there keep their own.
    metrics.counter_with(&DROPPED, &["7"]).inc();
    assert!(rendered(&metrics).contains("msight_dropped_total{reason=\"7\"} 2\n"));
}

#[test]
fn histogram_is_cumulative() {
    let metrics = Metrics::default();
    let histogram = metrics.histogram(&UPLOAD);
    for millis in [1, 2, 40, 90_000] {
        histogram.observe(Duration::from_millis(millis));
    }
    let text = rendered(&metrics);
    for line in [
        "msight_upload_seconds_bucket{le=\"0.001\"} 1",
        "msight_upload_seconds_bucket{le=\"0.0025\"} 2",
        "msight_upload_seconds_bucket{le=\"0.05\"} 3",
        "msight_upload_seconds_bucket{le=\"60\"} 3",
        "msight_upload_seconds_bucket{le=\"+Inf\"} 4",
        "msight_upload_seconds_sum 90.043",
        "msight_upload_seconds_count 4",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "declared twice")]
fn one_name_is_one_metric() {
    let metrics = Metrics::default();
    metrics.counter(&FRAMES);
    metrics.counter(&Metric { unit: Unit::Messages, ..FRAMES });
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "does not declare")]
fn a_closed_set_of_values_is_closed() {
    const CLOSED: Metric = Metric::loss("msight_lost_total", Unit::Frames, "Lost.")
        .with_labels(&[Label { name: "reason", values: &["late"] }]);
    let metrics = Metrics::default();
    metrics.counter_with(&CLOSED, &["late"]);
    metrics.counter_with(&CLOSED, &["early"]);
}

#[test]
fn what_is_declared_and_what_is_in_use_are_compared() {
    let metrics = Metrics::default();
    metrics.counter(&FRAMES);
    metrics.gauge(&QUEUE);
    assert_eq!(metrics.undeclared(&[FRAMES, UPLOAD]), ["msight_queue_bytes"]);
    assert_eq!(metrics.unused(&[FRAMES, UPLOAD]), ["msight_upload_seconds"]);
}

#[test]
fn a_log_line_has_the_counters_that_counted() {
    let metrics = Metrics::default();
    assert_eq!(metrics.totals(), "none");
    metrics.counter(&FRAMES).inc_by(100);
    metrics.counter_with(&DROPPED, &["late"]).inc();
    metrics.counter_with(&DROPPED, &["early"]);
    metrics.gauge(&QUEUE).set(3);
    assert_eq!(metrics.totals(), "dropped{late} 1, frames 100");
}

#[test]
fn the_process_is_there() {
    let text = Metrics::default().render();
    assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
}
