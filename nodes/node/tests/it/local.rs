//! Nodes of one process: samples go from one to the other as they are, and all else is as on a bus.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use msight_bus::{Bus, Connection, MemoryRegistry, Overflow, QueueConfig, Subscription, Table, Topic};
use msight_node::health::Health;
use msight_node::testing::GatedBus;
use msight_node::{
    Context, Entry, Local, Node, Processor, Publisher, Resources, Result, Sink, Source, anyhow, processor,
    sink, source,
};
use msight_proto::{
    BytesData, DecodedImage, EncodeError, Head, Image, ImageData, Message, Receipt, Sample, decode,
};
use msight_test_support::redis::RedisServer;
use msight_test_support::until;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::running::{NoFlags, Running, resources};

/// Nodes that share a process, each with a stop of its own.
struct Process {
    resources: Resources,
}

impl Process {
    fn new() -> Self {
        Self::on(Connection::memory())
    }

    fn on(connection: Connection) -> Self {
        let resources = Resources { local: Some(Local::new()), ..resources(connection) };
        Self { resources }
    }

    fn local(&self) -> &Local {
        self.resources.local.as_ref().unwrap()
    }

    fn start(&self, entry: Entry, args: &str) -> Running {
        let resources =
            Resources { health: Health::default(), stop: CancellationToken::new(), ..self.resources.clone() };
        Running::start_with(resources, entry, args)
    }

    /// Starts a node that others depend on.
    async fn ready(&self, entry: Entry, args: &str) -> Running {
        let node = self.start(entry, args);
        node.until("the node is ready", |resources| resources.health.unready().is_none()).await;
        node
    }

    /// The sum of the metrics of that name and node.
    fn count(&self, node: &str, name: &str) -> u64 {
        let label = format!("node=\"{node}\"");
        let text = self.resources.metrics.render();
        let of_node =
            text.lines().filter(|line| line.split('{').next() == Some(name) && line.contains(&label));
        of_node.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}

/// Samples that a test may have under way at an end.
const MOST_SAMPLES: usize = 1024;

/// Defines a source that gives what a channel of the test does, and a sink that hands to one. Each test has its own,
/// because a node is made of its type alone.
macro_rules! ends {
    ($module:ident, $message:ty) => {
        #[allow(dead_code, reason = "a test has the ends that it needs")]
        mod $module {
            use super::*;

            type Channel = (mpsc::Sender<Sample<$message>>, Mutex<Option<mpsc::Receiver<Sample<$message>>>>);
            static IN: std::sync::LazyLock<Channel> = std::sync::LazyLock::new(|| {
                let (sender, receiver) = mpsc::channel(MOST_SAMPLES);
                (sender, Mutex::new(Some(receiver)))
            });
            static OUT: std::sync::LazyLock<Channel> = std::sync::LazyLock::new(|| {
                let (sender, receiver) = mpsc::channel(MOST_SAMPLES);
                (sender, Mutex::new(Some(receiver)))
            });

            pub(super) fn give(sample: Sample<$message>) {
                IN.0.try_send(sample).unwrap();
            }

            pub(super) fn taken() -> mpsc::Receiver<Sample<$message>> {
                OUT.1.lock().unwrap().take().expect("asked for once")
            }

            pub(super) struct Give(mpsc::Receiver<Sample<$message>>);
            impl Node for Give {
                const NAME: &'static str = "give";
                type Args = NoFlags;
                async fn open(_: NoFlags, _: &Context) -> Result<Self> {
                    Ok(Self(IN.1.lock().unwrap().take().expect("opened once")))
                }
            }
            impl Source for Give {
                type Out = $message;
                async fn next(&mut self) -> Result<Option<Sample<$message>>> {
                    Ok(self.0.recv().await)
                }
            }

            pub(super) struct Take;
            impl Node for Take {
                const NAME: &'static str = "take";
                type Args = NoFlags;
                async fn open(_: NoFlags, _: &Context) -> Result<Self> {
                    Ok(Self)
                }
            }
            impl Sink for Take {
                type In = $message;
                async fn consume(&mut self, sample: Sample<$message>) -> Result<()> {
                    OUT.0.try_send(sample).map_err(|_| anyhow!("the test is over"))
                }
            }
        }
    };
}

/// A picture that knows whether it was encoded.
struct Planes(Arc<AtomicBool>);

impl DecodedImage for Planes {
    fn encode(&self) -> Result<Bytes, EncodeError> {
        self.0.store(true, SeqCst);
        Ok(Bytes::from_static(b"a file"))
    }
    fn memory(&self) -> usize {
        1 << 20
    }
}

fn picture(encoded: &Arc<AtomicBool>) -> Sample<ImageData> {
    let image = Some(Image::from_decoded(Planes(encoded.clone())));
    let body = ImageData { image, is_encoded: true, detection_results: None, size: Some(vec![2, 2, 3]) };
    Sample::new(Head::new("north".to_owned(), 1.0), body)
}

/// Hands pictures on.
struct Pass;
impl Node for Pass {
    const NAME: &'static str = "pass";
    type Args = NoFlags;
    async fn open(_: NoFlags, cx: &Context) -> Result<Self> {
        assert!(cx.hands_over());
        Ok(Self)
    }
}
impl Processor for Pass {
    type In = ImageData;
    type Out = ImageData;
    async fn process(&mut self, sample: Sample<ImageData>, out: &Publisher<ImageData>) -> Result<()> {
        out.publish(sample).await
    }
}

ends!(pictures, ImageData);

#[tokio::test]
async fn a_picture_goes_through_three_nodes_as_it_is() {
    let process = Process::new();
    let mut taken = pictures::taken();
    let take = process.ready(sink::<pictures::Take>(), "-n take -st passed").await;
    let pass = process.ready(processor::<Pass>(), "-n pass -st pictures -pt passed").await;
    let give = process.start(source::<pictures::Give>(), "-n give -pt pictures -sn s");

    let encoded = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicBool::new(false));
    let receipt = Receipt::new({
        let acknowledged = acknowledged.clone();
        move || acknowledged.store(true, SeqCst)
    });
    let sample = picture(&encoded).with_receipt(receipt);
    let (head, planes) = (sample.head.clone(), std::ptr::from_ref(planes(&sample)) as usize);
    pictures::give(sample);
    let sample = taken.recv().await.unwrap();
    assert_eq!(sample.head, head);
    assert_eq!(std::ptr::from_ref(self::planes(&sample)) as usize, planes, "the same allocation");
    assert!(!encoded.load(SeqCst), "no node has asked for bytes");
    // The receipt has come with it, and is held as long as the sample is.
    assert!(!acknowledged.load(SeqCst));
    drop(sample);
    until("acknowledged", async || acknowledged.load(SeqCst)).await;
    assert_eq!(Arc::strong_count(&encoded), 1, "nothing holds the picture any more");

    // Counted as on a bus, in the bytes that are held.
    for (node, name) in [
        ("give", "msight_published_total"),
        ("pass", "msight_received_total"),
        ("take", "msight_queue_arrived_total"),
    ] {
        until(name, async || process.count(node, name) == 1).await;
    }
    assert!((1 << 20..1 << 21).contains(&process.count("take", "msight_received_bytes_total")));
    let registry = process.resources.registry.clone();
    let names: Vec<String> =
        registry.read(Table::Nodes).await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["give", "pass", "take"]);
    assert_eq!(registry.read(Table::Topics).await.unwrap().len(), 2);
    for node in [give, pass, take] {
        node.stop().await.unwrap();
    }
    assert_eq!(registry.read(Table::Nodes).await.unwrap(), []);
}

fn planes(sample: &Sample<ImageData>) -> &Planes {
    sample.body.image.as_ref().unwrap().decoded().expect("the picture itself")
}

ends!(plain, Plain);

/// A message of a custom node, that cannot be cloned.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Plain {
    number: u32,
}
impl Message for Plain {
    const TYPE: &'static str = "example.Plain";
}

/// Another type under the same name, as a custom node may have it that reads only a part.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct PlainToo {
    #[serde(default)]
    note: Option<String>,
    number: u64,
}
impl Message for PlainToo {
    const TYPE: &'static str = Plain::TYPE;
}

ends!(plain_too, PlainToo);
ends!(foreign, BytesData);

#[tokio::test]
async fn every_subscriber_gets_what_it_would_have_got_from_a_bus() {
    let process = Process::new();
    let (mut taken, mut taken_too, mut foreign) = (plain::taken(), plain_too::taken(), foreign::taken());
    let nodes = [
        process.ready(sink::<plain_too::Take>(), "-n too -st plain").await,
        process.ready(sink::<foreign::Take>(), "-n foreign -st plain").await,
        process.ready(sink::<plain::Take>(), "-n take -st plain").await,
        process.start(source::<plain::Give>(), "-n give -pt plain -sn s"),
    ];
    for number in 0..3 {
        plain::give(Sample::new(Head::new(None, f64::from(number)), Plain { number }));
    }
    for number in 0..3 {
        assert_eq!(taken.recv().await.unwrap().body, Plain { number });
        let too = taken_too.recv().await.unwrap();
        assert_eq!((too.body.number, too.body.note), (number.into(), None));
        assert_eq!(too.head.capture_timestamp, f64::from(number));
    }
    until("all are counted as of another type", async || {
        process.count("foreign", "msight_bad_messages_total") == 3
    })
    .await;
    assert!(foreign.try_recv().is_err());
    for node in nodes {
        node.stop().await.unwrap();
    }
}

/// Takes messages when it is let.
struct Slow;
static GATE: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(0);
impl Node for Slow {
    const NAME: &'static str = "slow";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}
impl Sink for Slow {
    type In = ImageData;
    async fn consume(&mut self, sample: Sample<ImageData>) -> Result<()> {
        GATE.acquire().await?.forget();
        SLOW_TAKEN.lock().unwrap().push(sample.head.capture_timestamp);
        Ok(())
    }
}
static SLOW_TAKEN: Mutex<Vec<f64>> = Mutex::new(Vec::new());

ends!(many, ImageData);

#[tokio::test]
async fn a_slow_consumer_costs_itself_alone_and_by_its_own_policy() {
    let process = Process::new();
    // Pictures of 1 MiB: five fit into the bytes of one queue, three into the items of the other.
    let by_bytes =
        process.ready(sink::<Slow>(), "-n bytes -st many --queue-size 100 --queue-bytes 5500KiB").await;
    let by_items =
        process.ready(sink::<Slow>(), "-n items -st many --queue-size 3 --overflow drop-newest").await;
    let mut taken = many::taken();
    let quick = process.ready(sink::<many::Take>(), "-n quick -st many").await;
    let give = process.start(source::<many::Give>(), "-n give -pt many -sn s");
    let encoded = Arc::new(AtomicBool::new(false));
    for number in 0..20 {
        let mut sample = picture(&encoded);
        sample.head.capture_timestamp = f64::from(number);
        many::give(sample);
        let sample = taken.recv().await.unwrap();
        assert_eq!(sample.head.capture_timestamp, f64::from(number));
        // Both slow ones take their first at once, so that what follows is in their queues.
        for node in ["bytes", "items"] {
            until("the first is taken", async || process.count(node, "msight_received_total") == 1).await;
        }
    }
    for (node, waiting) in [("bytes", 5), ("items", 3)] {
        until("what does not fit is dropped and counted", async || {
            process.count(node, "msight_queue_dropped_total") == 19 - waiting
                && process.count(node, "msight_queue_messages") == waiting
                && process.count(node, "msight_queue_bytes") >= waiting << 20
        })
        .await;
    }
    // What was dropped is gone: both hold the first, one the next three, the other the last five.
    assert_eq!(Arc::strong_count(&encoded) - 1, 1 + 3 + 5);
    GATE.add_permits(100);
    until("what waited is worked on", async || SLOW_TAKEN.lock().unwrap().len() == 6 + 4).await;
    let mut worked_on = SLOW_TAKEN.lock().unwrap().clone();
    worked_on.sort_by(f64::total_cmp);
    // Of both the first; then the earliest three of one, and the latest five of the other.
    assert_eq!(worked_on, [0.0, 0.0, 1.0, 2.0, 3.0, 15.0, 16.0, 17.0, 18.0, 19.0]);
    assert!(!encoded.load(SeqCst));
    for node in [give, by_bytes, by_items, quick] {
        node.stop().await.unwrap();
    }
}

/// Panics at the message that says so.
struct Fragile;
impl Node for Fragile {
    const NAME: &'static str = "fragile";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}
impl Processor for Fragile {
    type In = BytesData;
    type Out = BytesData;
    async fn process(&mut self, sample: Sample<BytesData>, out: &Publisher<BytesData>) -> Result<()> {
        assert_ne!(sample.body.data.as_deref(), Some(&b"panic"[..]), "on purpose");
        out.publish(sample).await
    }
}

ends!(around, BytesData);

fn text(text: &str) -> Sample<BytesData> {
    Sample::new(Head::new(None, 1.0), BytesData { data: Some(text.to_owned().into()) })
}

#[tokio::test]
async fn a_node_that_panics_ends_alone_and_can_be_started_again() {
    let process = Process::new();
    let mut taken = around::taken();
    let take = process.ready(sink::<around::Take>(), "-n take -st passed").await;
    let args = "-n fragile -st texts -pt passed";
    let fragile = process.ready(processor::<Fragile>(), args).await;
    let give = process.start(source::<around::Give>(), "-n give -pt texts -sn s");
    around::give(text("before"));
    assert_eq!(taken.recv().await.unwrap().body, text("before").body);

    around::give(text("panic"));
    let Running { resources, node } = fragile;
    assert!(node.await.unwrap_err().is_panic());
    until("it is not ready any more", async || resources.health.unready().is_some()).await;
    // Its name is free at once, and what is published meanwhile waits for it.
    around::give(text("meanwhile"));
    let fragile = process.ready(processor::<Fragile>(), args).await;
    assert_eq!(taken.recv().await.unwrap().body, text("meanwhile").body);
    around::give(text("after"));
    assert_eq!(taken.recv().await.unwrap().body, text("after").body);
    assert_eq!(process.count("give", "msight_published_unheard_total"), 0);
    for node in [give, fragile, take] {
        node.stop().await.unwrap();
    }
}

async fn listen(bus: &dyn Bus, topic: &str) -> Subscription {
    let queue = QueueConfig { max_items: 1_000, max_bytes: 1 << 30, overflow: Overflow::DropNewest };
    bus.subscribe(&Topic::new(topic).unwrap(), queue).await.unwrap()
}

ends!(alone, ImageData);
ends!(exposed, ImageData);

#[tokio::test]
async fn an_exposed_topic_has_on_redis_what_the_program_publishes_to_the_byte() {
    let redis = RedisServer::start(&[]);
    let connection = redis.connection().await;
    let bus = &*connection.bus;
    let mut heard = [listen(bus, "programs").await, listen(bus, "exposed").await];
    let process = Process::on(connection);
    process.local().expose(Topic::new("exposed").unwrap());
    let mut taken = exposed::taken();
    let take = process.ready(sink::<exposed::Take>(), "-n take -st exposed").await;
    let give = process.start(source::<exposed::Give>(), "-n give -pt exposed -sn s");
    // The same node as a program is without the topics of a process.
    let program = Process { resources: Resources { local: None, ..process.resources.clone() } };
    let other = program.start(source::<alone::Give>(), "-n other -pt programs -sn s");

    let encoded = Arc::new(AtomicBool::new(false));
    let sample = picture(&encoded);
    alone::give(sample.share().unwrap());
    exposed::give(sample);
    let of_program = heard[0].recv().await.unwrap().payload;
    assert_eq!(heard[1].recv().await.unwrap().payload, of_program);
    assert_eq!(
        decode::<ImageData>(&of_program).unwrap().body.image,
        Some(Bytes::from_static(b"a file").into())
    );
    // The node beside it has the picture itself.
    let _ = planes(&taken.recv().await.unwrap());
    until("it is counted", async || process.count("give", "msight_exposed_total") == 1).await;
    assert_eq!(process.count("give", "msight_published_total"), 1);
    for node in [give, take, other] {
        node.stop().await.unwrap();
    }
}

ends!(outage, BytesData);

#[tokio::test]
async fn a_bus_that_is_away_costs_an_exposed_topic_its_outer_readers_alone() {
    let away = Arc::new(AtomicBool::new(true));
    let bus = GatedBus::new({
        let away = away.clone();
        move |_| {
            let (is_away, operation) = (away.load(SeqCst), "publish".to_owned());
            let (place, reason) = ("test".to_owned(), "switched off".to_owned());
            Box::pin(async move {
                if is_away {
                    Err(msight_bus::Error::Unavailable { operation, place, reason })
                } else {
                    Ok(())
                }
            })
        }
    });
    let process = Process::on(Connection { bus: Arc::new(bus), registry: Arc::new(MemoryRegistry::new()) });
    let mut heard = listen(&*process.resources.bus, "texts").await;
    process.local().expose(Topic::new("texts").unwrap());
    let mut taken = outage::taken();
    let take = process.ready(sink::<outage::Take>(), "-n take -st texts").await;
    let give = process.start(source::<outage::Give>(), "-n give -pt texts -sn s");
    for number in 0..100 {
        outage::give(text(&number.to_string()));
        assert_eq!(taken.recv().await.unwrap().body, text(&number.to_string()).body);
    }
    until("the oldest are dropped", async || {
        process.count("give", "msight_expose_dropped_total") == 100 - 64
    })
    .await;
    away.store(false, SeqCst);
    let first = decode::<BytesData>(&heard.recv().await.unwrap().payload).unwrap();
    assert_eq!(first.body, text("0").body, "it was on its way");
    let second = decode::<BytesData>(&heard.recv().await.unwrap().payload).unwrap();
    assert_eq!(second.body, text("37").body);
    give.stop().await.unwrap();
    take.stop().await.unwrap();
    assert_eq!(process.count("give", "msight_exposed_total"), 64);
}

ends!(outside, BytesData);

#[tokio::test]
async fn a_topic_that_is_left_to_the_bus_comes_from_there() {
    let process = Process::new();
    process.local().leave_to_bus(Topic::new("texts").unwrap());
    let mut taken = outside::taken();
    let take = process.ready(sink::<outside::Take>(), "-n take -st texts").await;
    let payload = msight_proto::encode(&text("from outside")).unwrap();
    process.resources.bus.publish(&Topic::new("texts").unwrap(), payload).await.unwrap();
    assert_eq!(taken.recv().await.unwrap().body, text("from outside").body);
    let give = process.start(source::<outside::Give>(), "-n give -pt texts -sn s");
    outside::give(text("from here"));
    assert_eq!(taken.recv().await.unwrap().body, text("from here").body, "once");
    give.stop().await.unwrap();
    take.stop().await.unwrap();
    assert!(taken.try_recv().is_err());
}
