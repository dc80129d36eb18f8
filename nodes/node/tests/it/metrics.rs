//! The metrics that the kit serves for a node are those that `--describe` declares.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use msight_bus::{Connection, Topic};
use msight_contract::traffic;
use msight_node::metrics::{Metric, MetricKind, Unit};
use msight_node::{
    Context, Entry, Local, Node, Processor, Publisher, Resources, Result, Sink, Source, processor, sink,
    source,
};
use msight_proto::{BytesData, Sample};
use msight_test_support::until;
use tokio::runtime::Handle;

use crate::running::{NoFlags, Running, message, resources};

/// A metric of the node's own.
const OWN: Metric = Metric::count("example_opened_total", Unit::Events, "Times the node was opened.");

struct Any;

impl Node for Any {
    const NAME: &'static str = "any";
    const METRICS: &'static [Metric] = &[OWN];
    type Args = NoFlags;
    async fn open(_: NoFlags, cx: &Context) -> Result<Self> {
        cx.metrics().counter(&OWN).inc();
        Ok(Self)
    }
}

impl Source for Any {
    type Out = BytesData;
    async fn next(&mut self) -> Result<Option<Sample<BytesData>>> {
        std::future::pending().await
    }
}

impl Processor for Any {
    type In = BytesData;
    type Out = BytesData;
    async fn process(&mut self, sample: Sample<BytesData>, out: &Publisher<BytesData>) -> Result<()> {
        out.publish(sample).await
    }
}

impl Sink for Any {
    type In = BytesData;
    async fn consume(&mut self, _: Sample<BytesData>) -> Result<()> {
        Ok(())
    }
}

/// The names and types in Prometheus' text.
fn scraped(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// The same, of the description.
fn declared(entry: &Entry) -> BTreeMap<String, String> {
    let metrics = entry.describe().metrics.into_iter();
    let kind = |kind| match kind {
        MetricKind::Count | MetricKind::Skip | MetricKind::Loss => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
        MetricKind::Other => "unknown",
    };
    metrics.map(|metric| (metric.name, kind(metric.kind).to_owned())).collect()
}

#[tokio::test]
async fn what_is_scraped_is_declared_and_the_other_way_round() {
    let nodes = [
        (source::<Any>(), "-n a -pt out -sn s"),
        (processor::<Any>(), "-n a -st in -pt out"),
        (sink::<Any>(), "-n a -st in"),
    ];
    for (entry, args) in nodes {
        let local = Local::new();
        local.expose(Topic::new("out").unwrap());
        let resources = Resources { local: Some(local), ..resources(Connection::memory()) };
        let (metrics, stop) = (resources.metrics.clone(), resources.stop.clone());
        let node = tokio::spawn(async move { entry.run(args.split_whitespace(), resources).await });
        // All metrics are there once the node is open and its loop has begun.
        let last = if args.contains("-sn") { traffic::SOURCE_REOPENED } else { traffic::FAILED };
        until("the node works", async || metrics.unused(&[last, OWN]).is_empty()).await;
        assert_eq!(scraped(&metrics.render()), declared(&entry), "{args}");
        stop.cancel();
        node.await.unwrap().unwrap();
    }
}

/// The value of a metric without labels of its own.
fn value(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.split(['{', ' ']).next() == Some(name));
    let number = line.and_then(|line| line.rsplit(' ').next()).expect("the metric is served");
    number.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_counters_of_a_queue_agree_in_every_scrape() {
    const SCRAPES: u64 = 300;
    let node =
        Running::ready(resources(Connection::memory()), sink::<Any>(), "-n a -st in --queue-size 4").await;
    let (bus, metrics) = (node.resources.bus.clone(), node.resources.metrics.clone());
    let (runtime, is_done) = (Handle::current(), AtomicBool::new(false));
    let scrape = || {
        let (mut scrapes, mut taken, mut dropped) = (0, 0, 0);
        while scrapes < SCRAPES || taken == 0 || dropped == 0 {
            let text = metrics.render();
            let of = |name| value(&text, name);
            (taken, dropped) = (of("msight_received_total"), of("msight_queue_dropped_total"));
            let waiting = of("msight_queue_messages");
            let abandoned = of("msight_abandoned_total");
            assert_eq!(of("msight_queue_arrived_total"), taken + dropped + waiting + abandoned, "{text}");
            scrapes += 1;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (topic, payload) = (Topic::new("in").unwrap(), message("x"));
                while !is_done.load(Relaxed) {
                    runtime.block_on(bus.publish(&topic, payload.clone())).unwrap();
                }
            });
        }
        // Two at a time: neither may see the numbers of the other's moment.
        let scrapers = [scope.spawn(scrape), scope.spawn(scrape)];
        let scraped = scrapers.map(std::thread::ScopedJoinHandle::join);
        is_done.store(true, Relaxed);
        scraped.into_iter().for_each(|scraped| scraped.unwrap());
    });
    node.stop().await.unwrap();
}
