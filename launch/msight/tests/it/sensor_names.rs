//! Two sources under one sensor name: both of them and the aggregator say so, with the names of both nodes.

use msight_test_support::{Program, until};

use crate::pipeline::{Pipeline, small_camera};

#[tokio::test(flavor = "multi_thread")]
async fn sources_of_one_sensor_are_named_by_both_and_by_the_aggregator() {
    let camera = small_camera(5.0).await;
    let pipeline = Pipeline::start().await;
    let mut aggregator = pipeline.aggregator("--fps 10 --buffer-size 10");
    let source = |name: &str, sensor: &str| {
        let mut command = pipeline.node("msight_launch_rtsp", name, &format!("-pt frames -sn {sensor}"));
        command.env("MSIGHT_RTSP_URL", camera.url());
        pipeline.run(name, command)
    };
    let mut other = source("other", "bridge");
    let mut first = source("first", "gate");
    until("the first source runs alone", async || pipeline.are_running(&["first", "other"])).await;
    let mut second = source("second", "gate");
    let has_names =
        |line: &str| ["sensor=gate", "topic=frames", "first, second"].iter().all(|part| line.contains(part));
    for node in [&mut second, &mut first, &mut aggregator] {
        let line = node.says("two sources publish under one sensor name").await;
        assert!(has_names(&line) && line.contains("ERROR"), "{}: {line}", node.name);
    }
    second.stop().await;
    first.says("one source is left").await;
    for node in [&mut first, &mut aggregator, &mut other] {
        node.stop().await;
        let lines = |node: &Program| node.lines("two sources publish under one").len();
        assert_eq!(lines(node), usize::from(node.name != "other"), "{}", node.name);
    }
}
