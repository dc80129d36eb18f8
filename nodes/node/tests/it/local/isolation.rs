//! What a slow or a failing node costs the others: nothing.

use super::*;

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
