//! What comes from a topic is hostile until it is parsed: nothing that is published takes a node down, costs it
//! memory without bound, or leads an object astray.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use msight_bus::{Bus, Topic};
use msight_picture::{Colour, Picture, Size};
use msight_proto::{AccessUnitData, Head, ImageData, Message as _, Sample, VideoData, decode, encode};
use msight_test_support::{Program, until};

use crate::pipeline::{Pipeline, files, plays, sidecar};

/// A time of capture to begin with.
const BEGIN: f64 = 1_795_266_000.0;
/// Nothing that is sent is to be dropped before it is read.
const ROOMY: &str = "--queue-size 100000 --queue-bytes 1GiB";

/// The aggregator and the pusher, and the node that feeds them.
struct Road {
    aggregator: Program,
    pusher: Program,
    pipeline: Pipeline,
    bus: Arc<dyn Bus>,
}

impl Road {
    async fn start(aggregator: &str, pusher: &str) -> Self {
        let pipeline = Pipeline::start().await;
        let aggregator = pipeline.aggregator(&format!("--fps 10 {aggregator}"));
        let pusher = pipeline.pusher(pusher);
        until("both are subscribed", async || {
            pipeline.redis.cli(&["PUBSUB", "NUMSUB", "frames", "segments"]).matches('1').count() == 2
        })
        .await;
        let bus = pipeline.redis.bus().await;
        Self { aggregator, pusher, pipeline, bus }
    }

    async fn publish(&self, topic: &str, payload: &Bytes) {
        let topic = Topic::new(topic).expect("a topic");
        self.bus.publish(&topic, payload.clone()).await.expect("Redis takes it");
    }

    /// Publishes frames of a sensor, 0.1 s apart.
    async fn film(&self, sensor: Option<&str>, frames: u32) {
        for number in 0..frames {
            let head = head(sensor, BEGIN + f64::from(number) / 10.0);
            self.publish("frames", &encode(&Sample::new(head, picture(64, 48))).expect("a message")).await;
        }
    }

    /// Whether a segment of this sensor is in the bucket.
    fn has_stored(&self, sensor: &str) -> bool {
        let named = |path: &Path| sidecar(path)["sensor_name"] == sensor;
        self.pipeline.stored("json").iter().any(|path| named(path))
    }

    async fn stop(&mut self) {
        for node in [&mut self.aggregator, &mut self.pusher] {
            assert!(node.is_running(), "{} has ended", node.name);
            node.stop().await;
            assert!(!node.log().contains("panicked"), "{} has panicked", node.name);
        }
    }
}

fn head(sensor: Option<&str>, time: f64) -> Head {
    Head::new(sensor.map(str::to_owned), time)
}

fn picture(width: u32, height: u32) -> ImageData {
    let size = Size::new(width as usize, height as usize).expect("a size");
    Picture::new(size, Colour::JPEG).to_image(80).expect("a JPEG")
}

fn frame(time: f64, body: ImageData) -> Bytes {
    encode(&Sample::new(head(Some("strange"), time), body)).expect("a message")
}

/// The messages that MSight and its tests know, good and bad ones.
fn golden() -> Vec<Bytes> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/tests/golden");
    let files = files(&folder, "msgpack");
    assert!(files.len() > 100, "{}", files.len());
    files.iter().map(|path| std::fs::read(path).expect("a file").into()).collect()
}

/// Random bytes, and good messages with some of their bytes replaced.
fn noise(golden: &[Bytes]) -> Vec<Bytes> {
    let mut random = fastrand::Rng::with_seed(0x6d73_6967_6874);
    let mut bytes = |length| (0..length).map(|_| random.u8(..)).collect::<Vec<u8>>();
    let mut noise: Vec<Bytes> = (0..200).map(|length| bytes(length * 7).into()).collect();
    for message in golden.iter().chain(golden) {
        let mut damaged = message.to_vec();
        for _ in 0..4.min(damaged.len()) {
            let at = random.usize(..damaged.len());
            damaged[at] = random.u8(..);
        }
        noise.push(damaged.into());
    }
    noise
}

/// A message of a type whose field has this value.
fn with(data_type: &str, field: &str, value: &[u8]) -> Bytes {
    let text = |text: &str| [&[0xd9, text.len() as u8], text.as_bytes()].concat();
    [&[0x82], &text("data_type")[..], &text(data_type), &text(field), value].concat().into()
}

/// Lengths that lie, nesting without end, and more of everything than there may be.
fn lies() -> Vec<Bytes> {
    let mut values = vec![
        b"\xc6\xff\xff\xff\xff".to_vec(),
        b"\xdb\xff\xff\xff\xff".to_vec(),
        b"\xdd\xff\xff\xff\xff".to_vec(),
        b"\xdf\xff\xff\xff\xff".to_vec(),
        b"\xc9\xff\xff\xff\xff\x01".to_vec(),
        [vec![0x91; 1_000_000], vec![0xc0]].concat(),
        [vec![0x81; 100_000], vec![0xc0]].concat(),
        [b"\xdd\x00\x1e\x84\x80".to_vec(), vec![0xc0; 2_000_000]].concat(),
    ];
    // As deep as allowed.
    values.push([vec![0x91; 30], vec![0xc0]].concat());
    let fields =
        [(ImageData::TYPE, "image"), (ImageData::TYPE, "size"), (VideoData::TYPE, "capture_timestamps")];
    let lies = fields.iter().flat_map(|(kind, field)| values.iter().map(|value| with(kind, field, value)));
    lies.chain(values.iter().map(|value| value.clone().into())).collect()
}

/// Frames that are no pictures, pictures that say they are larger than they are, and raw ones that lie.
fn bad_pictures() -> Vec<ImageData> {
    let encoded = |bytes: Vec<u8>| ImageData {
        image: Some(bytes.into()),
        is_encoded: true,
        detection_results: None,
        size: None,
        access_unit: None,
    };
    let raw = |bytes: usize, size: &[u64]| ImageData {
        image: Some(vec![0; bytes].into()),
        is_encoded: false,
        detection_results: None,
        size: Some(size.to_vec()),
        access_unit: None,
    };
    let jpeg = picture(64, 48).image.expect("a JPEG").bytes().expect("bytes").to_vec();
    let mut huge = jpeg.clone();
    let frame_header = huge.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a baseline JPEG");
    huge[frame_header + 5..frame_header + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0".to_vec();
    png.extend(b"\0\0\0\0\0\0\0\x01IDATx\0\0\0\0");
    vec![
        encoded(b"no picture at all".to_vec()),
        encoded(Vec::new()),
        encoded(jpeg[..jpeg.len() / 3].to_vec()),
        encoded(jpeg[..3].to_vec()),
        encoded(huge),
        encoded(png),
        ImageData::default(),
        raw(48, &[1_000_000_000, 1_000_000_000, 3]),
        raw(48, &[u64::MAX, u64::MAX, u64::MAX]),
        raw(48, &[4, 4]),
        raw(48, &[]),
        raw(0, &[0, 0, 3]),
        raw(48, &[4, 4, 3]),
        picture(2, 2),
        picture(1, 1),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_takes_a_node_down() {
    let mut road = Road::start(&format!("--buffer-size 5 --idle-timeout 1 {ROOMY}"), ROOMY).await;
    let golden = golden();
    let mut payloads = noise(&golden);
    payloads.extend(golden);
    payloads.extend(lies());
    let times = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300];
    payloads.extend(times.map(|time| frame(time, picture(64, 48))));
    let times_of_bad = (0..).map(|number| BEGIN + f64::from(number) / 10.0);
    payloads.extend(times_of_bad.zip(bad_pictures()).map(|(time, picture)| frame(time, picture)));
    for payload in &payloads {
        road.publish("frames", payload).await;
        road.publish("segments", payload).await;
    }
    // Repeated, late, and of changing sizes: of these 9 frames, 2 are late.
    for (tenths, size) in [(0, 64), (1, 64), (1, 64), (2, 128), (0, 128), (3, 64), (4, 96), (5, 96), (6, 96)]
    {
        let head = head(Some("restless"), BEGIN + f64::from(tenths) / 10.0);
        let message = encode(&Sample::new(head, picture(size, 48))).expect("a message");
        road.publish("frames", &message).await;
    }
    road.film(Some("after all"), 5).await;

    until("a good segment comes through", async || road.has_stored("after all")).await;
    let sent = payloads.len() as u64;
    let aggregator = &road.aggregator;
    assert_eq!(aggregator.count("msight_received_total"), sent + 9 + 5);
    let frames = aggregator.count("msight_aggregator_frames_total");
    let is_beside_video =
        |message: &&Bytes| decode::<AccessUnitData>(message).is_ok_and(|unit| unit.body.track != "video");
    let beside_video = payloads.iter().filter(is_beside_video).count() as u64;
    assert_eq!(frames + beside_video + aggregator.count("msight_bad_messages_total"), sent + 9 + 5);
    let (left_out, lost) = ("msight_aggregator_left_out_total", "msight_aggregator_dropped_total");
    until("all frames are accounted for", async || {
        let shown =
            ["encoded", "copied"].map(|how| aggregator.count(&format!("msight_aggregator_{how}_total")));
        shown.iter().sum::<u64>() + aggregator.count(lost) + aggregator.count(left_out) == frames
    })
    .await;
    assert!(aggregator.count(&format!(r#"{left_out}{{reason="no_time"}}"#)) >= times.len() as u64);
    assert!(aggregator.count(&format!(r#"{left_out}{{reason="late"}}"#)) >= 2);
    for reason in ["malformed", "other type", "too large"] {
        let series = format!(r#"msight_bad_messages_total{{reason="{reason}"}}"#);
        assert!(aggregator.count(&series) > 0 && road.pusher.count(&series) > 0, "{reason}");
    }
    let restless =
        || road.pipeline.stored("mp4").into_iter().filter(|path| path.iter().any(|part| part == "restless"));
    // 64, 64 | 128 | 64 | 96, 96, 96
    until("a segment for each size", async || restless().count() == 4).await;
    restless().for_each(|video| plays(&video));

    let pusher = &road.pusher;
    until("the pusher has read all", async || {
        let used = pusher.count("msight_segments_received_total") + pusher.count("msight_failed_total");
        pusher.count("msight_received_total") == used + pusher.count("msight_bad_messages_total")
            && pusher.count("msight_received_total") > sent
    })
    .await;
    for node in [&road.aggregator, &road.pusher] {
        assert!(node.peak_memory() < 300 << 20, "{} took {} MB", node.name, node.peak_memory() >> 20);
    }
    road.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_names_never_share_a_key_and_none_leaves_the_prefix() {
    let names = [
        Some("../../x"),
        Some(".."),
        Some("."),
        Some(""),
        None,
        Some("None"),
        Some("/"),
        Some("//"),
        Some("a/b"),
        Some("/etc/passwd"),
        Some("nul\0byte"),
        Some("new\nline"),
        Some("\r\n2026-01-01 00:00:00,000 - forged"),
        Some("\u{1b}[2Jcleared"),
        Some("%2e%2e"),
        Some("%2E%2E"),
        Some("..%2f..%2fx"),
        Some("..\\x"),
        Some("a b "),
        Some("a b"),
        Some("CON"),
        Some("\u{e9}"),
        Some("e\u{301}"),
        Some("\u{202e}rtl"),
        Some("%empty"),
        Some("%"),
        Some("a.mp4"),
        Some("a/../b"),
        Some("\u{fffe}"),
        Some("*?<>|\":"),
    ];
    let mut road = Road::start(&format!("--buffer-size 2 {ROOMY}"), ROOMY).await;
    for name in names {
        road.film(name, 2).await;
    }
    // Longer than the built-in store can keep, though S3 can: the pusher cuts such a name to 255 bytes.
    let long = "x".repeat(10_000);
    for name in [&long, &format!("{long}y")] {
        road.film(Some(name), 2).await;
    }
    until("a segment of each", async || road.pipeline.stored("json").len() >= names.len()).await;
    until("the others are refused", async || road.pusher.count("msight_segments_failed_total") == 2).await;
    let of = |path: &Path| sidecar(path)["sensor_name"].as_str().map(str::to_owned);
    let stored: HashSet<Option<String>> = road.pipeline.stored("json").iter().map(|path| of(path)).collect();
    let sent: HashSet<Option<String>> = names.iter().map(|name| name.map(str::to_owned)).collect();
    assert_eq!(stored, sent);
    let videos = road.pipeline.stored("mp4");
    assert_eq!(videos.len(), names.len(), "{videos:#?}");
    videos.iter().for_each(|video| plays(video));
    assert_eq!(files(road.pipeline.folder(), "mp4"), videos, "all videos are below the prefix");
    for node in [&road.aggregator, &road.pusher] {
        let log = node.log();
        assert!(log.contains("forged"), "names are logged");
        assert!(log.lines().all(|line| line.len() < 4_000), "and cut");
        assert!(!log.contains('\u{1b}') && !log.lines().any(|line| line.starts_with("2026-01-01")), "{log}");
    }
    road.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_a_sensor_name_are_reported_once_and_counted() {
    let mut road = Road::start(&format!("--buffer-size 25 {ROOMY}"), ROOMY).await;
    road.film(Some(""), 50).await;
    road.film(None, 50).await;
    road.film(Some("gate"), 25).await;
    until("a segment of the sensor with a name", async || road.has_stored("gate")).await;
    until("all segments", async || road.pipeline.stored("json").len() == 5).await;
    assert_eq!(road.aggregator.count("msight_aggregator_unnamed_total"), 100);
    for node in [&road.aggregator, &road.pusher] {
        let warnings = node.lines(" WARNING ").len() + node.lines(" ERROR ").len();
        assert!(warnings <= 1, "{}: {}", node.name, node.log());
    }
    assert_eq!(road.aggregator.lines("without a sensor name").len(), 1);
    road.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_sensors_cost_no_more_than_the_limit() {
    const SENSORS: u64 = 10_000;
    let mut road = Road::start(&format!("--buffer-size 5 {ROOMY}"), "").await;
    let picture = picture(64, 48);
    for number in 0..SENSORS {
        let sensor = format!("sensor {number}");
        let message = encode(&Sample::new(head(Some(&sensor), BEGIN), picture.clone())).expect("a message");
        road.publish("frames", &message).await;
    }
    let aggregator = &road.aggregator;
    until("all are read", async || aggregator.count("msight_aggregator_frames_total") == SENSORS).await;
    let threads = aggregator.proc("status");
    let threads =
        threads.lines().find_map(|line| line.strip_prefix("Threads:")).expect("a number of threads");
    assert!(threads.trim().parse::<u32>().expect("a number") < 64 + 20, "{threads}");
    until("all are accounted for", async || {
        let lost = aggregator.count(r#"msight_aggregator_dropped_total{reason="sensors"}"#);
        lost > SENSORS / 2 && lost + aggregator.count("msight_aggregator_encoded_total") == SENSORS
    })
    .await;
    let metrics = aggregator.get("/metrics").expect("metrics");
    // Of each metric, sensors have at most 200 series, whatever the number of sensors.
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.contains(r#"sensor="sensor "#)) {
        *named.entry(line.split('{').next().unwrap_or_default()).or_default() += 1;
    }
    assert!(metrics.len() < 50_000 && named.values().all(|series| *series <= 200), "{named:?} in {metrics}");
    assert!(aggregator.peak_memory() < 500 << 20, "{} MB", aggregator.peak_memory() >> 20);
    // The sensors that were first make room when they have been quiet for a while.
    until("a sensor more is taken", async || {
        road.film(Some("one more"), 5).await;
        road.has_stored("one more")
    })
    .await;
    road.stop().await;
}

/// Redis' stock limits end every subscription on the topic at a message above 32 MB: the nodes never see it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_500_mb_costs_the_subscription_and_nothing_else() {
    let mut road = Road::start("--buffer-size 5", "").await;
    let mut client = TcpStream::connect(("127.0.0.1", road.pipeline.redis.port)).expect("Redis");
    write!(client, "*3\r\n$7\r\nPUBLISH\r\n$6\r\nframes\r\n$500000000\r\n").expect("a header");
    let zeros = vec![0; 1_000_000];
    (0..500).for_each(|_| client.write_all(&zeros).expect("a part of the message"));
    client.write_all(b"\r\n").expect("the end of the message");

    road.aggregator.says("client-output-buffer-limit").await;
    until("a frame arrives again", async || {
        road.film(Some("gate"), 5).await;
        road.has_stored("gate")
    })
    .await;
    assert!(road.aggregator.peak_memory() < 200 << 20, "{} MB", road.aggregator.peak_memory() >> 20);
    road.stop().await;
}
