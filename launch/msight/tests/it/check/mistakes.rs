//! Files with one mistake, and the finding for it.

use super::*;

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
