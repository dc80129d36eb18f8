//! Event clips.

use std::sync::Arc;
use std::time::{Duration, Instant};

use msight_bus::{Bus, Connection, Overflow, QueueConfig, Receivers, Subscription, Topic};
use msight_node::health::Health;
use msight_node::metrics::Metrics;
use msight_node::testing::until;
use msight_node::{Entry, Resources};
use msight_proto::{BytesData, Head, Message, Sample, VideoData, decode, encode};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::segments::H264;
use crate::stream::{Recipe, START, units};

const ENTRY: Entry = msight_recorder::ENTRY;

pub(crate) async fn publish<M: Message>(bus: &dyn Bus, topic: &str, sample: &Sample<M>) {
    let (topic, payload) = (Topic::new(topic).unwrap(), encode(sample).unwrap());
    until("the node subscribes", async || {
        bus.publish(&topic, payload.clone()).await.unwrap() != Receivers::Known(0)
    })
    .await;
}

/// A recorder of events that publishes segments as messages.
struct Clips {
    bus: Arc<dyn Bus>,
    metrics: Metrics,
    stop: CancellationToken,
    segments: Subscription,
    node: JoinHandle<msight_node::Result<()>>,
}

impl Clips {
    async fn record(flags: &str) -> Self {
        let Connection { bus, registry } = Connection::memory();
        let stop = CancellationToken::new();
        let metrics = Metrics::default();
        let resources = Resources {
            bus: Arc::clone(&bus),
            registry,
            local: None,
            device: "edge1".to_owned(),
            metrics: metrics.clone(),
            health: Health::default(),
            stop: stop.clone(),
        };
        let queue = QueueConfig { max_items: 100, max_bytes: 100 << 20, overflow: Overflow::DropNewest };
        let segments = bus.subscribe(&Topic::new("segments").unwrap(), queue).await.unwrap();
        let line = "-n recorder -st units -pt segments --trigger-topic events --pre-record 1 --post-record 1 --queue-size 100000";
        let line = format!("{line}{flags}");
        let args: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let node = tokio::spawn(async move { ENTRY.run(args, resources).await });
        Self { bus, metrics, stop, segments, node }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_any_type_records_its_sensor_from_before_it() {
    let Clips { bus, metrics, stop, mut segments, node } = Clips::record("").await;
    let recipe = Recipe { video: H264, audio: "", seconds: 8 };
    let (gate, yard) = (units("gate", "a", recipe), units("yard", "b", recipe));
    for (number, (one, two)) in gate.iter().zip(&yard).enumerate() {
        if number == 100 {
            let read = || metrics.render().contains("msight_recorder_units_total{node=\"recorder\"} 200");
            until("all units before the event are read", async || read()).await;
            let event = Sample::new(Head::new("gate".to_owned(), START + 3.5), BytesData { data: None });
            publish(&*bus, "events", &event).await;
            let seen = || {
                let text = metrics.render();
                text.lines().any(|line| {
                    line.starts_with("msight_received_total{")
                        && line.contains("events")
                        && line.ends_with(" 1")
                })
            };
            until("the event is read", async || seen()).await;
        }
        publish(&*bus, "units", one).await;
        publish(&*bus, "units", two).await;
    }
    let clip: Sample<VideoData> = decode(&segments.recv().await.unwrap().payload).unwrap();
    stop.cancel();
    node.await.unwrap().unwrap();
    assert_eq!(clip.head.sensor_name.as_deref(), Some("gate"));
    // Key frames are 0.48 s apart: the last one before 2.5 s, and the first one after 4.5 s.
    let times = clip.body.capture_timestamps.unwrap();
    let (from, to) = (times[0] - START, times[times.len() - 1] - START);
    assert!((from - 2.4).abs() < 0.01 && (to - 4.76).abs() < 0.01, "{from} to {to}");
    assert!(segments.try_recv().is_none(), "the other sensor has no clip");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_after_the_last_unit_has_a_clip() {
    let Clips { bus, metrics, stop, mut segments, node } = Clips::record(" --idle-timeout 1").await;
    for unit in units("gate", "a", Recipe { video: H264, audio: "", seconds: 4 }) {
        publish(&*bus, "units", &unit).await;
    }
    let read = || metrics.render().contains("msight_recorder_units_total{node=\"recorder\"} 100");
    until("all units are read", async || read()).await;
    let event = Sample::new(Head::new("gate".to_owned(), START + 4.5), BytesData { data: None });
    publish(&*bus, "events", &event).await;
    let clip: Sample<VideoData> = decode(&segments.recv().await.unwrap().payload).unwrap();
    stop.cancel();
    node.await.unwrap().unwrap();
    // The last key frame before 3.5 s.
    let times = clip.body.capture_timestamps.unwrap();
    assert!((times[0] - START - 3.36).abs() < 0.01, "{}", times[0] - START);
    let left_out = "msight_recorder_left_out_total{node=\"recorder\",reason=\"no_event\"} 84";
    assert!(metrics.render().contains(left_out), "{}", metrics.render());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_after_the_end_of_the_segment_has_its_clip_at_once() {
    let Clips { bus, metrics, stop, mut segments, node } = Clips::record(" --idle-timeout 0.5").await;
    for unit in units("gate", "a", Recipe { video: H264, audio: "", seconds: 4 }) {
        publish(&*bus, "units", &unit).await;
    }
    let read = || metrics.render().contains("msight_recorder_units_total{node=\"recorder\"} 100");
    until("all units are read", async || read()).await;
    // The precondition is time itself: the sensor is idle for longer than --idle-timeout.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let event = Sample::new(Head::new("gate".to_owned(), START + 4.5), BytesData { data: None });
    let begun = Instant::now();
    publish(&*bus, "events", &event).await;
    let clip: Sample<VideoData> = decode(&segments.recv().await.unwrap().payload).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30), "not only when the sensor is forgotten");
    stop.cancel();
    node.await.unwrap().unwrap();
    let times = clip.body.capture_timestamps.unwrap();
    assert!((times[0] - START - 3.36).abs() < 0.01, "{}", times[0] - START);
}
