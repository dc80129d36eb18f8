//! What is handed over: the sample itself, to each subscriber as it would have got it from a bus.

use super::*;

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
