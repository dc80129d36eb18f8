//! `msight status` and `msight_status`: list the registered nodes and topics.

mod grid;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use msight_bus::Registry;
use msight_bus::registry::{self, Malformed, NodeRecord, Status, TopicRecord};
use msight_compose::terminal::{cell, shortened};
use msight_node::flags::Secret;
use msight_proto::unix_now;
use serde_json::{Value, json};

use super::{print, print_json, redis};

/// Show the registered nodes and topics, and why a node is in ERROR; nodes without a recent heartbeat are stale
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// URL of the Redis server, redis://host:6379/0 [default: the MSIGHT_REDIS_MESSAGE_BROKER_* variables]
    #[arg(long, value_name = "URL")]
    redis_url: Option<Secret>,
}

type Records<T> = Vec<(String, Result<T, Malformed>)>;

/// The registry of a bus at one moment.
struct Snapshot {
    nodes: Records<NodeRecord>,
    topics: Records<TopicRecord>,
    /// When it was read, in seconds since 1970.
    now: f64,
}

impl Snapshot {
    /// Reads the registry.
    ///
    /// # Errors
    /// The bus cannot be read.
    async fn of(registry: &dyn Registry) -> Result<Self> {
        let nodes = registry::nodes(registry).await.context("cannot read the registered nodes")?;
        let topics = registry::topics(registry).await.context("cannot read the registered topics")?;
        Ok(Self { nodes, topics, now: unix_now() })
    }
}

/// Prints the registry.
///
/// # Errors
/// The bus cannot be read.
pub async fn run(args: Args) -> Result<()> {
    let registry = redis(args.redis_url.as_deref()).await?.registry;
    let Snapshot { nodes, topics, now } = Snapshot::of(&*registry).await?;
    if args.json {
        return print_json(&as_json(&nodes, &topics, now));
    }
    print(as_tables(&nodes, &topics, now, &TimeZone::system()))
}

/// MSight's two tables, `tabulate`'s "grid", with its titles and columns. Below the first one are the nodes that do not
/// work, each with the reason.
fn as_tables(
    nodes: &Records<NodeRecord>,
    topics: &Records<TopicRecord>,
    now: f64,
    zone: &TimeZone,
) -> String {
    let reasons: String =
        nodes.iter().filter_map(|(name, record)| reason(name, record.as_ref().ok()?)).collect();
    let nodes = nodes.iter().map(|(name, record)| match record {
        Ok(node) => [
            name.clone(),
            node.publish_topic.as_ref().map(ToString::to_string).unwrap_or_default(),
            node.subscribe_topic.as_ref().map(ToString::to_string).unwrap_or_default(),
            node.node_type.clone(),
            local_time(node.last_heartbeat, zone),
            match node.staleness(now) {
                Some(age) => format!("{} (stale {age:.0} s)", node.status),
                None => node.status.to_string(),
            },
        ],
        Err(malformed) => {
            [name.as_str(), "", "", "", "", &format!("malformed: {}", malformed.reason)].map(str::to_owned)
        }
    });
    let topics = topics.iter().map(|(name, record)| match record {
        Ok(topic) => {
            [name.clone(), topic.message_type().to_owned(), topic.description.clone().unwrap_or_default()]
        }
        Err(malformed) => [name.clone(), String::new(), format!("malformed: {}", malformed.reason)],
    });
    let rule = "-".repeat(26);
    let nodes = grid::table(
        ["Node Name", "Publish Topic", "Subscribe Topic", "Type", "Last Heartbeat", "Status"],
        nodes.collect(),
    );
    let topics = grid::table(["Topic Name", "Data Type", "Description"], topics.collect());
    format!("{rule}NODES{rule}\n{nodes}{reasons}{rule}TOPICS{rule}\n{topics}")
}

/// The line for a node that states why it does not work. Python nodes do not.
fn reason(name: &str, node: &NodeRecord) -> Option<String> {
    let reason = node.status_reason.as_deref().filter(|_| node.status != Status::Running)?;
    let status = cell(&node.status.to_string());
    Some(format!("{}: {status}: {}\n", cell(name), shortened(reason, NodeRecord::MAX_REASON)))
}

fn as_json(nodes: &Records<NodeRecord>, topics: &Records<TopicRecord>, now: f64) -> Value {
    let malformed =
        |name: &String, malformed: &Malformed| json!({ "name": name, "malformed": malformed.reason });
    let nodes = nodes.iter().map(|(name, record)| match record {
        Ok(node) => {
            let mut value = json!(node);
            value["stale"] = node.staleness(now).is_some().into();
            value
        }
        Err(error) => malformed(name, error),
    });
    let topics = topics.iter().map(|(name, record)| match record {
        Ok(topic) => json!(topic),
        Err(error) => malformed(name, error),
    });
    json!({ "nodes": nodes.collect::<Vec<_>>(), "topics": topics.collect::<Vec<_>>() })
}

/// Formats a time as Python's `datetime.fromtimestamp` with `%Y-%m-%d %H:%M:%S`. An invalid time is shown as a
/// number.
fn local_time(seconds: f64, zone: &TimeZone) -> String {
    match Timestamp::from_microsecond((seconds * 1e6) as i64) {
        Ok(time) if seconds.is_finite() => {
            time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
        _ => seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use msight_bus::Topic;
    use msight_proto::Message as _;

    use super::*;

    /// What MSight's own `msight_status` printed, in UTC.
    const GOLDEN: &str = include_str!("../../tests/data/msight_status.txt");

    const NODES: [(&str, &str); 2] = [
        (
            "image-aggregator",
            r#"{"name": "image-aggregator", "device": "d", "publish_topic": "aggregated_video", "subscribe_topic": "img", "type": "ImageToVideoAggregatorNode", "last_heartbeat": 1795172267.25, "status": "RUNNING"}"#,
        ),
        (
            "video_pusher",
            r#"{"name": "video_pusher", "device": "d", "publish_topic": null, "subscribe_topic": "aggregated_video", "type": "AWSVideoPusherSinkNode", "last_heartbeat": 1795172262.0, "status": "RUNNING"}"#,
        ),
    ];
    const TOPICS: [(&str, &str); 2] = [
        ("img", r#"{"name": "img", "description": null, "data_type": "msight_core.data.image.ImageData"}"#),
        (
            "aggregated_video",
            r#"{"name": "aggregated_video", "description": null, "data_type": "msight_core.data.video.VideoData"}"#,
        ),
    ];
    const NOW: f64 = 1_795_172_270.0;

    fn nodes(records: &[(&str, &str)]) -> Records<NodeRecord> {
        records.iter().map(|(name, text)| ((*name).to_owned(), NodeRecord::from_json(name, text))).collect()
    }

    fn topics(records: &[(&str, &str)]) -> Records<TopicRecord> {
        records.iter().map(|(name, text)| ((*name).to_owned(), TopicRecord::from_json(name, text))).collect()
    }

    #[test]
    fn the_tables_are_msights() {
        assert_eq!(as_tables(&nodes(&NODES), &topics(&TOPICS), NOW, &TimeZone::UTC), GOLDEN);
    }

    /// MSight's `msight_status` lists such records too, with the type that Python can import.
    #[test]
    fn a_source_of_access_units_is_listed_with_its_topics_and_their_types() {
        let unit = msight_proto::AccessUnitData::TYPE;
        let camera = NODES[0].1.replace(r#""aggregated_video""#, r#"["frames", "packets"]"#);
        let packets = TopicRecord::new(&Topic::new("packets").unwrap(), unit).to_json().unwrap();
        assert!(packets.contains(r#""data_type": "msight_core.data.base.SensorData""#), "{packets}");
        let records = topics(&[("packets", &packets)]);
        let text = as_tables(&nodes(&[("camera", &camera)]), &records, NOW, &TimeZone::UTC);
        let line = |words: [&str; 2]| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(line(["camera", "frames, packets"]) && line(["packets", unit]), "{text}");
        assert_eq!(as_json(&Vec::new(), &records, NOW)["topics"][0]["message_type"], unit);
    }

    #[test]
    fn stale_and_malformed_records_are_shown_as_such() {
        let dead = NODES[0].1.replace("1795172267.25", "1795172168.0");
        let records = [("dead", dead.as_str()), ("bad\u{1b}[2J\n", "{"), ("nan", r#"{"name": 3}"#)];
        let text = as_tables(&nodes(&records), &topics(&[("t", "[]")]), NOW, &TimeZone::UTC);
        assert!(text.contains("RUNNING (stale 102 s)"), "{text}");
        assert_eq!(text.matches("malformed: ").count(), 3, "{text}");
        assert!(!text.contains('\u{1b}'), "a name must not drive the terminal");
    }

    #[test]
    fn a_node_in_error_has_its_reason_below_the_table() {
        let failing = |reason: &str| {
            NODES[0].1.replace(r#""RUNNING""#, &format!(r#""ERROR", "status_reason": {}"#, json!(reason)))
        };
        let lines = |reason: &str| {
            let (record, running) = (failing(reason), failing("no more").replace("ERROR", "RUNNING"));
            let records = [("front", record.as_str()), ("back", &running), NODES[1]];
            let text = as_tables(&nodes(&records), &topics(&TOPICS), NOW, &TimeZone::UTC);
            let (_, below) = text.split_once("---NODES---").unwrap();
            let (below, _) = below.split_once("---TOPICS---").unwrap();
            below
                .lines()
                .filter(|line| !line.starts_with(['|', '+', '-']))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines("no camera at rtsp://10.0.0.1/"), ["front: ERROR: no camera at rtsp://10.0.0.1/"]);
        let hostile = lines(&"\u{1b}[2J\u{202e}\n".repeat(2_000));
        assert_eq!(
            (hostile.len(), hostile[0].chars().count()),
            (1, "front: ERROR: ".len() + NodeRecord::MAX_REASON)
        );
        assert!(!hostile[0].contains(['\u{1b}', '\u{202e}']));
    }

    #[test]
    fn json_has_the_records_as_they_are() {
        let value = as_json(&nodes(&NODES), &topics(&[("t", "[]")]), NOW + 60.0);
        assert_eq!(value["nodes"][0]["subscribe_topic"], "img");
        assert_eq!(value["nodes"][0]["stale"], true);
        assert_eq!(value["topics"][0]["name"], "t");
        assert!(value["topics"][0]["malformed"].is_string());
    }

    #[test]
    fn an_invalid_heartbeat_time_is_shown_as_a_number() {
        assert_eq!(local_time(1e300, &TimeZone::UTC), 1e300.to_string());
        assert_eq!(local_time(-1.5, &TimeZone::UTC), "1969-12-31 23:59:58");
    }
}
