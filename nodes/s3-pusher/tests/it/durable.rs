//! Segments of a durable topic: what is not in the bucket is not acknowledged.

use std::sync::Arc;

use bytes::Bytes;
use msight_bus::{Bus as _, MemoryRegistry};
use msight_node::Resources;
use msight_node::health::Health;
use msight_node::metrics::Metrics;
use msight_proto::{Head, Sample, VideoData, encode};
use msight_s3_pusher::ENTRY;
use msight_test_support::bus::{DurableBus, topic};
use msight_test_support::s3::{Fault, Server};
use msight_test_support::{DEADLINE, until};
use tokio_util::sync::CancellationToken;

use crate::support::{Log, mp4};

fn segment(second: u32) -> Bytes {
    let begin = 1_700_000_000.5 + f64::from(second);
    let body = VideoData {
        video: Some(Bytes::from_static(b"an mp4")),
        detection_results: None,
        frame_ids: None,
        capture_timestamps: Some(vec![begin, begin + 0.9]),
        video_file: None,
    };
    encode(&Sample::new(Head::new("north".to_owned(), begin), body)).unwrap()
}

#[tokio::test]
async fn a_segment_given_up_in_the_last_moment_is_lost_aloud_and_not_acknowledged() {
    let (log, server) = (Log::capture(), Server::start_unsigned().await);
    let (bus, metrics) = (Arc::new(DurableBus::default()), Metrics::default());
    let (health, stop) = (Health::default(), CancellationToken::new());
    let resources = Resources {
        bus: bus.clone(),
        registry: Arc::new(MemoryRegistry::new()),
        local: None,
        device: "edge1".to_owned(),
        metrics: metrics.clone(),
        health: health.clone(),
        stop: stop.clone(),
    };
    let endpoint = format!("http://{}", server.address);
    // Every segment in parts: removing those takes longer than the time that is left.
    let flags = "-n pusher -st segments --bucket-name videos --aws-region eu-central-1 --no-sign-request \
                 --multipart-threshold 1B --grace 0.3 --endpoint-url";
    let flags: Vec<_> = flags.split_whitespace().chain([endpoint.as_str()]).map(str::to_owned).collect();
    let node = tokio::spawn(async move { ENTRY.run(flags, resources).await });
    until("the node is ready", async || health.unready().is_none()).await;

    let stored = segment(0);
    bus.publish(&topic("segments"), stored.clone()).await.unwrap();
    until("the first is stored", async || bus.acknowledged() == [stored.clone()]).await;
    server.fault(usize::MAX, Fault::Stall, |seen| mp4(seen) || seen.method == "DELETE");
    bus.publish(&topic("segments"), segment(1)).await.unwrap();
    until("the second is sent", async || server.count(|seen| mp4(seen) && seen.path.contains("0001_")) == 1)
        .await;
    stop.cancel();
    assert!(tokio::time::timeout(DEADLINE, node).await.expect("it ends").unwrap().is_err());

    // Time for what the node has aborted.
    tokio::task::yield_now().await;
    assert_eq!(bus.acknowledged(), [stored]);
    let text = metrics.render();
    assert!(text.contains("msight_unfinished_total{node=\"pusher\"} 1"), "{text}");
    let lost = log.lines("messages lost");
    assert_eq!(lost.len(), 1, "{lost:?}");
    for word in ["ERROR", "north", "2023-11-14T22:13:21.500Z"] {
        assert!(lost[0].contains(word), "{lost:?}");
    }
}
