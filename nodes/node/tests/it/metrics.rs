//! The metrics that the kit serves for a node are those that `--describe` declares.

use std::collections::BTreeMap;

use msight_bus::{Connection, Topic};
use msight_contract::traffic;
use msight_node::metrics::{Metric, MetricKind, Unit};
use msight_node::{
    Context, Entry, Local, Node, Processor, Publisher, Resources, Result, Sink, Source, processor, sink,
    source,
};
use msight_proto::{BytesData, Sample};
use msight_test_support::until;

use crate::running::{NoFlags, resources};

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
