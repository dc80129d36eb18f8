//! Segments without a spool folder: a Redis with its defaults delivers the largest one.

use std::process::Command;

use bytes::Bytes;
use msight_bus::{Overflow, QueueConfig};
use msight_proto::{VideoData, decode};
use msight_test_support::bus::{next, topic};
use msight_test_support::redis::RedisServer;
use msight_test_support::{Program, until};

use crate::recovery::{is_ready, publish};
use crate::stream::{Recipe, units};

/// Bytes of each unit.
const UNIT: usize = 600 << 10;

/// A NAL unit with filler data (ISO/IEC 14496-10, 7.3.2.7) behind those of a picture.
fn pad(picture: &[u8]) -> Bytes {
    let filler = u32::try_from(UNIT - picture.len() - 4).unwrap();
    let mut padded = [picture, &filler.to_be_bytes(), &[0x0c]].concat();
    padded.resize(UNIT - 1, 0xff);
    padded.push(0x80);
    padded.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_segment_reaches_a_subscriber_of_a_redis_with_its_defaults() {
    let redis = RedisServer::start(&[]);
    let bus = redis.bus().await;
    let video = "-c:v libx264 -preset ultrafast -bf 0 -g 50 -keyint_min 50 -sc_threshold 0";
    let mut sent = units("gate", "a", Recipe { video, audio: "", seconds: 3 });
    sent.truncate(51);
    sent.iter_mut().for_each(|unit| unit.body.data = pad(&unit.body.data));
    let queue = QueueConfig { max_items: 10, max_bytes: 1 << 30, overflow: Overflow::DropNewest };
    let mut segments = bus.subscribe(&topic("segments"), queue).await.unwrap();

    let mut command = Command::new(env!("CARGO_BIN_EXE_msight_launch_recorder"));
    let line = "-n recorder -st units -pt segments --metrics 127.0.0.1:0 --log-format text";
    command
        .args(line.split(' '))
        .env_clear()
        .env("MSIGHT_EDGE_DEVICE_NAME", "edge1")
        .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", redis.port.to_string());
    let mut node = Program::start("recorder", command);
    node.serves_metrics().await;
    until("it is ready", async || is_ready(&node)).await;
    for (number, unit) in (1..).zip(&sent) {
        assert!(publish(&*bus, unit).await);
        // Redis would disconnect a recorder that is 32 MiB behind.
        node.reaches("msight_recorder_units_total", number).await;
    }
    let message = next(&mut segments).await;
    assert!((26 << 20..28 << 20).contains(&message.len()), "{} bytes", message.len());
    let segment = decode::<VideoData>(&message).unwrap();
    let frames = segment.body.capture_timestamps.unwrap().len() as u64;
    let lost = node.count("msight_recorder_dropped_total{node=\"recorder\",reason=\"too_long\"}");
    assert!(lost > 0 && frames + lost == 50, "{frames} frames, {lost} lost");
    node.stop().await;
    let last = decode::<VideoData>(&next(&mut segments).await).unwrap();
    assert_eq!(last.body.capture_timestamps.unwrap().len(), 1);
}
