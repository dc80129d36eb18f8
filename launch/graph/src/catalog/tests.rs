use std::collections::BTreeMap;

use msight_node::describe::TopicUse;

use super::*;
use crate::tutorial::BUILT_IN;

/// A catalog without installed programs.
fn bare() -> Catalog {
    Catalog::new(BUILT_IN, None)
}

async fn find(name: &str) -> Program {
    bare().find(name).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[tokio::test]
async fn programs_that_are_not_installed_are_found() {
    for name in ["msight_launch_rtsp", "/usr/local/bin/msight_launch_rtsp", "./msight_launch_rtsp"] {
        let program = find(name).await;
        assert_eq!((program.origin(), program.file()), (&Origin::BuiltIn, None), "{name}");
        assert_eq!(program.description().class, "RTSPSourceNode");
    }
    let viewer = find("msight_launch_image_viewer").await;
    assert_eq!((viewer.origin(), viewer.file()), (&Origin::Python(None), None));
    assert!(bare().entry("/opt/msight_launch_aws_video_pusher").is_some());

    let only_one = Catalog::new([msight_rtsp_source::ENTRY], None);
    let pusher = only_one.find("msight_launch_aws_video_pusher").await.expect("MSight has one too");
    assert_eq!(pusher.origin(), &Origin::Python(None));
}

#[tokio::test]
async fn unknown_and_broken_programs_are_told_apart() {
    let near = |name: &'static str| async move {
        match bare().find(name).await {
            Err(NotFound::Unknown { near, .. }) => near,
            other => panic!("{name}: {other:?}"),
        }
    };
    assert_eq!(near("msight_launch_rstp").await.as_deref(), Some("msight_launch_rtsp"));
    assert_eq!(near("msight-launch-rtsp").await.as_deref(), Some("msight_launch_rtsp"));
    assert_eq!(near("postgres").await, None);
    assert_eq!(near("").await, None);
    assert_eq!(near(&"x".repeat(10_000).leak()[..]).await, None);
    let broken = bare().find("msight_launch_image_local_dumper").await.expect_err("it does not start");
    assert!(broken.to_string().contains("msight_edge"), "{broken}");
}

#[tokio::test]
async fn the_closest_flag_is_suggested() {
    let args = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let line = args("-n n -st a -pt b --bufer-size 100 --overlap-size 0");
    for name in ["msight_launch_image_to_video_aggregator", "msight_launch_aggregator"] {
        let mistake = find(name).await.understand(&line, &BTreeMap::new()).await.expect_err("it is refused");
        assert_eq!(
            (mistake.argument, mistake.help.as_deref()),
            (Some(6), Some("did you mean --buffer-size?"))
        );
    }
    let bad_value = args("-n n -st a --bucket-name cars --wait=soon");
    let pusher = find("msight_launch_aws_video_pusher").await;
    let mistake = pusher.understand(&bad_value, &BTreeMap::new()).await.expect_err("it is refused");
    assert_eq!((mistake.argument, mistake.help), (Some(6), None));
}

#[tokio::test]
async fn an_invalid_url_is_reported_at_its_argument() {
    let camera = find("msight_launch_rtsp").await;
    let line = ["-n", "n", "-pt", "t", "-sn", "s", "-u", "http://user:word@camera/"].map(str::to_owned);
    let mistake = camera.understand(&line, &BTreeMap::new()).await.expect_err("it is refused");
    assert!(mistake.argument == Some(7) && mistake.message.contains("rtsp://"), "{mistake:?}");
    assert!(!mistake.message.contains("word"), "{mistake}");
    let from_environment = BTreeMap::from([("MSIGHT_RTSP_URL".to_owned(), "rtsp://camera/".to_owned())]);
    camera.understand(&line[..6], &from_environment).await.expect("the service has a URL");
    let missing = camera.understand(&line[..6], &BTreeMap::new()).await.expect_err("it has none");
    assert!(missing.message.contains("-u/--url --url-file is required"), "{missing:?}");
}

#[tokio::test]
async fn crash_risks_of_python_programs() {
    let writes = |data_type: &str| TopicUse {
        topic: "t".to_owned(),
        data_type: Some(data_type.to_owned()),
        further_types: vec![],
        argument: None,
    };
    let ours = find("msight_launch_rtsp").await;
    let file = Path::new("/opt/custom").to_owned();
    let custom = Program::installed(file, ours.description().clone(), None, DESCRIBE_TIMEOUT);
    let (image, video) = ("msight_core.data.image.ImageData", "msight_core.data.video.VideoData");
    let sequence = "msight_core.data.base.SensorDataSequence";
    let users = "msight_core.data.detection_result.RoadUserListData";

    let (viewer, http, pusher, sequences) = (
        find("msight_launch_image_viewer").await,
        find("msight_launch_http").await,
        Program::python(python::script("msight_launch_aws_video_pusher").expect("it is one"), None),
        find("msight_launch_aws_sequence_pusher").await,
    );
    // Reader, type and writer, and whether the first message crashes the reader.
    for (reader, data_type, writer, certain) in [
        (&viewer, image, &ours, None),
        (&viewer, image, &custom, Some(false)),
        (&viewer, video, &ours, Some(true)),
        (&http, image, &custom, None),
        (&http, "example.FrameSize", &custom, Some(true)),
        (&http, "msight_core.data.base.SensorData", &custom, Some(true)),
        (&http, users, &custom, Some(false)),
        (&http, users, &http, None),
        (&pusher, video, &ours, None),
        (&pusher, video, &custom, Some(false)),
        (&pusher, image, &ours, Some(true)),
        (&sequences, sequence, &http, Some(false)),
        (&ours, "example.FrameSize", &custom, None),
    ] {
        let risk = reader.crash_risk(&writes(data_type), writer);
        let shown = format!("{} reads {data_type}: {risk:?}", reader.description().program);
        assert_eq!(risk.map(|risk| risk.certain), certain, "{shown}");
    }
    let sorter = find("msight_launch_buffering_sort").await;
    assert!(
        sorter.crash_risk(&writes(image), &ours).is_some_and(|risk| risk.reason.contains("event_timestamp"))
    );
}
