//! What a report has: each mistake once, no secret, and what the flags name.

use super::*;

#[test]
fn all_problems_are_reported_at_once() {
    let graph = GRAPH.replace("--fps", "--pfs").replace("videos", "v").replace("unless-stopped", "sometimes");
    let output = msight(&graph, &["check"]);
    let said = said(&output);
    for part in ["--pfs", "3 to 63", "`sometimes`"] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    assert!(String::from_utf8_lossy(&output.stdout).contains("3 errors"), "{said}");
}

#[test]
fn one_mistake_is_reported_once() {
    reported_once(&GRAPH.replacen("  pusher:\n", VIEWER, 1), "msight_core.data.image.ImageData");
    for (from, to) in [
        ("\"10\"", "\"${NO_SUCH:?}\""),
        ("MSIGHT_EDGE_DEVICE_NAME: box", "MSIGHT_EDGE_DEVICE_NAME: \"${NO_SUCH:?}\""),
        ("[\"msight_launch_rtsp\"]", "[\"${NO_SUCH:?}\"]"),
        ("redis:7", "\"${NO_SUCH:?}\"\n    deploy: { replicas: \"1\" }\n    command: redis-server"),
    ] {
        assert!(GRAPH.contains(from), "{from}");
        reported_once(&GRAPH.replacen(from, to, 1), "variable `NO_SUCH`");
    }
    reported_once(
        &GRAPH.replace("image: redis:7", "image: redis\n    deploy: { replicas: \"${NO_SUCH:?}\" }"),
        "variable `NO_SUCH`",
    );
    reported_once(&GRAPH.replacen("[\"msight_launch_rtsp\"]", "*nope", 1), "`&nope`");
    reported_once(&GRAPH.replace("image: redis:7", "image: redis\n    <<: *nope"), "`&nope`");
    reported_once(&GRAPH.replacen("{ MSIGHT_EDGE_DEVICE_NAME: box }", "*nope", 1), "`&nope`");
    let file = "    entrypoint: [\"msight_launch_rtsp\"]\n";
    let graph = GRAPH.replacen("{ MSIGHT_EDGE_DEVICE_NAME: box }", "{ OTHER: box }", 1);
    let graph = graph.replace("  aggregator:\n", "  x-aggregator:\n").replace("  pusher:\n", "  x-pusher:\n");
    reported_once(&graph.replacen(file, &format!("{file}    env_file: no-such.env\n"), 1), "no-such.env");
    let second = "  second:\n    <<: *node\n    entrypoint: [msight_launch_rtsp]\n    command: -n second -pt frames -sn x -u rtsp://h/\n  pusher:\n";
    let graph =
        GRAPH.replacen("  pusher:\n", second, 1).replacen("\"-st\", \"segments\"", "\"-st\", \"frames\"", 1);
    reported_once(&graph, "`camera` and `second`");
}

#[test]
fn a_mistake_hides_no_other_mistake() {
    let graph = GRAPH.replace("--fps", "--pfs").replacen("\"-st\", \"segments\"", "\"-st\", \"segmets\"", 1);
    let output = msight(&graph, &["check"]);
    let said = said(&output);
    for part in ["--pfs", "topic \"segmets\"", "did you mean \"segments\"?"] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    assert!(text(&output.stdout).starts_with("3 nodes, 1 server: 2 errors"), "{}", text(&output.stdout));
    // What a mistyped flag names is no second mistake.
    reported_once(
        &GRAPH.replacen("\"-pt\", \"frames\"", "\"--publish-topc\", \"frames\"", 1),
        "--publish-topc",
    );
    let output = msight(&GRAPH.replace("\"msight_launch_rtsp\"", "\"msight_launch_rtps\""), &["check"]);
    assert!(text(&output.stdout).starts_with("3 nodes, 1 server: 1 error,"), "{}", text(&output.stdout));
}

#[test]
fn a_mistyped_anchor_is_one_mistake() {
    reported_once(&GRAPH.replace("&node", "&nod"), "did you mean `*nod`?");
}

#[test]
fn secrets_are_never_shown() {
    const SECRET: &str = "h7nter2";
    let url = "rtsp://camera.example/live";
    for (from, to) in [
        (url, "rtsp://me:a/h7nter2@camera/live"),
        (url, "rtsp://me:a' h7nter2@camera/live"),
        (url, "rtsp://me:12/h7nter2@camera/live"),
        (url, "rtsp://me:a$h7nter2@camera/live"),
        ("\"-sn\", \"gate\"", "\"-sn\", \"gate\", \"--password\", \"h7nter2\""),
        ("\"-sn\", \"gate\"", "\"-sn\", \"gate\", \"--password=h7nter2\", \"--bad\""),
        ("MSIGHT_EDGE_DEVICE_NAME: box", "MSIGHT_EDGE_DEVICE_NAME: box, P: h7nter2, P: h7nter2"),
        ("MSIGHT_EDGE_DEVICE_NAME: box", "MSIGHT_EDGE_DEVICE_NAME: box, P: *h7nter2"),
        ("MSIGHT_EDGE_DEVICE_NAME: box", "MSIGHT_EDGE_DEVICE_NAME: box, P: !h7nter2"),
        ("MSIGHT_EDGE_DEVICE_NAME: box", "MSIGHT_EDGE_DEVICE_NAME: box, P: [h7nter2]"),
    ] {
        assert!(GRAPH.contains(from), "{from}");
        let output = msight(&GRAPH.replacen(from, to, 1), &["check"]);
        let said = said(&output) + &text(&output.stdout);
        assert!(!said.contains(SECRET), "{to}: {said}");
    }
}

#[test]
fn a_file_without_an_end_is_refused() {
    let graph = GRAPH.replacen("network_mode: host", "network_mode: host\n  env_file: /proc/kmsg", 1);
    let output = msight(&graph, &["check"]);
    assert!(said(&output).contains("/proc/kmsg"), "{}", said(&output));
}

#[test]
fn topics_and_profiles_that_nothing_has() {
    let said = said(&msight(GRAPH, &["check", "--external", "framess", "--profile", "nope"]));
    for part in ["topic \"framess\"", "did you mean \"frames\"?", "profile `nope`"] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    assert_eq!(msight(GRAPH, &["check", "--external", ""]).status.code(), Some(1));
}

#[test]
fn topics_outside_the_graph_stand_in_the_file() {
    let graph = GRAPH.replacen("\"-st\", \"frames\"", "\"-st\", \"elsewhere\"", 1)
        + "x-msight: { external: [elsewhere, frames] }\n";
    let output = msight(&graph, &["check"]);
    assert!(output.status.success(), "{}", said(&output));
    let drawn = text(&msight(&graph, &["graph"]).stdout);
    assert!(drawn.contains("outside") && !drawn.contains("no reader"), "{drawn}");
}

#[test]
fn help_of_help() {
    let output = msight(GRAPH, &["help", "--help"]);
    assert!(output.status.success() && text(&output.stdout).contains("check"), "{}", said(&output));
}

#[test]
fn topics_outside_the_graph_can_be_declared() {
    let graph = GRAPH.replacen("\"-st\", \"frames\"", "\"-st\", \"elsewhere\"", 1);
    assert_eq!(msight(&graph, &["check"]).status.code(), Some(1));
    let output = msight(&graph, &["check", "--external", "elsewhere"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_graph_comes_by_standard_input_too() {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut process = Command::new(MSIGHT)
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    process.stdin.take().expect("a pipe").write_all(GRAPH.as_bytes()).expect("it reads");
    assert!(process.wait().expect("its status").success());
}
