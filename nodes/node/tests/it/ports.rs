//! Further outputs and inputs of a node: their topics, queues, counters, and what the program and the registry say of
//! them.

use crate::examples::traffic_watch::{Alarm, Count, TrafficWatch};
use bytes::Bytes;
use msight_bus::{Bus, Connection, Overflow, QueueConfig, Subscription, Table, Topic};
use msight_node::health::Health;
use msight_node::metrics::Metrics;
use msight_node::{
    AnyType, Context, Entry, Input, Local, Node, Port, Processor, Publisher, Resources, Result, Sink,
    Subscriber, processor, sink,
};
use msight_proto::{BytesData, Head, RoadUserListData, RoadUserPoint, Sample, decode, encode};
use msight_test_support::until;

use crate::running::{self, NoFlags, Running};

const ENTRY: Entry = processor::<TrafficWatch>();
const LINE: &str = "-n watch -st users -pt counts --alarm-topic alarms --limit-topic limits --limit 1";

fn resources() -> Resources {
    running::resources(Connection::memory())
}

async fn start(resources: &Resources) -> Running {
    Running::ready(resources.clone(), ENTRY, LINE).await
}

async fn subscribe(bus: &dyn Bus, topic: &str) -> Subscription {
    let queue = QueueConfig { max_items: 100, max_bytes: 1 << 20, overflow: Overflow::DropNewest };
    bus.subscribe(&Topic::new(topic).unwrap(), queue).await.unwrap()
}

async fn publish(bus: &dyn Bus, topic: &str, payload: Bytes) {
    bus.publish(&Topic::new(topic).unwrap(), payload).await.unwrap();
}

fn road_users(count: usize) -> Bytes {
    let road_user_list = vec![RoadUserPoint::default(); count];
    encode(&Sample::new(Head::new("north".to_owned(), 1.0), RoadUserListData { road_user_list })).unwrap()
}

fn count(road_users: usize) -> Bytes {
    encode(&Sample::new(Head::new("north".to_owned(), 1.0), Count { road_users })).unwrap()
}

/// The lines of a metric, without its name.
fn series(metrics: &Metrics, name: &str) -> Vec<String> {
    let text = metrics.render();
    let of_name = text.lines().filter_map(|line| line.strip_prefix(name));
    of_name.filter(|rest| rest.starts_with(['{', ' '])).map(str::to_owned).collect()
}

#[tokio::test]
async fn each_topic_has_its_own_queue_and_counters() {
    let resources = resources();
    let mut alarms = subscribe(&*resources.bus, "alarms").await;
    let mut counts = subscribe(&*resources.bus, "counts").await;
    let node = start(&resources).await;
    publish(&*resources.bus, "users", road_users(2)).await;
    let alarm: Sample<Alarm> = decode(&alarms.recv().await.unwrap().payload).unwrap();
    assert_eq!((alarm.body.road_users, alarm.body.limit), (2, 1));
    assert!(counts.recv().await.is_some());

    publish(&*resources.bus, "limits", count(5)).await;
    publish(&*resources.bus, "limits", Bytes::from_static(b"no message")).await;
    publish(&*resources.bus, "users", road_users(2)).await;
    assert!(counts.recv().await.is_some());
    assert!(alarms.try_recv().is_none(), "the new limit holds");

    let of = |name| series(&resources.metrics, name);
    let topics = [r#"{node="watch"} 2"#, r#"{node="watch",topic="alarms"} 1"#];
    until("all is counted", async || of("msight_published_total") == topics).await;
    assert_eq!(of("msight_received_total"), [r#"{node="watch"} 2"#, r#"{node="watch",topic="limits"} 2"#]);
    let bad = of("msight_bad_messages_total");
    assert!(bad.contains(&r#"{node="watch",topic="limits",reason="malformed"} 1"#.to_owned()), "{bad:?}");
    node.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_published_at_the_end_is_delivered_and_what_waits_is_counted() {
    let resources = resources();
    let mut alarms = subscribe(&*resources.bus, "alarms").await;
    let node = start(&resources).await;
    for _ in 0..3 {
        publish(&*resources.bus, "users", road_users(2)).await;
    }
    publish(&*resources.bus, "limits", count(0)).await;
    node.stop().await.unwrap();
    let mut delivered = 0;
    while alarms.try_recv().is_some() {
        delivered += 1;
    }
    assert_eq!(delivered, 3);
    let taken = series(&resources.metrics, "msight_received_total");
    let left = series(&resources.metrics, "msight_abandoned_total");
    let of_limits = |lines: &[String]| -> u64 {
        let line = lines.iter().find(|line| line.contains("limits")).expect("the input is counted");
        line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    assert_eq!(of_limits(&taken) + of_limits(&left), 1);
}

#[tokio::test]
async fn the_registry_has_all_topics_of_the_node() {
    let resources = resources();
    let node = start(&resources).await;
    let record = resources.registry.get(Table::Nodes, "watch").await.unwrap().expect("it is registered");
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["publish_topic"], serde_json::json!(["counts", "alarms"]));
    assert_eq!(record["subscribe_topic"], serde_json::json!(["users", "limits"]));
    for (topic, data_type) in [("alarms", "example.Alarm"), ("limits", "example.Count")] {
        let declared = resources.registry.get(Table::Topics, topic).await.unwrap().expect("it is declared");
        assert!(declared.contains(data_type), "{declared}");
    }
    node.stop().await.unwrap();
}

/// Takes alarms.
struct TakeAlarms;
impl Node for TakeAlarms {
    const NAME: &'static str = "take_alarms";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}
impl Sink for TakeAlarms {
    type In = Alarm;
    async fn consume(&mut self, alarm: Sample<Alarm>) -> Result<()> {
        assert_eq!(alarm.body.road_users, 2);
        Ok(())
    }
}

#[tokio::test]
async fn within_a_process_samples_of_a_further_output_go_as_they_are() {
    let (local, topic) = (Local::new(), Topic::new("users").unwrap());
    local.leave_to_bus(topic);
    let resources = Resources { local: Some(local), ..resources() };
    let mut on_the_bus = subscribe(&*resources.bus, "alarms").await;
    let own_health = Resources { health: Health::default(), ..resources.clone() };
    let reader = Running::ready(own_health, sink::<TakeAlarms>(), "-n reader -st alarms").await;
    let node = start(&resources).await;
    publish(&*resources.bus, "users", road_users(2)).await;
    let taken = || series(&resources.metrics, "msight_received_total");
    until("the alarm arrives", async || taken().contains(&r#"{node="reader"} 1"#.to_owned())).await;
    assert!(on_the_bus.try_recv().is_none());
    node.stop().await.unwrap();
    reader.stop().await.unwrap();
}

#[test]
fn describe_has_the_ports_and_what_a_line_uses_of_them() {
    let description = serde_json::to_value(ENTRY.describe()).unwrap();
    let flags = description["flags"].as_array().unwrap();
    assert!(flags.iter().any(|flag| flag["names"] == serde_json::json!(["--alarm-topic"])));
    let invocation = ENTRY.understand(LINE.split_whitespace(), &|_| None).unwrap();
    let ends = |ends: &[msight_node::describe::TopicUse]| -> Vec<_> {
        ends.iter().map(|end| (end.topic.clone(), end.data_type.clone(), end.argument)).collect()
    };
    let users = ("users".to_owned(), Some("msight_core.data.detection_result.RoadUserListData".to_owned()));
    assert_eq!(
        ends(&invocation.reads),
        [(users.0, users.1, Some(3)), ("limits".to_owned(), Some("example.Count".to_owned()), Some(9))]
    );
    assert_eq!(
        ends(&invocation.writes),
        [
            ("counts".to_owned(), Some("example.Count".to_owned()), Some(5)),
            ("alarms".to_owned(), Some("example.Alarm".to_owned()), Some(7))
        ]
    );
    let without = ENTRY.understand("-n watch -st users -pt counts".split_whitespace(), &|_| None).unwrap();
    assert_eq!((without.reads.len(), without.writes.len()), (1, 1));
}

#[test]
fn no_two_flags_of_a_node_name_one_topic() {
    for (line, flags) in [
        ("-n w -st users -pt counts --alarm-topic counts", ["--publish-topic", "--alarm-topic"]),
        ("-n w -st users -pt counts --alarm-topic users", ["--subscribe-topic", "--alarm-topic"]),
        ("-n w -st users -pt users", ["--publish-topic", "--subscribe-topic"]),
        ("-n w -st a -pt b --alarm-topic c --limit-topic c", ["--alarm-topic", "--limit-topic"]),
    ] {
        let mistake = ENTRY.understand(line.split_whitespace(), &|_| None).unwrap_err();
        assert!(flags.iter().all(|flag| mistake.message.contains(flag)), "{line}: {mistake}");
    }
    assert!(ENTRY.understand("-n w -st a -pt b --alarm-topic".split_whitespace(), &|_| None).is_err());
}

const EVENTS: Input<AnyType> = Input::new("--event-topic", "Note the sensors of the messages on this topic");

/// Publishes the number of letters of the sensor that the next event names, and a zero at its start.
struct EventReader(Option<Subscriber<AnyType>>);
impl Node for EventReader {
    const NAME: &'static str = "event_reader";
    const PORTS: &'static [Port] = &[EVENTS.port()];
    type Args = NoFlags;
    async fn open(_: NoFlags, cx: &Context) -> Result<Self> {
        Ok(Self(cx.subscriber(&EVENTS)))
    }
}
impl Processor for EventReader {
    type In = RoadUserListData;
    type Out = Count;
    async fn begin(&mut self, out: &Publisher<Count>) -> Result<()> {
        out.publish(Sample::new(Head::new(None, 0.0), Count { road_users: 0 })).await
    }
    async fn process(&mut self, seen: Sample<RoadUserListData>, out: &Publisher<Count>) -> Result<()> {
        let Some(events) = &self.0 else { return Ok(()) };
        let Some(event) = events.recv().await? else { return Ok(()) };
        let road_users = event.head.sensor_name.as_deref().map_or(0, str::len);
        out.publish(seen.map(|_| Count { road_users })).await
    }
}

#[tokio::test]
async fn an_input_of_any_type_gives_heads_and_what_begin_publishes_comes_first() {
    const ENTRY: Entry = processor::<EventReader>();
    let described = ENTRY.describe();
    assert_eq!(
        described.inputs.iter().map(|port| port.data_type.is_some()).collect::<Vec<_>>(),
        [true, false]
    );
    let resources = resources();
    let mut counts = subscribe(&*resources.bus, "counts").await;
    let node =
        Running::ready(resources.clone(), ENTRY, "-n reader -st users -pt counts --event-topic events").await;
    let two_types = [
        encode(&Sample::new(Head::new("gate".to_owned(), 1.0), BytesData { data: None })).unwrap(),
        Bytes::from_static(b"no message"),
        count(5),
    ];
    for event in two_types {
        publish(&*resources.bus, "events", event).await;
    }
    for _ in 0..2 {
        publish(&*resources.bus, "users", road_users(1)).await;
    }
    for expected in [0, 4, 5] {
        let counted: Sample<Count> = decode(&counts.recv().await.unwrap().payload).unwrap();
        assert_eq!(counted.body.road_users, expected);
    }
    node.stop().await.unwrap();
}
