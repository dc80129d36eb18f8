//! A camera that goes quiet: its segment is published while the node goes on.

use msight_bus::{Connection, QueueConfig, Receivers, Topic};
use msight_image_to_video::ENTRY;
use msight_node::Resources;
use msight_node::health::Health;
use msight_node::metrics::Metrics;
use msight_picture::{Colour, Picture, Size};
use msight_proto::{Head, Sample, VideoData, decode, encode};
use msight_test_support::DEADLINE;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_sensors_segment_is_published_and_it_comes_back() {
    let Connection { bus, registry } = Connection::memory();
    let (frames, videos) = (Topic::new("frames").unwrap(), Topic::new("videos").unwrap());
    let mut published = bus.subscribe(&videos, QueueConfig::default()).await.unwrap();
    let stop = CancellationToken::new();
    let resources = Resources {
        bus: bus.clone(),
        registry,
        local: None,
        device: "edge".into(),
        metrics: Metrics::default(),
        health: Health::default(),
        stop: stop.clone(),
    };
    let flags = "-n a -st frames -pt videos --buffer-size 100 --overlap-size 0 --fps 10 --idle-timeout 0.3";
    let node = tokio::spawn(ENTRY.run(flags.split(' ').map(str::to_owned).collect::<Vec<_>>(), resources));

    let image = Picture::new(Size::new(64, 64).unwrap(), Colour::JPEG).to_image(80).unwrap();
    for round in 0..2 {
        let times = [0.0, 0.1, 0.2].map(|seconds| 1.7e9 + f64::from(round) + seconds);
        for time in times {
            let frame = encode(&Sample::new(Head::new("gate".to_owned(), time), image.clone())).unwrap();
            let publish = async {
                while bus.publish(&frames, frame.clone()).await.unwrap() == Receivers::Known(0) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(DEADLINE, publish).await.expect("the node subscribes");
        }
        let delivery = tokio::time::timeout(DEADLINE, published.recv()).await.expect("a segment").unwrap();
        let segment: Sample<VideoData> = decode(&delivery.payload).unwrap();
        assert_eq!(segment.body.capture_timestamps, Some(times.to_vec()));
        assert!(segment.body.video.unwrap().len() > 500);
    }
    stop.cancel();
    node.await.unwrap().unwrap();
    assert!(published.try_recv().is_none(), "nothing was left to flush");
}
