//! `msight check` and `msight graph` as users run them: wrong files, and the findings for each.

use std::path::Path;
use std::process::{Command, Output};

const MSIGHT: &str = env!("CARGO_BIN_EXE_msight");

/// The tutorial's graph. Each test breaks it in its own way.
const GRAPH: &str = r#"
x-node: &node
  image: msight
  restart: unless-stopped
  network_mode: host
  environment: { MSIGHT_EDGE_DEVICE_NAME: box }
services:
  redis:
    image: redis:7
  camera:
    <<: *node
    entrypoint: ["msight_launch_rtsp"]
    command: ["-n", "camera", "-pt", "frames", "-sn", "gate", "-u", "rtsp://camera.example/live"]
  aggregator:
    <<: *node
    entrypoint: ["msight_launch_image_to_video_aggregator"]
    command: ["-n", "aggregator", "-st", "frames", "-pt", "segments", "--fps", "10", "--buffer-size", "100", "--overlap-size", "0"]
  pusher:
    <<: *node
    entrypoint: ["msight_launch_aws_video_pusher"]
    command: ["-n", "pusher", "-st", "segments", "--bucket-name", "videos"]
"#;

/// Runs `msight` in a folder with this graph.
fn msight(graph: &str, args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("compose.yaml"), graph).expect("a file");
    run(folder.path(), args)
}

fn run(folder: &Path, args: &[&str]) -> Output {
    // Without a PATH the result does not depend on the programs of this machine.
    Command::new(MSIGHT).args(args).current_dir(folder).env("PATH", "").output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn said(output: &Output) -> String {
    text(&output.stderr)
}

/// Checks the graph with `from` replaced: there is an error at the line that contains `at`, with these key words.
#[track_caller]
fn broken(from: &str, to: &str, at: &str, expected: &[&str]) {
    assert!(GRAPH.contains(from), "{from}");
    let graph = GRAPH.replacen(from, to, 1);
    let output = msight(&graph, &["check"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = graph.lines().position(|line| line.contains(at)).expect("the line") + 1;
    assert!(said.contains(&format!("compose.yaml:{line}:")), "not at line {line}:\n{said}");
    for part in expected.iter().chain(&["error: "]) {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
}

#[test]
fn a_valid_graph_passes() {
    let output = msight(GRAPH, &["check"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3 nodes, 1 server: 0 errors, 0 warnings\n");
    assert_eq!(said(&output), "");
}

#[test]
fn a_program_that_is_not_there() {
    broken(
        "msight_launch_rtsp\"",
        "msight_launch_rtps\"",
        "launch_rtps",
        &["msight_launch_rtps", "did you mean msight_launch_rtsp?"],
    );
}

#[test]
fn a_flag_that_is_not_there() {
    broken("--buffer-size", "--bufer-size", "--bufer-size", &["--bufer-size", "did you mean --buffer-size?"]);
}

#[test]
fn a_value_that_cannot_be() {
    broken("rtsp://camera.example/live", "http://camera.example/live", "http://camera", &["rtsp://"]);
}

#[test]
fn a_topic_without_publisher() {
    broken(
        "\"-st\", \"frames\"",
        "\"-st\", \"frame\"",
        "\"frame\"",
        &["topic \"frame\"", "did you mean \"frames\"?"],
    );
}

#[test]
fn types_that_do_not_fit() {
    broken(
        "\"-st\", \"segments\"",
        "\"-st\", \"frames\"",
        "\"-n\", \"pusher\"",
        &["msight_core.data.video.VideoData", "`camera`", "msight_core.data.image.ImageData"],
    );
}

#[test]
fn two_nodes_of_one_name() {
    broken("\"-n\", \"pusher\"", "\"-n\", \"camera\"", "videos", &["\"camera\"", "service `camera`"]);
}

#[test]
fn instances_of_one_name() {
    broken(
        "  pusher:\n",
        "  pusher:\n    deploy: { replicas: 2 }\n",
        "\"-n\", \"pusher\"",
        &["2 instances", "\"pusher\""],
    );
}

#[test]
fn a_variable_that_every_node_needs() {
    broken(
        "environment: { MSIGHT_EDGE_DEVICE_NAME: box }",
        "environment: { OTHER: box }",
        "  camera:",
        &["`camera`", "`pusher`", "MSIGHT_EDGE_DEVICE_NAME", "env_file"],
    );
}

#[test]
fn two_sources_of_one_sensor() {
    let second = r#"  second:
    <<: *node
    entrypoint: ["msight_launch_rtsp"]
    command: ["-n", "second", "-pt", "frames", "-sn", "gate", "-u", "rtsp://second.example/live"]
  aggregator:
"#;
    broken("  aggregator:\n", second, "rtsp://second", &["`camera`", "sensor \"gate\"", "topic \"frames\""]);
}

#[test]
fn a_cycle() {
    let back = r#"  back:
    <<: *node
    entrypoint: ["msight_launch_image_to_video_aggregator"]
    command: ["-n", "back", "-st", "segments", "-pt", "frames", "--fps", "10", "--buffer-size", "1", "--overlap-size", "0"]
  pusher:
"#;
    broken("  pusher:\n", back, "\"-n\", \"aggregator\"", &["aggregator → back → aggregator"]);
}

#[test]
fn two_that_store_the_same_under_the_same_keys() {
    let second = r#"  again:
    <<: *node
    entrypoint: ["msight_launch_aws_video_pusher"]
    command: ["-n", "again", "-st", "segments", "--bucket-name", "videos"]
  pusher:
"#;
    broken("  pusher:\n", second, "  pusher:", &["`again`", "same key"]);
}

/// A node of Python's that reads the segments as pictures, and the key of the node behind it.
const VIEWER: &str = r#"  viewer:
    <<: *node
    entrypoint: ["msight_launch_image_viewer"]
    command: ["-n", "viewer", "-st", "segments"]
  pusher:
"#;

#[test]
fn a_message_that_ends_a_python_node() {
    broken(
        "  pusher:\n",
        VIEWER,
        "\"-n\", \"viewer\"",
        &["MSight's msight_launch_image_viewer", "msight_core.data.image.ImageData"],
    );
}

#[test]
fn a_service_of_which_nothing_is_known() {
    broken("image: redis:7", "image: nginx", "  redis:", &["`redis`", "entrypoint", "profiles: [other]"]);
}

#[test]
fn a_name_that_nothing_refuses() {
    for (from, to, place, help) in [
        (
            "MSIGHT_EDGE_DEVICE_NAME: box",
            "MSIGHT_EDGE_DEVICE_NAME: box, MSIGHT_REDIS_MESSAGE_BROKER_HOST: rediss",
            "rediss",
            "did you mean redis?",
        ),
        (
            "MSIGHT_EDGE_DEVICE_NAME: box",
            "MSIGHT_EDGE_DEVICE_NAME: box, MSIGHT_REDIS_MESSAGE_BROKER_HOSt: redis",
            "HOSt",
            "did you mean MSIGHT_REDIS_MESSAGE_BROKER_HOST?",
        ),
        ("rtsp://camera.example/", "rtsp://reddis/", "rtsp://reddis/", "did you mean redis?"),
    ] {
        assert!(GRAPH.contains(from), "{from}");
        let output = msight(&GRAPH.replacen(from, to, 1), &["check"]);
        let said = said(&output);
        assert!(output.status.success() && said.matches("warning: ").count() == 1, "{said}");
        assert!(said.contains(place) && said.contains(help), "{said}");
    }
}

#[test]
fn a_dependency_cycle() {
    let cycle = "  pusher:\n    depends_on: [aggregator, pusher]\n";
    broken("  pusher:\n", cycle, "depends_on", &["pusher → pusher"]);
}

#[test]
fn invalid_yaml() {
    broken("  redis:\n    image", "  redis:\n\timage", "\timage", &["indent with spaces"]);
    broken("  redis:\n    image", "  redis:\n    restart: no\n   image", "   image", &["invalid YAML"]);
}

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

/// Checks a graph with one mistake: there is one error, with this key word.
#[track_caller]
fn reported_once(graph: &str, expected: &str) {
    let output = msight(graph, &["check"]);
    let said = said(&output);
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(said.contains(expected), "no {expected:?} in\n{said}");
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
fn a_graph_that_cannot_be_read_is_not_drawn_with_success() {
    assert_eq!(msight("services: [", &["graph"]).status.code(), Some(1));
    assert_eq!(msight(GRAPH, &["graph", "--file", "no-such.yaml"]).status.code(), Some(1));
    assert_eq!(msight(&GRAPH.replace("--fps", "--pfs"), &["graph"]).status.code(), Some(0));
}

/// The tutorial's graph with the built-in servers.
const SERVERS: &str = r#"  street:
    image: msight
    entrypoint: ["msight", "camera", "--listen", "0.0.0.0:8554"]
  s3:
    image: msight
    entrypoint: ["msight", "store", "--listen", "0.0.0.0:9000", "--bucket", "videos"]
    environment: { MSIGHT_STORE_ACCESS_KEY: trying, MSIGHT_STORE_SECRET_KEY: it-out-locally }
  camera:
"#;

#[test]
fn nodes_are_compared_with_the_servers_of_their_graph() {
    let graph = GRAPH.replacen("  camera:\n", SERVERS, 1).replace("  network_mode: host\n", "");
    let graph = graph.replace("rtsp://camera.example/live", "rtsp://street:8554/live.stream");
    let graph = graph.replace("\"videos\"]\n", "\"videos\", \"--endpoint-url\", \"http://s3:9000\"]\n    environment: { MSIGHT_EDGE_DEVICE_NAME: box, AWS_ACCESS_KEY_ID: trying, AWS_SECRET_ACCESS_KEY: it-out-locally }\n")
        .replace("\"videos\", \"--endpoint-url\", \"http://s3:9000\"]\n    environment: { MSIGHT_EDGE_DEVICE_NAME: box, AWS_ACCESS_KEY_ID: trying, AWS_SECRET_ACCESS_KEY: it-out-locally }\n    environment: { MSIGHT_STORE", "\"videos\"]\n    environment: { MSIGHT_STORE");
    let output = msight(&graph, &["check"]);
    assert_eq!(text(&output.stdout), "3 nodes, 3 servers: 0 errors, 0 warnings\n", "{}", said(&output));
    for (from, to, expected) in [
        ("http://s3:9000", "http://s3:9001", "port 9001 of service `s3`"),
        ("rtsp://street:8554/", "rtsp://street/", "port 554 of service `street`"),
        ("8554/live.stream", "8554/live", "/live.stream"),
        ("\"--bucket-name\", \"videos\"", "\"--bucket-name\", \"video\"", "no bucket \"video\""),
        ("AWS_ACCESS_KEY_ID: trying", "AWS_ACCESS_KEY_ID: tried", "AWS_ACCESS_KEY_ID differs"),
        (
            "AWS_ACCESS_KEY_ID: trying",
            "AWS_ACCESS_KEY_ID: trying, MSIGHT_REDIS_BROKER_HOST: redis",
            "did you mean MSIGHT_REDIS_MESSAGE_BROKER_HOST?",
        ),
    ] {
        assert!(graph.contains(from), "{from}");
        let output = msight(&graph.replacen(from, to, 1), &["check"]);
        let said = said(&output);
        assert!(said.contains(expected) && said.matches("help: ").count() == 1, "{to}: {said}");
        assert!(!said.contains("it-out-locally"), "{said}");
    }
}

#[test]
fn one_metrics_port_for_two_nodes_of_the_host() {
    let graph = GRAPH.replace("\"camera\", \"-pt\"", "\"camera\", \"--metrics\", \"9100\", \"-pt\"");
    broken_graph(
        &graph.replace("\"pusher\", \"-st\"", "\"pusher\", \"--metrics\", \"0.0.0.0:9100\", \"-st\""),
        "port 9100",
    );
}

#[track_caller]
fn broken_graph(graph: &str, expected: &str) {
    let output = msight(graph, &["check"]);
    assert!(!output.status.success() && said(&output).contains(expected), "{}", said(&output));
}

#[test]
fn segments_that_exceed_the_limit_of_redis() {
    let writers: String = ('a'..='g')
        .map(|n| {
            format!(
                "  {n}:\n    <<: *node\n    entrypoint: [msight_launch_image_to_video_aggregator]\n    command: -n {n} -st frames -pt segments --fps 10 --buffer-size 100 --overlap-size 0 --bitrate 4M\n"
            )
        })
        .collect();
    let output = msight(&GRAPH.replacen("  pusher:\n", &(writers + "  pusher:\n"), 1), &["check"]);
    assert!(output.status.success() && said(&output).contains("Redis disconnects"), "{}", said(&output));
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

#[test]
fn the_graphs_that_users_are_shown_are_right() {
    let guide = include_str!("../../../README.md");
    let shown = guide.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a graph");
    let output = msight(shown, &["check"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3 nodes, 3 servers: 0 errors, 0 warnings\n");
}

type Variables = [(&'static str, &'static str)];

/// What is to be set for the files in `compose/`, as they say themselves, and what they then are.
const SHOWN: [(&str, &Variables, &str); 4] = [
    ("tutorial.yml", &[("BUCKET", "videos")], "3 nodes, 3 servers"),
    ("local.yml", &[], "3 nodes, 3 servers"),
    (
        "cameras.yml",
        &[("BUCKET", "videos"), ("NORTH_URL", "rtsp://10.0.0.11/"), ("SOUTH_URL", "rtsp://10.0.0.12/")],
        "4 nodes, 1 server",
    ),
    ("mixed.yml", &[("CAMERA", "rtsp://10.0.0.11/")], "4 nodes, 1 server"),
];

#[test]
fn the_graphs_to_begin_with_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose");
    let files = std::fs::read_dir(&folder).expect("the folder").flatten().map(|file| file.path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "yml"));
    assert_eq!(files.count(), SHOWN.len());
    for (file, variables, expected) in SHOWN {
        let path = folder.join(file);
        let check = |variables: &[(&str, &str)]| {
            let mut command = Command::new(MSIGHT);
            command.arg("check").arg(&path).env_clear().envs(variables.iter().copied());
            command.output().expect("it runs")
        };
        let output = check(variables);
        assert!(output.status.success(), "{file}: {}", said(&output));
        assert_eq!(
            text(&output.stdout),
            format!("{expected}: 0 errors, 0 warnings\n"),
            "{file}: {}",
            said(&output)
        );
        // What is to be set is named where it is not.
        for without in 0..variables.len() {
            let mut others = variables.to_vec();
            let (name, _) = others.remove(without);
            let output = check(&others);
            assert_eq!(output.status.code(), Some(1), "{file} without {name}");
            assert!(said(&output).contains(name), "{file}: {}", said(&output));
        }
    }
}

#[test]
fn a_graph_is_drawn() {
    let drawn = |format: &str| {
        let output = msight(GRAPH, &["graph", "--format", format]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).expect("text")
    };
    let text = "\
camera      msight_launch_rtsp
  └─ frames (ImageData) ─▶ aggregator
aggregator  msight_launch_image_to_video_aggregator
  └─ segments (VideoData) ─▶ pusher
pusher      msight_launch_aws_video_pusher
redis       Redis, port 6379
";
    assert_eq!(drawn("text"), text);
    let mermaid = drawn("mermaid");
    assert!(
        mermaid.starts_with("flowchart LR\n") && mermaid.contains("-- \"frames<br/>ImageData\" --> "),
        "{mermaid}"
    );
    let dot = drawn("dot");
    assert!(
        dot.starts_with("digraph {") && dot.contains("n0 -> n1 [label = \"frames\\nImageData\"];"),
        "{dot}"
    );
    let svg = drawn("svg");
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.matches("<rect ").count() == 4,
        "{svg}"
    );
}

#[test]
fn names_from_a_file_do_no_harm_in_a_picture() {
    let graph = GRAPH.replace("\"segments\"", "\"<a&\\\"b\"");
    let svg = String::from_utf8(msight(&graph, &["graph", "--format", "svg"]).stdout).expect("text");
    assert!(svg.contains("&lt;a&amp;\"b") && !svg.contains("<a&"), "{svg}");
    let dot = String::from_utf8(msight(&graph, &["graph", "--format", "dot"]).stdout).expect("text");
    assert!(dot.contains("<a&\\\"b"), "{dot}");
}
