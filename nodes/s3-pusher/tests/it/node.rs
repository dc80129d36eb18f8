//! The node as a whole, from its flags and messages to the objects.

use bytes::Bytes;
use msight_node::Node as _;
use msight_node::testing::{DEVICE, run_sink};
use msight_proto::{Head, Sample, VideoData};
use msight_s3_pusher::VideoPusher;
use msight_test_support::s3::Server;

fn sample(sensor: &str, second: f64, video: &'static [u8]) -> Sample<VideoData> {
    let body = VideoData {
        video: Some(Bytes::from_static(video)),
        detection_results: None,
        frame_ids: None,
        capture_timestamps: Some(vec![second, second + 9.0]),
        video_file: None,
    };
    Sample::new(Head::new(sensor.to_owned(), second), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_become_objects() {
    let server = Server::start_unsigned().await;
    let endpoint = format!("--endpoint-url=http://{}", server.address);
    let flags = [
        "--bucket-name=videos",
        "--prefix",
        "site/",
        "--aws-region=eu-central-1",
        &endpoint,
        "--no-sign-request",
    ];
    let samples = [
        sample("north", 1_700_000_000.25, b"one"),
        sample("../../etc", 1_700_000_000.25, b"two"),
        sample("broken", 1_700_000_000.25, b""),
        sample("north", 1_700_000_010.25, b"three"),
    ];
    run_sink::<VideoPusher>(&flags, &samples).await.unwrap();
    let stem = |sensor, times| format!("site/{DEVICE}/{sensor}/2023-11-14/22/{times}");
    assert_eq!(
        server.keys(),
        [
            stem("%2E%2E/%2E%2E/etc", "1700000000_1700000009.json"),
            stem("%2E%2E/%2E%2E/etc", "1700000000_1700000009.mp4"),
            stem("north", "1700000000_1700000009.json"),
            stem("north", "1700000000_1700000009.mp4"),
            stem("north", "1700000010_1700000019.json"),
            stem("north", "1700000010_1700000019.mp4"),
        ]
    );
    assert_eq!(server.object(&stem("north", "1700000010_1700000019.mp4")), b"three");
}

#[tokio::test]
async fn wrong_flags_end_it_at_once() {
    for (wrong, said) in [
        (&["--bucket-name=videos", "--endpoint-url=http://me:hunter2@host"][..], "AWS_ACCESS_KEY_ID"),
        (&["--bucket-name=videos", "--sse=AES256", "--sse-kms-key-id=k"], "--sse aws:kms"),
        (&["--bucket-name="], "bucket name"),
    ] {
        // With nothing to take it would be stopped before it has looked at its flags.
        let samples = [sample("north", 1_700_000_000.25, b"one")];
        let error = format!("{:#}", run_sink::<VideoPusher>(wrong, &samples).await.unwrap_err());
        assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
    }
    assert_eq!(VideoPusher::CLASS, "AWSVideoPusherSinkNode");
}
