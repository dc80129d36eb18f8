use super::*;

/// What a node counted, without the process's numbers.
fn rendered(metrics: &Metrics) -> String {
    let all = metrics.render();
    all[..all.find("# HELP process_").unwrap_or(all.len())].to_owned()
}

#[test]
fn text_is_prometheus() {
    let metrics = Metrics::default();
    metrics.counter("msight_frames_total", "Frames \\ all\nof them.").inc_by(3);
    metrics.counter_with("msight_dropped_total", "Dropped.", &[("reason", "a \"b\"\n\\")]).inc();
    metrics.counter_with("msight_dropped_total", "Dropped.", &[("reason", "z")]);
    metrics.gauge("msight_queue_bytes", "Waiting.").set(-5);
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
fn made_again_is_the_same() {
    let metrics = Metrics::default();
    metrics.counter("msight_frames_total", "Frames.").inc();
    let again = metrics.counter("msight_frames_total", "Frames.");
    again.inc();
    again.raise_to(1);
    assert_eq!(again.get(), 2);
    again.raise_to(7);
    assert_eq!(metrics.counter("msight_frames_total", "Frames.").get(), 7);
    let gauge = metrics.gauge("msight_open", "Open.");
    gauge.add(2);
    gauge.add(-3);
    assert_eq!(metrics.gauge("msight_open", "Open.").get(), -1);
}

#[test]
fn nodes_in_one_process_are_told_apart() {
    let metrics = Metrics::default();
    for node in ["a", "b"] {
        metrics.labelled("node", node).counter_with("msight_x_total", "X.", &[("reason", "r")]).inc();
    }
    let text = rendered(&metrics);
    assert!(text.contains("msight_x_total{node=\"a\",reason=\"r\"} 1\n"), "{text}");
    assert!(text.contains("msight_x_total{node=\"b\",reason=\"r\"} 1\n"), "{text}");
}

#[test]
fn combinations_are_bounded() {
    let metrics = Metrics::default();
    for sensor in 0..10_000 {
        metrics.counter_with("msight_x_total", "X.", &[("sensor", &sensor.to_string())]).inc();
    }
    let text = rendered(&metrics);
    assert_eq!(text.lines().filter(|line| line.starts_with("msight_x_total")).count(), MAX_SERIES + 1);
    assert!(text.contains("msight_x_total{sensor=\"other\"} 9800\n"), "{text}");
    // Those that were there keep their own.
    metrics.counter_with("msight_x_total", "X.", &[("sensor", "7")]).inc();
    assert!(rendered(&metrics).contains("msight_x_total{sensor=\"7\"} 2\n"));
}

#[test]
fn histogram_is_cumulative() {
    let metrics = Metrics::default();
    let histogram = metrics.histogram("msight_upload_seconds", "Uploads.");
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
#[should_panic(expected = "two kinds")]
fn one_name_is_one_kind() {
    let metrics = Metrics::default();
    metrics.counter("msight_x_total", "X.");
    metrics.gauge("msight_x_total", "X.");
}

#[test]
fn the_process_is_there() {
    let text = Metrics::default().render();
    assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
}
