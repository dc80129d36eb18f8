//! Watches for sources that publish under one sensor name: subscribers mix their frames, or lose those of one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use msight_bus::Registry;
use msight_bus::registry::shared_sensors;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, debug, error, info};

use crate::flags::{CommonFlags, Kind};
use crate::port::Direction;
use crate::resources::Resources;

/// Between two looks at the registry.
const INTERVAL: Duration = Duration::from_secs(10);

/// Sensor to the names of the nodes that publish its messages.
type SharedSensors = BTreeMap<String, Vec<String>>;

/// Watches the topics that a source writes for other sources of its sensor, or those that another node reads for several
/// sources of any sensor.
pub(super) fn watch_all(
    flags: &CommonFlags,
    resources: &Resources,
    kind: Kind,
) -> Vec<AbortOnDropHandle<()>> {
    let sensor = (kind == Kind::Source).then(|| flags.sensor_name.clone().unwrap_or_default());
    let watch = |topic: &str| {
        let watch = watch(resources.registry.clone(), topic.to_owned(), sensor.clone());
        AbortOnDropHandle::new(tokio::spawn(watch.in_current_span()))
    };
    topics(flags, kind).map(watch).collect()
}

/// The topics where frames of several sources could mix.
fn topics(flags: &CommonFlags, kind: Kind) -> impl Iterator<Item = &str> {
    flags.topics(match kind {
        Kind::Source => Direction::Out,
        Kind::Processor | Kind::Sink => Direction::In,
    })
}

/// Logs an error when several live nodes publish messages of one sensor on a topic, once for as long as they do. A source
/// watches its own sensor, so that the first one notices the second; a reader of the topic watches all. Runs until it is
/// dropped.
async fn watch(registry: Arc<dyn Registry>, topic: String, sensor: Option<String>) {
    let mut reported = SharedSensors::new();
    loop {
        match shared_sensors(&*registry, &topic).await {
            Ok(mut shared) => {
                shared.retain(|one, _| sensor.as_ref().is_none_or(|own| own == one));
                report(&topic, &reported, &shared);
                reported = shared;
            }
            Err(error) => debug!("cannot look for sources of one sensor: {error}"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Logs what has changed.
fn report(topic: &str, before: &SharedSensors, now: &SharedSensors) {
    for (sensor, nodes) in now.iter().filter(|(sensor, nodes)| before.get(*sensor) != Some(*nodes)) {
        let nodes = nodes.join(", ");
        error!(
            sensor,
            topic,
            nodes,
            "two sources publish under one sensor name: subscribers mix their frames, or lose those of one; give each its own \
             --sensor-name"
        );
    }
    for sensor in before.keys().filter(|sensor| !now.contains_key(*sensor)) {
        info!(sensor, topic, "one source is left of those with this sensor name");
    }
}

#[cfg(test)]
mod tests {
    use msight_proto::BytesData;

    use super::*;
    use crate::flags::{self, Topics};
    use crate::{Input, Output, Port};

    #[derive(clap::Args)]
    struct Nothing {}

    const PORTS: &[Port] = &[
        Output::<BytesData>::new("--packet-topic", "Packets").port(),
        Input::<BytesData>::new("--other-topic", "Others").port(),
    ];

    fn watched(kind: Kind, line: &str) -> Vec<String> {
        let args: Vec<_> = line.split_whitespace().map(Into::into).collect();
        let topics = Topics { kind, needs_publish_topic: false, ports: PORTS };
        let (flags, Nothing {}) = flags::parse("node", topics, &args, &|_| None).unwrap();
        super::topics(&flags, kind).map(str::to_owned).collect()
    }

    #[test]
    fn a_source_watches_what_it_writes_and_another_node_what_it_reads() {
        let further = "--packet-topic packets --other-topic others";
        assert_eq!(watched(Kind::Source, &format!("-n n -sn s -pt frames {further}")), ["frames", "packets"]);
        assert_eq!(watched(Kind::Source, &format!("-n n -sn s {further}")), ["packets"]);
        assert_eq!(watched(Kind::Sink, &format!("-n n -st frames {further}")), ["frames", "others"]);
    }
}
