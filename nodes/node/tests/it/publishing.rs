//! What the kit does with the messages of a node: they wait for a bus or a subscriber that is away, and what is lost is
//! counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use msight_bus::{Connection, Error, MemoryRegistry};
use msight_node::testing::GatedBus;
use msight_node::{Context, Node, Processor, Publisher, Result, Source, processor, source};
use msight_proto::{BytesData, Head, Sample, VideoData, VideoFile, decode};

use crate::running::{Echo, NoFlags, Running, count, listen, message, switched, text};

#[tokio::test(start_paused = true)]
async fn a_message_waits_for_a_subscriber_that_was_there_before() {
    let node = Running::start(processor::<Echo>(), "-n echo -st in -pt out");
    let mut out = listen(&*node.resources.bus, "out").await;
    node.publish(message("first")).await;
    assert_eq!(text(&out.recv().await.unwrap()), "first");
    drop(out);
    node.publish(message("second")).await;
    node.until("it is worked on", |resources| count(resources, "msight_received_total") == 2).await;
    let mut out = listen(&*node.resources.bus, "out").await;
    assert_eq!(text(&out.recv().await.unwrap()), "second");

    // A stop does not wait for subscribers, who are stopped too.
    drop(out);
    node.publish(message("third")).await;
    node.until("it is worked on", |resources| count(resources, "msight_received_total") == 3).await;
    let resources = node.resources.clone();
    node.stop().await.unwrap();
    assert_eq!(
        count(&resources, "msight_published_unheard_total"),
        2,
        "the third, and what finish published"
    );
}

/// Publishes each message that it gets as a recording.
struct Recorder;
impl Node for Recorder {
    const NAME: &'static str = "recorder";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}
impl Processor for Recorder {
    type In = BytesData;
    type Out = VideoData;
    async fn process(&mut self, sample: Sample<BytesData>, out: &Publisher<VideoData>) -> Result<()> {
        let capture_timestamps = Some(vec![10.0, 19.9]);
        let video = VideoData {
            video: sample.body.data,
            detection_results: None,
            frame_ids: None,
            capture_timestamps,
            video_file: None,
        };
        out.publish(Sample::new(sample.head, video)).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_recording_without_a_subscriber_is_a_loss() {
    let node = Running::start(processor::<Recorder>(), "-n recorder -st in -pt out");
    let lost = r#"msight_publish_dropped_total{reason="no subscriber"}"#;
    node.publish(message("first")).await;
    node.until("it is lost", |resources| count(resources, lost) == 1).await;
    let mut out = listen(&*node.resources.bus, "out").await;
    node.publish(message("second")).await;
    assert!(decode::<VideoData>(&out.recv().await.unwrap().payload).is_ok());
    assert_eq!(node.count(lost), 1);
    node.stop().await.unwrap();
}

/// Announces a segment in a folder for each message that it gets.
struct Announcer;
impl Node for Announcer {
    const NAME: &'static str = "announcer";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}
impl Processor for Announcer {
    type In = BytesData;
    type Out = VideoData;
    async fn process(&mut self, sample: Sample<BytesData>, out: &Publisher<VideoData>) -> Result<()> {
        let video_file = Some(VideoFile { path: "s/2026-11-28/1.mp4".to_owned(), bytes: 1 });
        out.publish(Sample::new(sample.head, VideoData { video_file, ..VideoData::default() })).await
    }
}

const LOST: &str = "msight_publish_dropped_total";
const ANNOUNCEMENTS: &str = "msight_announcements_dropped_total";

/// A bus on which nothing can be published to `out` while it is switched off.
fn without_out(off: &Arc<AtomicBool>) -> Connection {
    let off = off.clone();
    let bus = GatedBus::new(move |topic| {
        let is_away = off.load(SeqCst) && topic.as_str() == "out";
        let (operation, place, reason) = ("publish".to_owned(), "test".to_owned(), "switched off".to_owned());
        let away = Error::Unavailable { operation, place, reason };
        Box::pin(async move { if is_away { Err(away) } else { Ok(()) } })
    });
    Connection { bus: Arc::new(bus), registry: Arc::new(MemoryRegistry::new()) }
}

#[tokio::test(start_paused = true)]
async fn a_node_does_not_wait_for_the_bus_to_announce_what_is_safe() {
    let off = Arc::new(AtomicBool::new(true));
    let connection = without_out(&off);
    let mut out = listen(&*connection.bus, "out").await;
    let node = Running::start_on(connection, processor::<Announcer>(), "-n announcer -st in -pt out");
    for _ in 0..1_000 {
        node.publish(message("a segment")).await;
    }
    node.until("all are announced", |resources| count(resources, "msight_received_total") == 1_000).await;
    node.until("the queue is full", |resources| {
        count(resources, &format!("{ANNOUNCEMENTS}{{reason=\"queue full\"}}")) == 1_000 - 64
    })
    .await;
    off.store(false, SeqCst);
    let resources = node.resources.clone();
    node.stop().await.unwrap();
    assert_eq!(std::iter::from_fn(|| out.try_recv()).count(), 64);
    assert_eq!(count(&resources, LOST), 0);
}

#[tokio::test(start_paused = true)]
async fn announcements_that_no_node_receives_are_counted_and_are_no_loss() {
    let off = Arc::new(AtomicBool::new(false));
    let flags = "-n announcer -st in -pt out --grace 0.2";
    let node = Running::start_on(without_out(&off), processor::<Announcer>(), flags);
    let dropped = |reason: &str| format!("{ANNOUNCEMENTS}{{reason=\"{reason}\"}}");
    node.publish(message("first")).await;
    node.until("it is dropped", |resources| count(resources, &dropped("no subscriber")) == 1).await;
    off.store(true, SeqCst);
    node.publish(message("second")).await;
    node.publish(message("third")).await;
    node.until("both are announced", |resources| count(resources, "msight_received_total") == 3).await;
    let resources = node.resources.clone();
    node.stop().await.expect("nothing is lost");
    assert_eq!(count(&resources, &dropped("stopped")), 2);
    assert_eq!(count(&resources, LOST), 0);
}

/// Counts as fast as it is asked.
struct Counting(u32);
impl Node for Counting {
    const NAME: &'static str = "counting";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self(0))
    }
}
impl Source for Counting {
    type Out = BytesData;
    async fn next(&mut self) -> Result<Option<Sample<BytesData>>> {
        tokio::task::yield_now().await;
        self.0 += 1;
        let data = Some(self.0.to_string().into());
        Ok((self.0 <= 1_000).then(|| Sample::new(Head::new(None, 0.0), BytesData { data })))
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_loses_its_oldest_messages_while_the_bus_is_away_and_counts_them() {
    let off = Arc::new(AtomicBool::new(true));
    let connection = switched(&off);
    let mut out = listen(&*connection.bus, "out").await;
    let node = Running::start_on(connection, source::<Counting>(), "-n counting -pt out -sn s --grace 20");
    let resources = node.resources.clone();
    node.until("all but the queue is dropped", |resources| {
        count(resources, r#"msight_publish_dropped_total{reason="queue full"}"#) == 1_000 - 64
    })
    .await;
    off.store(false, SeqCst);
    node.ended().await.unwrap();
    let received: Vec<String> =
        std::iter::from_fn(|| out.try_recv()).map(|delivery| text(&delivery)).collect();
    assert_eq!(count(&resources, "msight_published_total"), 64);
    // The first was on its way when the bus went; the others are the latest.
    assert_eq!(received[0], "1");
    assert_eq!(received[1..], (938..=1_000).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_does_not_take_before_the_end_is_counted_and_said() {
    let connection = switched(&Arc::new(AtomicBool::new(true)));
    let node = Running::start_on(connection, source::<Counting>(), "-n counting -pt out -sn s --grace 0.2");
    let resources = node.resources.clone();
    let error = node.ended().await.unwrap_err();
    assert!(error.to_string().contains("64 messages are lost"), "{error}");
    assert_eq!(count(&resources, r#"msight_publish_dropped_total{reason="stopped"}"#), 64);
}
