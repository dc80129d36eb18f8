//! What the runner does for every node: reopening, skipping, stopping, registering, telling.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use msight_bus::Table;
use msight_node::health::Health;
use msight_node::{Context, Node, Result, Settings, Sink, Source, anyhow, fatal, processor, sink, source};
use msight_proto::{BytesData, Head, Sample, encode};
use msight_test_support::until;

use crate::running::{Echo, NoFlags, Running, count, listen, message, text};

static OPENED: AtomicUsize = AtomicUsize::new(0);

/// Gives one sample each time it is opened, then breaks.
struct Flaky(Option<Sample<BytesData>>);
impl Node for Flaky {
    const NAME: &'static str = "flaky";
    type Args = NoFlags;
    async fn open(_: NoFlags, cx: &Context) -> Result<Self> {
        OPENED.fetch_add(1, SeqCst);
        Ok(Self(Some(Sample::new(cx.head("s".to_owned(), 1.0), BytesData { data: None }))))
    }
}
impl Source for Flaky {
    type Out = BytesData;
    async fn next(&mut self) -> Result<Option<Sample<BytesData>>> {
        self.0.take().map(Some).ok_or_else(|| anyhow!("the cable is out"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_breaks_is_opened_again_and_says_so() {
    let node = Running::start(source::<Flaky>(), "-n flaky -pt out -sn s");
    node.until("a second opening", |_| OPENED.load(SeqCst) >= 2).await;
    node.until("two samples", |resources| count(resources, "msight_published_total") >= 2).await;
    node.until("the reason is told", |resources| {
        resources.health.unready().is_some_and(|why| why.contains("the cable is out"))
    })
    .await;
    until("the record says ERROR and why", async || {
        let record = node.record("flaky").await.unwrap();
        let why = record["status_reason"].as_str();
        record["status"] == "ERROR" && why.is_some_and(|why| why.contains("the cable is out"))
    })
    .await;
    assert!(node.count("msight_source_reopened_total") >= 1);
    let registry = node.resources.registry.clone();
    node.stop().await.unwrap();
    assert_eq!(registry.read(Table::Nodes).await.unwrap(), [], "the record is gone");
}

/// Gives ten samples a second for 8 s, then breaks: a camera that drops its session and is there again at once.
struct Dropping(u32);
impl Node for Dropping {
    const NAME: &'static str = "dropping";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self(80))
    }
}
impl Source for Dropping {
    type Out = BytesData;
    async fn next(&mut self) -> Result<Option<Sample<BytesData>>> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.0 = self.0.checked_sub(1).ok_or_else(|| anyhow!("the camera ended the stream"))?;
        Ok(Some(Sample::new(Head::new("s".to_owned(), 1.0), BytesData { data: None })))
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_works_until_it_breaks_is_opened_again_soon() {
    let node = Running::start(source::<Dropping>(), "-n dropping -pt out -sn s");
    tokio::time::sleep(Duration::from_secs(300)).await;
    let published = node.count("msight_published_total");
    assert!(published > 3000 * 85 / 100, "{published} of 3000 samples");
    node.stop().await.unwrap();
}

/// Breaks for good.
struct Broken;
impl Node for Broken {
    const NAME: &'static str = "broken";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}
impl Source for Broken {
    type Out = BytesData;
    async fn next(&mut self) -> Result<Option<Sample<BytesData>>> {
        Err(fatal(anyhow!("no such device")))
    }
}

#[tokio::test(start_paused = true)]
async fn a_fatal_error_ends_the_node_and_frees_its_name() {
    let node = Running::start(source::<Broken>(), "-n broken -pt out -sn s");
    let registry = node.resources.registry.clone();
    let error = node.ended().await.unwrap_err();
    assert!(format!("{error:#}").contains("no such device"), "{error:#}");
    assert_eq!(registry.read(Table::Nodes).await.unwrap(), []);
}

/// Never done with opening.
struct Opening;
impl Node for Opening {
    const NAME: &'static str = "opening";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        std::future::pending().await
    }
}
impl Sink for Opening {
    type In = BytesData;
    async fn consume(&mut self, _: Sample<BytesData>) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_heard_while_a_node_opens() {
    let node = Running::start(sink::<Opening>(), "-n opening -st in");
    node.until("opening", |resources| resources.health.unready().is_some_and(|why| why == "opening")).await;
    node.stop().await.unwrap();
}

/// Takes no number above 3.
struct Picky;
#[derive(clap::Args)]
struct Number {
    #[arg(long)]
    number: u8,
}
#[derive(Clone)]
struct UpToThree;
impl Settings for UpToThree {
    type Flags = Number;
    fn parse(flags: Number) -> Result<Self> {
        if flags.number > 3 { Err(anyhow!("--number {} is above 3", flags.number)) } else { Ok(Self) }
    }
}
impl Node for Picky {
    const NAME: &'static str = "picky";
    type Args = UpToThree;
    async fn open(_: UpToThree, _: &Context) -> Result<Self> {
        panic!("it is not opened with flags that it has refused")
    }
}
impl Sink for Picky {
    type In = BytesData;
    async fn consume(&mut self, _: Sample<BytesData>) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn flags_that_a_node_refuses_are_an_error_before_the_bus_is_touched() {
    let node = Running::start(sink::<Picky>(), "-n picky -st in --number 4");
    let registry = node.resources.registry.clone();
    let error = node.ended().await.unwrap_err();
    assert_eq!(error.to_string(), "--number 4 is above 3");
    assert_eq!(
        (registry.read(Table::Nodes).await.unwrap(), registry.read(Table::Topics).await.unwrap()),
        (vec![], vec![])
    );
    let node = Running::start(processor::<Echo>(), "-n echo -st same -pt same");
    let error = node.ended().await.unwrap_err();
    assert!(error.to_string().contains("both are 'same'"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_used_is_counted_and_skipped() {
    let node = Running::start(processor::<Echo>(), "-n echo -st in -pt out");
    let mut out = listen(&*node.resources.bus, "out").await;
    let other =
        encode(&Sample::new(Head::new(None, 0.0), msight_proto::SensorDataSequence::default())).unwrap();
    for payload in [Bytes::from_static(b"\xc1"), other, message("fail"), message("good")] {
        node.publish(payload).await;
    }
    assert_eq!(text(&out.recv().await.unwrap()), "good");
    assert_eq!(node.count(r#"msight_bad_messages_total{reason="malformed"}"#), 1);
    assert_eq!(node.count(r#"msight_bad_messages_total{reason="other type"}"#), 1);
    assert_eq!(node.count("msight_failed_total"), 1);
    node.stop().await.unwrap();
    assert_eq!(
        text(&out.try_recv().unwrap()),
        "finished",
        "finish was called, and what it published was delivered"
    );
}

#[tokio::test(start_paused = true)]
async fn action_on_error_stop_ends_the_node_at_the_first_message_it_cannot_use() {
    for (payload, reason) in [(Bytes::from_static(b"\xc1"), "0xc1"), (message("fail"), "on purpose")] {
        let node = Running::start(processor::<Echo>(), "-n echo -st in -pt out --action-on-error stop");
        node.publish(payload).await;
        let error = node.ended().await.unwrap_err();
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    }
}

/// Blocked from "block" to "go".
struct Gate(Health);
impl Node for Gate {
    const NAME: &'static str = "gate";
    type Args = NoFlags;
    async fn open(_: NoFlags, cx: &Context) -> Result<Self> {
        Ok(Self(cx.health().clone()))
    }
}
impl Sink for Gate {
    type In = BytesData;
    async fn consume(&mut self, sample: Sample<BytesData>) -> Result<()> {
        let blocked = sample.body.data.as_deref() == Some(b"block");
        self.0.set_blocked(blocked.then(|| "the bucket is away".to_owned()));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_blocked_node_is_not_ready_and_its_record_says_so_until_it_goes_on() {
    let node = Running::start(sink::<Gate>(), "-n gate -st in");
    for (text, reason, status) in [("block", Some("the bucket is away"), "ERROR"), ("go", None, "RUNNING")] {
        node.publish(message(text)).await;
        node.until(text, |resources| resources.health.unready().as_deref() == reason).await;
        until(status, async || {
            let record = node.record("gate").await.unwrap();
            record["status"] == status && record["status_reason"].as_str() == reason
        })
        .await;
    }
    node.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_works_off_what_is_queued() {
    let node = Running::start(processor::<Echo>(), "-n echo -st in -pt out --grace 20");
    let mut out = listen(&*node.resources.bus, "out").await;
    let sent: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    for text in &sent {
        node.publish(message(text)).await;
    }
    node.stop().await.unwrap();
    let mut received: Vec<String> =
        std::iter::from_fn(|| out.try_recv()).map(|delivery| text(&delivery)).collect();
    assert_eq!(received.pop().as_deref(), Some("finished"));
    assert_eq!(received, sent);
}

#[tokio::test(start_paused = true)]
async fn work_that_hangs_is_given_up_at_a_stop_and_what_waits_behind_it_is_counted() {
    let node = Running::start(processor::<Echo>(), "-n echo -st in -pt out --grace 0.2");
    node.publish(message("hang")).await;
    node.until("the hanging message is taken", |resources| count(resources, "msight_received_total") == 1)
        .await;
    for _ in 0..3 {
        node.publish(message("more")).await;
    }
    let metrics = node.resources.clone();
    node.stop().await.unwrap();
    assert_eq!(count(&metrics, "msight_failed_total"), 1);
    assert_eq!(count(&metrics, "msight_abandoned_total"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_name_has_one_node() {
    let first = Running::start(processor::<Echo>(), "-n echo -st in -pt out");
    first.until("it runs", |resources| resources.health.unready().is_none()).await;
    let second = Running::start_on(first.connection(), processor::<Echo>(), "-n echo -st in -pt out");
    let error = second.ended().await.unwrap_err();
    assert!(error.to_string().contains(&format!("held by process {}", std::process::id())), "{error}");
    assert_eq!(first.record("echo").await.unwrap()["status"], "RUNNING", "the first is undisturbed");
    first.stop().await.unwrap();
}

/// As after a node was frozen for long: the name is another's, and that one lives, or does not any more.
// The registry goes by the time of day, which tokio cannot pause.
#[tokio::test]
async fn a_node_whose_name_is_taken_stops_and_says_by_whom_unless_that_one_is_dead() {
    for lives in [true, false] {
        let node = Running::start(processor::<Echo>(), "-n echo -st in -pt out");
        node.until("it runs", |resources| resources.health.unready().is_none()).await;
        let registry = node.resources.registry.clone();
        // Says that it lives, long ago or now and now and now.
        let take = async |last_heartbeat: f64| {
            let current = registry.get(Table::Nodes, "echo").await.unwrap();
            let mut other: serde_json::Value = serde_json::from_str(current.as_deref().unwrap()).unwrap();
            other["owner"] =
                serde_json::json!({"id": "f00d", "host": "elsewhere", "pid": 7, "pid_namespace": "x"});
            other["last_heartbeat"] = last_heartbeat.into();
            registry.swap(Table::Nodes, "echo", current.as_deref(), Some(&other.to_string())).await.unwrap()
        };
        if lives {
            let taken = async {
                loop {
                    let _ = take(msight_proto::unix_now()).await;
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            };
            let resources = node.resources.clone();
            let error = tokio::select! {
                ended = node.ended() => ended.unwrap_err(),
                () = taken => unreachable!(),
            };
            let said = format!("{error:#}");
            assert!(said.contains("elsewhere") && said.contains("--name"), "{said}");
            assert!(!resources.stop.is_cancelled(), "other nodes are not stopped");
        } else {
            take(msight_proto::unix_now() - 12.0).await.unwrap();
            until("the name is taken back", async || {
                node.record("echo").await.unwrap()["owner"]["host"] != "elsewhere"
            })
            .await;
            node.stop().await.unwrap();
        }
    }
}
