//! Nodes that are slower than what comes to them, or stand still: they lose by a policy and say what; memory stays
//! flat, and other nodes go on.

use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use msight_bus::{QueueConfig, Receivers, Topic};
use msight_picture::{Colour, Picture, Size};
use msight_proto::{Head, ImageData, Sample, encode, unix_now};
use msight_test_support::{Program, until};

use crate::pipeline::{Pipeline, sidecar};

const AGGREGATOR: &str = "msight_launch_image_to_video_aggregator";

/// An aggregator of its own name and topic for segments.
fn aggregator(pipeline: &Pipeline, name: &str, flags: &str) -> Command {
    let flags = format!("-st frames -pt {name} --fps 30 --buffer-size 30 --overlap-size 0 {flags}");
    pipeline.node(AGGREGATOR, name, &flags)
}

async fn subscribers(pipeline: &Pipeline, count: usize) {
    let wanted = count.to_string();
    until("all are subscribed", async || {
        pipeline.redis.cli(&["PUBSUB", "NUMSUB", "frames"]).lines().nth(1) == Some(wanted.as_str())
    })
    .await;
}

fn message(sensor: &str, image: ImageData) -> Bytes {
    encode(&Sample::new(Head::new(sensor.to_owned(), unix_now()), image)).expect("a message")
}

/// With Redis' stock limits: 32 MB behind, or 8 MB for a minute, ends a subscription.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_stands_still_is_cut_off_and_comes_back() {
    let pipeline = Pipeline::start().await;
    let mut still = pipeline.run("still", aggregator(&pipeline, "still", ""));
    let mut busy = pipeline.run("busy", aggregator(&pipeline, "busy", ""));
    subscribers(&pipeline, 2).await;
    let bus = pipeline.redis.bus().await;
    let topic = Topic::new("frames").expect("a topic");
    // 200 kB of pixels, 30 times a second.
    let image = || ImageData {
        image: Some(vec![90; 258 * 258 * 3].into()),
        is_encoded: false,
        detection_results: None,
        size: Some(vec![258, 258, 3]),
        access_unit: None,
    };
    let mut clock = tokio::time::interval(Duration::from_millis(33));
    let mut sent = 0;
    let mut publish = async || {
        clock.tick().await;
        sent += 1;
        bus.publish(&topic, message("gate", image())).await.expect("the publisher is undisturbed")
    };

    still.signal("-STOP");
    let stopped = Instant::now();
    while publish().await == Receivers::Known(2) {
        assert!(
            stopped.elapsed() < Duration::from_secs(90),
            "Redis does not disconnect a subscriber that does not read"
        );
    }
    if std::env::var_os("MSIGHT_LONG_TESTS").is_some() {
        while stopped.elapsed() < Duration::from_secs(30) {
            publish().await;
        }
    }
    still.signal("-CONT");
    while publish().await == Receivers::Known(1) {
        assert!(stopped.elapsed() < Duration::from_secs(180), "it does not come back");
    }
    let worked_on = still.count("msight_aggregator_encoded_total");
    while still.count("msight_aggregator_encoded_total") <= worked_on {
        publish().await;
    }
    still.says("client-output-buffer-limit").await;
    until("it has counted that", async || still.count("msight_bus_disconnects_total") == 1).await;
    until("the other has everything", async || busy.count("msight_queue_arrived_total") == sent).await;
    assert_eq!(busy.count("msight_bus_disconnects_total"), 0);
    for node in [&mut still, &mut busy] {
        assert!(node.peak_memory() < 250 << 20, "{} took {} MB", node.name, node.peak_memory() >> 20);
        node.stop().await;
    }
    assert_accounted(&busy);
    assert_accounted(&still);
}

/// Four streams of 1920x1080 for an encoder that has what other programs leave, faster and faster until it is slower.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_encoder_drops_by_its_policy_and_other_nodes_go_on() {
    let pipeline = Pipeline::start().await;
    let plain = aggregator(&pipeline, "slow", "--timing constant --sensor-queue 5");
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(plain.get_program()).args(plain.get_args());
    pipeline.environment(&mut nice);
    let mut slow = pipeline.run("slow", nice);
    subscribers(&pipeline, 1).await;
    let bus = pipeline.redis.bus().await;
    let topic = Topic::new("frames").expect("a topic");
    let viewer = bus.subscribe(&topic, QueueConfig::default()).await.expect("a subscription");
    let image = noise().to_image(50).expect("a JPEG");

    let mut sent = 0;
    let mut memory = Vec::new();
    let policy = r#"msight_aggregator_dropped_total{reason="too_slow"}"#;
    while slow.count(policy) < 100 {
        let times = 1 + sent / 400;
        for sensor in ["north", "east", "south", "west"].repeat(times) {
            bus.publish(&topic, message(sensor, image.clone())).await.expect("Redis takes it");
            sent += 1;
        }
        // As fast as the node can read, and no faster: what is to be slow here is its encoder.
        until("Redis has handed over everything", async || {
            pipeline.redis.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).matches(" omem=0 ").count() == 2
        })
        .await;
        memory.push(slow.peak_memory() >> 20);
        assert!(sent < 8_000, "the encoder keeps up with everything");
    }
    let sent = sent as u64;
    until("the viewer has everything", async || viewer.stats().received == sent).await;
    assert_eq!(viewer.stats().disconnects, 0);
    until("so has the slow one", async || slow.count("msight_queue_arrived_total") == sent).await;
    assert_eq!(slow.count("msight_bus_disconnects_total"), 0, "it reads, however slow it works");
    assert!(slow.log().contains("lower --fps"), "the loss and its fix are logged:\n{}", slow.log());
    assert!(memory.iter().all(|megabytes| *megabytes < 300), "{memory:?} MB");
    slow.stop().await;
    assert_accounted(&slow);
}

/// Every message that reached the node is accounted for.
fn assert_accounted(node: &Program) {
    let arrived = node.counted("queue_arrived");
    let unread = node.counted("queue_dropped") + node.counted("abandoned");
    assert_eq!(arrived, node.counted("received") + unread, "{}", node.name);
    let frames = node.counted("aggregator_frames");
    let missing = node.counted("aggregator_left_out") + node.counted("aggregator_dropped");
    assert_eq!(frames, node.counted("aggregator_encoded") + missing, "{}", node.name);
}

/// A picture that takes long to decode and to encode.
fn noise() -> Picture {
    let mut picture = Picture::new(Size::new(1920, 1080).expect("a size"), Colour::JPEG);
    let mut random = fastrand::Rng::with_seed(7);
    picture.planes_mut().y.fill_with(|| random.u8(116..140));
    picture
}

/// What the node's own queue drops is in the sidecar of the sensor that it was of.
#[tokio::test(flavor = "multi_thread")]
async fn sidecars_count_what_the_full_queue_dropped_by_sensor() {
    let pipeline = Pipeline::start().await;
    let flags = "--timing constant --fps 30 --buffer-size 1000 --idle-timeout 1 --queue-size 3";
    let mut aggregator = pipeline.aggregator(flags);
    let mut pusher = pipeline.pusher("");
    subscribers(&pipeline, 1).await;
    until("the pusher is subscribed", async || pipeline.are_running(&["pusher"])).await;
    let (bus, topic) = (pipeline.redis.bus().await, Topic::new("frames").expect("a topic"));
    let picture =
        Picture::new(Size::new(64, 48).expect("a size"), Colour::JPEG).to_image(80).expect("a JPEG");
    let publish = async |sensor: &str| {
        bus.publish(&topic, message(sensor, picture.clone())).await.expect("Redis accepts it");
    };
    aggregator.signal("-STOP");
    for number in 0..90 {
        // Two of three are of one sensor.
        publish(if number % 3 == 0 { "bridge" } else { "gate" }).await;
    }
    aggregator.signal("-CONT");
    until("all have arrived", async || aggregator.count("msight_queue_arrived_total") == 90).await;
    // A frame that tells what was lost before it.
    for sensor in ["gate", "bridge"] {
        publish(sensor).await;
    }
    let lost = |sensor: &str| -> u64 {
        let sidecars = pipeline.stored("json").into_iter().map(|path| sidecar(&path));
        let of_sensor = sidecars.filter(|sidecar| sidecar["sensor_name"] == sensor);
        let lost = |sidecar: &serde_json::Value, name: &str| sidecar[name].as_u64().expect("a number");
        of_sensor.map(|one| lost(&one, "frames_lost_before") + lost(&one, "frames_lost_within")).sum()
    };
    let shown = |sensor: &str| -> u64 {
        let sidecars = pipeline.stored("json").into_iter().map(|path| sidecar(&path));
        let ids = sidecars.filter(|sidecar| sidecar["sensor_name"] == sensor);
        ids.map(|sidecar| sidecar["frame_ids"].as_array().expect("ids").len() as u64).sum()
    };
    until("all frames are in a segment or counted", async || {
        [("gate", 61), ("bridge", 31)].into_iter().all(|(sensor, sent)| shown(sensor) + lost(sensor) == sent)
    })
    .await;
    assert!(lost("gate") > lost("bridge") && lost("bridge") > 0, "{} {}", lost("gate"), lost("bridge"));
    assert_eq!(aggregator.count("msight_queue_dropped_total"), lost("gate") + lost("bridge"));
    for node in [&mut aggregator, &mut pusher] {
        node.stop().await;
    }
}
