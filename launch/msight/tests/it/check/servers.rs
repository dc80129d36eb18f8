//! Nodes beside the servers of their graph, and ports of the host.

use super::*;

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
fn names_of_buckets() {
    let named = |to: &str| GRAPH.replacen("\"videos\"]", to, 1);
    reported_once(&named("\"SOME_BUCKET_NAME\"]"), "the name of your bucket");
    let server = "\"My_Videos\", \"--endpoint-url\", \"http://s3.example\"]";
    reported_once(&named(server), "lower-case");
    let variables = "{ MSIGHT_EDGE_DEVICE_NAME: box, AWS_ENDPOINT_URL: 'http://s3.example' }";
    reported_once(&named(&format!("\"My_Videos\"]\n    environment: {variables}")), "lower-case");

    // Buckets on AWS can have it from before.
    let output = msight(&GRAPH.replacen("\"videos\"]", "\"My_Videos\"]", 1), &["check"]);
    assert!(output.status.success(), "{}", said(&output));
    for part in ["warning: ", "My_Videos", "us-east-1"] {
        assert!(said(&output).contains(part), "no {part:?} in\n{}", said(&output));
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

/// `msight check` reports a port once, in whatever way two services come to it.
#[test]
fn one_port_of_the_host_for_two_services() {
    let published = GRAPH.replace("image: redis:7", "image: redis:7\n    ports: [\"9100:6379\"]");
    let other = "  s3: { image: minio/minio, ports: [\"9100:9000\"] }\n  camera:\n";
    reported_once(&published.replacen("  camera:\n", other, 1), "published port 9100 of the host");
    let metrics = GRAPH.replace("\"camera\", \"-pt\"", "\"camera\", \"--metrics\", \"9100\", \"-pt\"");
    let metrics = metrics.replace("\"pusher\", \"-st\"", "\"pusher\", \"--metrics\", \"9100\", \"-st\"");
    reported_once(&metrics, "metrics port 9100 of the host");
    // In containers each node has its own network.
    let output = msight(&metrics.replace("  network_mode: host\n", ""), &["check"]);
    let said = said(&output);
    assert!(
        output.status.success() && said.matches("with `msight up`, metrics port 9100").count() == 1,
        "{said}"
    );
    let output = msight(&metrics.replace("  network_mode: host\n", ""), &["up"]);
    let said = self::said(&output);
    assert!(said.contains("metrics port 9100") && said.contains("nothing started"), "{said}");
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
