//! A source without `-pt`, which publishes on a further output alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use msight_node::describe::Description;
use msight_node::testing::run_source_with;
use msight_node::{Context, Entry, Node, Output, Port, Publisher, Result, Source, anyhow, source};
use msight_proto::{BytesData, Head, Sample};
use msight_test_support::until;

use crate::running::{NoFlags, Running, count, listen, switched, text};

const PARTS: Output<BytesData> = Output::new("--part-topic", "Publish the parts to this topic").waiting();
const EVENTS: Output<BytesData> = Output::new("--event-topic", "Publish events to this topic");
const ENTRY: Entry = source::<Camera>();

/// Publishes parts, and returns what is made of each as a sample. It breaks after every tenth.
struct Camera {
    parts: Option<Publisher<BytesData>>,
    published: u32,
}

fn sample(number: u32) -> Sample<BytesData> {
    Sample::new(Head::new("s".to_owned(), 1.0), BytesData { data: Some(number.to_string().into()) })
}

impl Node for Camera {
    const NAME: &'static str = "camera";
    const PORTS: &'static [Port] = &[PARTS.port(), EVENTS.port()];
    type Args = NoFlags;
    async fn open(_: NoFlags, cx: &Context) -> Result<Self> {
        Ok(Self { parts: cx.publisher(&PARTS), published: 0 })
    }
}
impl Source for Camera {
    type Out = BytesData;
    const NEEDS_PUBLISH_TOPIC: bool = false;
    async fn next(&mut self) -> Result<Option<Sample<BytesData>>> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.published += 1;
        if let Some(parts) = &self.parts {
            parts.publish(sample(self.published)).await?;
        }
        if self.published > 10 { Err(anyhow!("the cable is out")) } else { Ok(Some(sample(self.published))) }
    }
}

#[test]
fn one_of_the_outputs_needs_a_topic() {
    let understood = |line: &str| ENTRY.understand(line.split_whitespace(), &|_| None);
    let writes = |line| understood(line).unwrap().writes.into_iter().map(|end| end.topic).collect::<Vec<_>>();
    assert_eq!(writes("-n c -sn s -pt frames"), ["frames"]);
    assert_eq!(writes("-n c -sn s --part-topic parts"), ["parts"]);
    assert_eq!(writes("-n c -sn s --event-topic events -pt frames"), ["frames", "events"]);
    let mistake = understood("-n c -sn s").unwrap_err();
    assert_eq!(
        mistake.message,
        "one of the arguments -pt/--publish-topic --part-topic --event-topic is required"
    );
    let all = understood("").unwrap_err().message;
    assert!(["-n/--name", "-sn/--sensor-name", "-pt/--publish-topic"].iter().all(|one| all.contains(one)));

    let Description { outputs, flags, .. } = ENTRY.describe();
    let publish = flags.iter().find(|flag| flag.name() == "--publish-topic").expect("it has one");
    assert!(publish.required && publish.help.contains("--part-topic or --event-topic"), "{publish:?}");
    assert!(outputs.len() == 3 && outputs.iter().all(|output| !output.required), "{outputs:?}");
}

#[tokio::test(start_paused = true)]
async fn samples_of_a_further_output_are_enough() {
    let parts = run_source_with::<Camera, _>(&PARTS, &[], 25).await.unwrap();
    let numbers: Vec<_> = parts.into_iter().map(|part| part.body.data.unwrap()).collect();
    assert_eq!((&numbers[0][..], &numbers[10][..], &numbers[11][..]), (&b"1"[..], &b"11"[..], &b"1"[..]));
}

#[tokio::test(start_paused = true)]
async fn the_node_is_registered_counted_and_ready_by_its_further_output() {
    let node = Running::start(ENTRY, "-n camera -sn gate --part-topic parts");
    let silence = r#"msight_last_published_age_seconds{node="camera",topic="parts",sensor="gate"}"#;
    node.until("the silence counts", |resources| resources.metrics.render().contains(silence)).await;
    node.until("it works", |resources| resources.health.unready().is_none()).await;
    let record = node.record("camera").await.unwrap();
    assert_eq!((&record["publish_topic"], &record["sensor_name"]), (&"parts".into(), &"gate".into()));
    node.until("it is published", |resources| {
        count(resources, "msight_published_total{topic=\"parts\"}") > 5
    })
    .await;
    // What `next` returns goes nowhere, and nothing of `-pt` is counted or declared.
    let metrics = node.resources.metrics.render();
    let of_none =
        |line: &&str| line.starts_with("msight_") && !line.contains("topic=") && line.contains("published");
    let of_none: Vec<_> = metrics.lines().filter(of_none).filter(|line| !line.ends_with(" 0")).collect();
    assert_eq!(of_none, [""; 0]);
    let topics = node.resources.registry.read(msight_bus::Table::Topics).await.unwrap();
    assert_eq!(topics.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["parts"]);
    node.stop().await.unwrap();
}

/// Publishes a part each 100 ms in a task of its own for 8 s, and breaks then. It returns no sample.
struct Recording {
    ends: tokio::time::Instant,
    _publishing: tokio_util::task::AbortOnDropHandle<()>,
}
impl Node for Recording {
    const NAME: &'static str = "recording";
    const PORTS: &'static [Port] = &[PARTS.port()];
    type Args = NoFlags;
    async fn open(_: NoFlags, cx: &Context) -> Result<Self> {
        let parts = cx.publisher(&PARTS).expect("it has a topic");
        let publishing = tokio::spawn(async move {
            for number in 0.. {
                parts.publish(sample(number)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let _publishing = tokio_util::task::AbortOnDropHandle::new(publishing);
        Ok(Self { ends: tokio::time::Instant::now() + Duration::from_secs(8), _publishing })
    }
}
impl Source for Recording {
    type Out = BytesData;
    const NEEDS_PUBLISH_TOPIC: bool = false;
    async fn next(&mut self) -> Result<Option<Sample<BytesData>>> {
        tokio::time::sleep_until(self.ends).await;
        Err(anyhow!("the camera ended the stream"))
    }
}

#[tokio::test(start_paused = true)]
async fn publishing_on_a_further_output_is_a_sign_of_life() {
    let node = Running::start(
        source::<Recording>(),
        "-n recording -sn s --part-topic parts --heartbeat-tolerance 3",
    );
    node.until("it works", |resources| resources.health.unready().is_none()).await;
    // It is opened again soon each time, because it has worked.
    tokio::time::sleep(Duration::from_secs(300)).await;
    let published = node.count("msight_published_total");
    assert!(published > 3000 * 85 / 100, "{published} of 3000 parts");
    assert!(node.count("msight_source_reopened_total") > 30);
    until("its record says RUNNING", async || {
        node.record("recording").await.is_some_and(|record| record["status"] == "RUNNING")
    })
    .await;
    node.stop().await.unwrap();
}

/// Publishes 1,000 parts and 1,000 events as fast as it is asked, and ends.
struct Hasty(Publisher<BytesData>, Publisher<BytesData>, u32);
impl Node for Hasty {
    const NAME: &'static str = "hasty";
    const PORTS: &'static [Port] = &[PARTS.port(), EVENTS.port()];
    type Args = NoFlags;
    async fn open(_: NoFlags, cx: &Context) -> Result<Self> {
        let publisher = |output| cx.publisher(output).expect("it has a topic");
        Ok(Self(publisher(&PARTS), publisher(&EVENTS), 0))
    }
}
impl Source for Hasty {
    type Out = BytesData;
    const NEEDS_PUBLISH_TOPIC: bool = false;
    async fn next(&mut self) -> Result<Option<Sample<BytesData>>> {
        tokio::task::yield_now().await;
        self.2 += 1;
        self.1.publish(sample(self.2)).await?;
        self.0.publish(sample(self.2)).await?;
        Ok((self.2 < 1_000).then(|| sample(self.2)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_output_loses_nothing_and_another_its_oldest() {
    let is_away = Arc::new(AtomicBool::new(true));
    let connection = switched(&is_away);
    let mut parts = listen(&*connection.bus, "parts").await;
    let line = "-n hasty -sn s --part-topic parts --event-topic events --grace 20";
    let node = Running::start_on(connection, source::<Hasty>(), line);
    let resources = node.resources.clone();
    let dropped = |topic: &str| {
        count(&resources, &format!("msight_publish_dropped_total{{topic=\"{topic}\",reason=\"queue full\"}}"))
    };
    node.until("the queue of events has dropped one", |_| dropped("events") > 0).await;
    is_away.store(false, SeqCst);
    node.ended().await.unwrap();
    let received: Vec<String> =
        std::iter::from_fn(|| parts.try_recv()).map(|delivery| text(&delivery)).collect();
    assert_eq!(received, (1..=1_000).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(dropped("parts"), 0);
}
