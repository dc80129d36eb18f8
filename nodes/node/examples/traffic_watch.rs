//! A node with two outputs and a further input: how many road users are there, and when are there too many?
//!
//! cargo run --example traffic_watch -- -n watch -st road_users -pt counts --alarm-topic alarms --limit-topic limits

use msight_node::{Context, Input, Node, Output, Port, Processor, Publisher, Result, Subscriber};
use msight_proto::{Message, RoadUserListData, Sample};

#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Count {
    pub(crate) road_users: usize,
}
impl Message for Count {
    const TYPE: &'static str = "example.Count";
}

/// More road users than the limit.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Alarm {
    pub(crate) road_users: usize,
    pub(crate) limit: usize,
}
impl Message for Alarm {
    const TYPE: &'static str = "example.Alarm";
}

pub(crate) const ALARMS: Output<Alarm> = Output::new(
    "--alarm-topic",
    "Publish an alarm to this topic when there are more road users than the limit",
);
pub(crate) const LIMITS: Input<Count> = Input::new("--limit-topic", "Take a new limit from this topic");

/// Counts the road users of each message, and raises an alarm when there are too many.
#[derive(Clone, clap::Args)]
pub(crate) struct Flags {
    /// The most road users without an alarm, until --limit-topic brings another number
    #[arg(long, value_name = "COUNT", default_value_t = 10, help_heading = "Alarm")]
    limit: usize,
}

pub(crate) struct TrafficWatch {
    limit: usize,
    /// `None` without `--limit-topic`.
    limits: Option<Subscriber<Count>>,
    /// `None` without `--alarm-topic`.
    alarms: Option<Publisher<Alarm>>,
}
impl Node for TrafficWatch {
    const NAME: &'static str = "traffic_watch";
    const PORTS: &'static [Port] = &[ALARMS.port(), LIMITS.port()];
    type Args = Flags;
    async fn open(flags: Flags, cx: &Context) -> Result<Self> {
        let (limits, alarms) = (cx.subscriber(&LIMITS), cx.publisher(&ALARMS));
        Ok(Self { limit: flags.limit, limits, alarms })
    }
}
impl Processor for TrafficWatch {
    type In = RoadUserListData;
    type Out = Count;
    async fn process(&mut self, seen: Sample<RoadUserListData>, out: &Publisher<Count>) -> Result<()> {
        if let Some(limits) = &self.limits {
            while let Some(limit) = limits.try_recv().await? {
                self.limit = limit.body.road_users;
            }
        }
        let (road_users, limit) = (seen.body.road_user_list.len(), self.limit);
        if let Some(alarms) = self.alarms.as_ref().filter(|_| road_users > limit) {
            // The head says of which sensor and which moment this is.
            alarms.publish(Sample::new(seen.head.clone(), Alarm { road_users, limit })).await?;
        }
        out.publish(seen.map(|_| Count { road_users })).await
    }
}

#[allow(dead_code, reason = "the example's test takes the node without its main")]
fn main() -> std::process::ExitCode {
    msight_node::processor::<TrafficWatch>().main()
}
