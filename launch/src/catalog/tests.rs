use std::collections::BTreeMap;

use msight_node::describe::TopicUse;

use super::*;

/// A machine on which nothing is installed.
fn bare() -> Catalog {
    Catalog::new(BUILT_IN, None)
}

async fn find(name: &str) -> Program {
    bare().find(name).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[tokio::test]
async fn what_is_not_installed_is_built_in_or_known() {
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
async fn a_name_that_is_nothing_is_told_apart_from_one_that_cannot_be_used() {
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
async fn a_flag_that_is_none_is_corrected() {
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
async fn an_address_that_is_none_is_about_its_argument() {
    let camera = find("msight_launch_rtsp").await;
    let line = ["-n", "n", "-pt", "t", "-sn", "s", "-u", "http://user:word@camera/"].map(str::to_owned);
    let mistake = camera.understand(&line, &BTreeMap::new()).await.expect_err("it is refused");
    assert!(mistake.argument == Some(7) && mistake.message.contains("rtsp://"), "{mistake:?}");
    assert!(!mistake.message.contains("word"), "{mistake}");
    let from_environment = BTreeMap::from([("MSIGHT_RTSP_URL".to_owned(), "rtsp://camera/".to_owned())]);
    camera.understand(&line[..6], &from_environment).await.expect("the service has a URL");
    let missing = camera.understand(&line[..6], &BTreeMap::new()).await.expect_err("it has none");
    assert_eq!(missing.message, "the following arguments are required: -u/--url");
}

#[tokio::test]
async fn what_ends_a_python_program_is_known() {
    let writes = |data_type: &str| TopicUse {
        topic: "t".to_owned(),
        data_type: Some(data_type.to_owned()),
        argument: None,
    };
    let ours = find("msight_launch_rtsp").await;
    let file = Path::new("/opt/custom").to_owned();
    let custom = Program::installed(file, ours.description().clone(), None, PATIENCE);
    let (image, video) = ("msight_core.data.image.ImageData", "msight_core.data.video.VideoData");
    let sequence = "msight_core.data.base.SensorDataSequence";
    let users = "msight_core.data.detection_result.RoadUserListData";

    let (viewer, http, pusher, sequences) = (
        find("msight_launch_image_viewer").await,
        find("msight_launch_http").await,
        Program::python(python::script("msight_launch_aws_video_pusher").expect("it is one"), None),
        find("msight_launch_aws_sequence_pusher").await,
    );
    // Who reads, what is written and by whom, and whether it ends at the first message.
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
        let hazard = reader.dies_of(&writes(data_type), writer);
        let shown = format!("{} reads {data_type}: {hazard:?}", reader.description().program);
        assert_eq!(hazard.map(|hazard| hazard.certain), certain, "{shown}");
    }
    let sorter = find("msight_launch_buffering_sort").await;
    assert!(
        sorter.dies_of(&writes(image), &ours).is_some_and(|hazard| hazard.reason.contains("event_timestamp"))
    );
}
