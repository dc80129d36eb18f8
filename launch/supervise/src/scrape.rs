//! A node's counters, read from its `/metrics` and `/readyz` as Prometheus and docker would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use msight_contract::{Metric, MetricDescription, MetricKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The counters of one node at one moment: the name with its labels, and the value.
#[derive(Clone, Debug, Default)]
pub struct Counters(BTreeMap<String, f64>);

/// What was lost or left out on the way, and where.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Lost {
    /// The program that says so.
    pub by: String,
    /// Its counter.
    pub counter: String,
    /// The counter's reason, where it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many.
    pub count: u64,
}

impl Lost {
    /// What of `now` was not there in `before`.
    pub fn since(now: &[Self], before: &[Self]) -> Vec<Self> {
        let old = |one: &Self| {
            let same = before
                .iter()
                .find(|old| (&old.by, &old.counter, &old.reason) == (&one.by, &one.counter, &one.reason));
            same.map_or(0, |old| old.count)
        };
        let newer = now.iter().map(|one| Self { count: one.count.saturating_sub(old(one)), ..one.clone() });
        newer.filter(|one| one.count > 0).collect()
    }
}

impl Counters {
    /// Reads a node's counters.
    pub async fn of(address: SocketAddr) -> Result<Self> {
        match get(address, "/metrics").await? {
            (200, text) => Ok(Self::parse(&text)),
            (status, text) => bail!("http://{address}/metrics answers {status}: {text}"),
        }
    }

    /// Prometheus' text format, of which the nodes write the simple part: a name with labels, a blank, a number.
    fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }

    /// The value of a counter, summed over its labels; 0 if the node does not serve it.
    pub fn total(&self, metric: &Metric) -> u64 {
        self.series(metric.name).map(|(_, value)| value as u64).sum()
    }

    /// The number of durations in a histogram and their sum in seconds; `None` if the node does not serve it.
    pub fn seconds(&self, histogram: &Metric) -> Option<(u64, f64)> {
        let sum = |suffix: &str| {
            self.series(&format!("{}{suffix}", histogram.name)).map(|(_, value)| value).reduce(|a, b| a + b)
        };
        Some((sum("_count")? as u64, sum("_sum")?))
    }

    /// The values of a counter by its label `reason`, without those that are 0.
    pub fn by_reason(&self, metric: &Metric) -> BTreeMap<String, u64> {
        let counted = self.counted("", metric.name);
        counted.filter_map(|one| Some((one.reason?, one.count))).collect()
    }

    /// The losses of a node, by the metrics that it declares.
    pub fn lost(&self, by: &str, declared: &[MetricDescription]) -> Vec<Lost> {
        self.of_kind(by, declared, MetricKind::Loss)
    }

    /// The number of messages, frames and segments that a node lost, by the metrics that it declares. Lost connections and
    /// packets are in [`lost`](Self::lost) alone.
    pub fn losses(&self, declared: &[MetricDescription]) -> u64 {
        let losses =
            declared.iter().filter(|metric| metric.kind == MetricKind::Loss && metric.unit.is_data());
        losses.flat_map(|metric| self.series(&metric.name)).map(|(_, value)| value as u64).sum()
    }

    /// What a node skipped on purpose, by the metrics that it declares.
    pub fn skipped(&self, by: &str, declared: &[MetricDescription]) -> Vec<Lost> {
        self.of_kind(by, declared, MetricKind::Skip)
    }

    fn of_kind(&self, by: &str, declared: &[MetricDescription], kind: MetricKind) -> Vec<Lost> {
        let of_kind = declared.iter().filter(|metric| metric.kind == kind);
        of_kind.flat_map(|metric| self.counted(by, &metric.name)).collect()
    }

    /// The series of a counter that are above 0.
    fn counted(&self, by: &str, name: &str) -> impl Iterator<Item = Lost> {
        self.series(name).filter(|(_, value)| *value > 0.0).map(move |(labels, value)| {
            let reason = labels.split_once("reason=\"").and_then(|(_, rest)| rest.split('"').next());
            Lost {
                by: by.to_owned(),
                counter: name.to_owned(),
                reason: reason.map(str::to_owned),
                count: value as u64,
            }
        })
    }

    /// The labels and values of a metric.
    fn series(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().filter_map(move |(series, value)| {
            let (of, labels) = series.split_once('{').unwrap_or((series, ""));
            (of == name).then_some((labels, *value))
        })
    }
}

/// A longer reason is cut.
const MAX_OF_A_REASON: usize = 1024;

/// Asks the node whether it does its work; an error says why it does not.
pub async fn readiness(address: SocketAddr) -> Result<(), String> {
    health(address, "/readyz").await
}

/// Asks the node whether it works at all, be it that it waits for something.
pub async fn liveness(address: SocketAddr) -> Result<(), String> {
    health(address, "/healthz").await
}

async fn health(address: SocketAddr, path: &str) -> Result<(), String> {
    match get(address, path).await {
        Ok((200, _)) => Ok(()),
        // A node answers 503 with its reason.
        Ok((status, _)) if status != 503 => Err(format!(
            "http://{address}{path} returned {status}: not a node's metrics address; use the address of --metrics"
        )),
        Ok((_, reason)) => {
            let reason = reason.trim();
            let reason = reason.strip_prefix("not ready: ").unwrap_or(reason);
            // A camera may have a part in it.
            Err(reason.chars().filter(|c| !c.is_control()).take(MAX_OF_A_REASON).collect())
        }
        Err(error) => Err(format!("{error:#}; use the address of the node's --metrics")),
    }
}

/// One answer over HTTP/1.1: its status and its text.
async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    const PATIENCE: Duration = Duration::from_secs(5);
    const MAX_BYTES: u64 = 4 << 20;
    let conversation = async {
        let mut tcp = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        tcp.take(MAX_BYTES).read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = timeout(PATIENCE, conversation).await.context("no answer in time").flatten();
    let answer = answer.with_context(|| format!("http://{address}{path} cannot be read"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("the answer has no status")?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use msight_contract::traffic;
    use msight_node::health::{Health, serve};
    use msight_node::metrics::{Metrics, Unit};
    use tokio_util::sync::CancellationToken;

    use super::*;

    const LOST_PACKETS: Metric = Metric::loss("msight_rtsp_lost_packets_total", Unit::Packets, "Lost.");

    #[tokio::test]
    async fn counters_of_a_node_are_read() {
        let (metrics, health, stop) = (Metrics::default(), Health::default(), CancellationToken::new());
        metrics.counter_with(&traffic::PUBLISH_DROPPED, &["queue full"]).inc_by(3);
        metrics.counter_with(&traffic::PUBLISH_DROPPED, &["stopped"]);
        metrics.counter(&traffic::PUBLISHED).inc_by(7);
        metrics.counter(&LOST_PACKETS).inc_by(2);
        metrics.counter(&traffic::GAP_LEFT_OUT).inc_by(5);
        let age = metrics.histogram(&traffic::RECEIVED_AGE);
        age.observe(Duration::from_millis(250));
        age.observe(Duration::from_millis(500));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = serve(any, metrics, health.clone(), stop.clone()).await.expect("a port");
        let counters = Counters::of(address).await.expect("an answer");
        assert_eq!(counters.total(&traffic::PUBLISHED), 7);
        assert_eq!(counters.total(&traffic::PUBLISH_DROPPED), 3);
        assert_eq!(counters.total(&traffic::RECEIVED), 0);
        let lost = Lost {
            by: "source".to_owned(),
            counter: traffic::PUBLISH_DROPPED.name.to_owned(),
            reason: Some("queue full".to_owned()),
            count: 3,
        };
        let declared = [traffic::PUBLISHED, traffic::PUBLISH_DROPPED, traffic::GAP_LEFT_OUT, LOST_PACKETS];
        let declared = declared.each_ref().map(MetricDescription::from);
        let packets = Lost { counter: LOST_PACKETS.name.to_owned(), reason: None, count: 2, ..lost.clone() };
        assert_eq!(counters.lost("source", &declared), [lost, packets]);
        assert_eq!(counters.losses(&declared), 3);
        let skipped = counters.skipped("source", &declared);
        assert_eq!((skipped[0].counter.as_str(), skipped[0].count), (traffic::GAP_LEFT_OUT.name, 5));
        // A program that declares nothing has no losses that are known.
        assert_eq!(counters.losses(&[]), 0);
        assert_eq!(counters.seconds(&traffic::RECEIVED_AGE), Some((2, 0.75)));
        assert_eq!(counters.seconds(&traffic::PUBLISHED), None);
        let by_reason = counters.by_reason(&traffic::PUBLISH_DROPPED);
        assert_eq!(by_reason, BTreeMap::from([("queue full".to_owned(), 3)]));
        assert_eq!(readiness(address).await, Err("starting".to_owned()));
        assert_eq!(liveness(address).await, Ok(()));
        health.set_ready(true);
        assert_eq!(readiness(address).await, Ok(()));
        stop.cancel();
    }
}
