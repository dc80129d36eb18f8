//! A bus that takes no segments for a while: nothing is acknowledged before it is safe, and what is lost at the
//! end is counted.

use msight_bus::{Bus, MemoryRegistry, Receivers, Topic};
use msight_image_to_video::{ImageToVideo, Incoming, Settings, metrics};
use msight_node::health::Health;
use msight_node::metrics::{Counter, Metric, Metrics, Unit};
use msight_node::testing::GatedBus;
use msight_node::{Context, Node, Processor, Publisher, Resources, Result};
use msight_picture::{Colour, Picture, Size};
use msight_proto::{Head, ImageData, Receipt, Sample, VideoData, encode};
use msight_test_support::{DEADLINE, until};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Takes as many messages on the topic `videos` as it has permits.
fn slow_bus(permits: &Arc<Semaphore>) -> GatedBus {
    let permits = permits.clone();
    GatedBus::new(move |topic| {
        let permits = (topic.as_str() == "videos").then(|| permits.clone());
        Box::pin(async move {
            if let Some(permits) = permits {
                permits.acquire_owned().await.expect("it is never closed").forget();
            }
            Ok(())
        })
    })
}

const ACKNOWLEDGED: Metric = Metric::count("acknowledged_total", Unit::Frames, "Frames acknowledged.");

/// The node, fed from a topic that wants its frames acknowledged, and how many of them are.
struct Durable {
    node: ImageToVideo,
    acknowledged: Counter,
}

impl Node for Durable {
    const NAME: &'static str = ImageToVideo::NAME;
    type Args = Settings;

    async fn open(flags: Settings, cx: &Context) -> Result<Self> {
        let acknowledged = cx.metrics().counter(&ACKNOWLEDGED);
        Ok(Self { node: ImageToVideo::open(flags, cx).await?, acknowledged })
    }
}

impl Processor for Durable {
    type In = ImageData;
    type Out = VideoData;

    async fn process(&mut self, frame: Sample<ImageData>, out: &Publisher<VideoData>) -> Result<()> {
        let acknowledged = self.acknowledged.clone();
        let receipt = Receipt::new(move || acknowledged.inc());
        self.node.process(frame.with_receipt(receipt).map(Incoming::Picture), out).await
    }

    async fn finish(&mut self, out: &Publisher<VideoData>) -> Result<()> {
        self.node.finish(out).await
    }
}

/// A node that runs on a slow bus.
struct Bench {
    permits: Arc<Semaphore>,
    metrics: Metrics,
    stop: CancellationToken,
    node: JoinHandle<Result<()>>,
}

impl Bench {
    /// Starts the node and sends it this many frames of one sensor.
    async fn start(flags: &str, frames: u32) -> Self {
        let permits = Arc::new(Semaphore::new(0));
        let bus = Arc::new(slow_bus(&permits));
        let (metrics, stop) = (Metrics::default(), CancellationToken::new());
        let resources = Resources {
            bus: bus.clone(),
            registry: Arc::new(MemoryRegistry::new()),
            local: None,
            device: "edge".into(),
            metrics: metrics.clone(),
            health: Health::default(),
            stop: stop.clone(),
        };
        let flags = format!(
            "-n a -st frames -pt videos --fps 10 --overlap-size 0 --queue-size 1000 --sensor-queue 1000 {flags}"
        );
        let flags: Vec<_> = flags.split_whitespace().map(str::to_owned).collect();
        let node =
            tokio::spawn(async move { msight_node::processor::<Durable>().run(flags, resources).await });

        let image = Picture::new(Size::new(64, 64).unwrap(), Colour::JPEG).to_image(80).unwrap();
        let topic = Topic::new("frames").unwrap();
        for k in 0..frames {
            let head = Head::new("gate".to_owned(), 1.7e9 + f64::from(k) / 10.0);
            let frame = encode(&Sample::new(head, image.clone())).unwrap();
            let publish = async {
                while bus.publish(&topic, frame.clone()).await.unwrap() == Receivers::Known(0) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(DEADLINE, publish).await.expect("the node subscribes");
        }
        Self { permits, metrics, stop, node }
    }

    /// A counter of the node.
    fn count(&self, metric: &Metric, reasons: &[&str]) -> u64 {
        self.metrics.labelled("node", "a").counter_with(metric, reasons).get()
    }

    fn full_segments(&self) -> u64 {
        self.count(&metrics::SEGMENTS, &["full"])
    }
}

/// Waits until the number is at least this, and returns it.
async fn at_least(least: u64, number: impl Fn() -> u64) -> u64 {
    until(&format!("{least} or more"), async || number() >= least).await;
    number()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_acknowledged_when_the_bus_has_their_segment() {
    let mut bench = Bench::start("--buffer-size 2", 6).await;
    let acknowledged = || bench.count(&ACKNOWLEDGED, &[]);
    // The second segment follows when the first one is in the hands of the publisher.
    at_least(2, || bench.full_segments()).await;
    assert_eq!(acknowledged(), 0);
    bench.permits.add_permits(1);
    assert_eq!(at_least(2, acknowledged).await, 2);
    bench.permits.add_permits(100);
    bench.stop.cancel();
    tokio::time::timeout(DEADLINE, &mut bench.node).await.unwrap().unwrap().unwrap();
    assert_eq!(bench.count(&ACKNOWLEDGED, &[]), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_wait_at_the_end_are_counted() {
    const SENT: u64 = 90;
    let mut bench = Bench::start("--buffer-size 1 --grace 0.2", SENT as u32).await;
    at_least(SENT, || bench.count(&metrics::FRAMES, &[])).await;
    // The publisher takes 64 messages. The thread waits with the next one, which it has when the one after it is
    // there.
    at_least(65, || bench.full_segments()).await;
    bench.stop.cancel();
    tokio::time::timeout(DEADLINE, &mut bench.node).await.unwrap().unwrap().unwrap_err();
    let lost = bench.count(&metrics::DROPPED, &["stopped"]);
    assert!(lost > 0);
    assert_eq!(at_least(SENT - lost, || bench.count(&metrics::ENCODED, &[])).await, SENT - lost);
    let lost_segments = || bench.count(&metrics::SEGMENTS_LOST, &["stopped"]);
    assert_eq!(at_least(SENT - lost - 64, lost_segments).await, SENT - lost - 64);
}
