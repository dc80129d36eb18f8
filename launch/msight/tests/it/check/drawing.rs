//! `msight graph`.

use super::*;

#[test]
fn a_graph_that_cannot_be_read_is_not_drawn_with_success() {
    assert_eq!(msight("services: [", &["graph"]).status.code(), Some(1));
    assert_eq!(msight(GRAPH, &["graph", "--file", "no-such.yaml"]).status.code(), Some(1));
    assert_eq!(msight(&GRAPH.replace("--fps", "--pfs"), &["graph"]).status.code(), Some(0));
}

#[test]
fn a_graph_is_drawn() {
    let drawn = |format: &str| {
        let output = msight(GRAPH, &["graph", "--format", format]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).expect("text")
    };
    let text = "\
camera          msight_launch_rtsp
  └─ frames (ImageData) ─▶ aggregator
aggregator      msight_launch_image_to_video_aggregator
  └─ segments (VideoData) ─▶ pusher
pusher          msight_launch_aws_video_pusher
  └─ videos (bucket) ─▶ AWS S3
camera.example  RTSP, outside the graph
  └─▶ camera
AWS S3          S3, outside the graph
redis           Redis, port 6379: carries all topics
";
    assert_eq!(drawn("text"), text);
    let mermaid = drawn("mermaid");
    assert!(
        mermaid.starts_with("flowchart LR\n  subgraph bus[\"redis<br/>Redis, port 6379\"]\n")
            && mermaid.contains("-- \"frames<br/>ImageData\" --> ")
            && mermaid.contains("  n3 --> n0\n"),
        "{mermaid}"
    );
    let dot = drawn("dot");
    assert!(
        dot.starts_with("digraph {")
            && dot.contains("n0 -> n1 [label = \"frames\\nImageData\"];")
            && dot.contains("n2 -> n4 [label = \"videos\\nbucket\"];"),
        "{dot}"
    );
    let svg = drawn("svg");
    assert!(
        // Nodes, servers, topics with the bucket, and the frame of Redis.
        svg.starts_with("<svg ")
            && svg.ends_with("</svg>\n")
            && svg.matches("<rect ").count() == 3 + 2 + 3 + 1,
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

#[test]
fn the_name_of_a_required_variable_stands_for_its_value() {
    let graph = GRAPH.replace("\"videos\"", "\"${NO_SUCH_BUCKET:?a bucket, such as my-bucket}\"");
    let output = msight(&graph, &["graph"]);
    let drawn = String::from_utf8(output.stdout).expect("text");
    let reasons = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success() && drawn.contains("─ ${NO_SUCH_BUCKET} (bucket) ─▶ AWS S3"), "{drawn}");
    assert!(reasons.contains("`NO_SUCH_BUCKET` is required: a bucket, such as my-bucket"), "{reasons}");
    assert!(reasons.contains("${NO_SUCH_BUCKET:?a bucket, such as my-bucket}"), "{reasons}");
}
