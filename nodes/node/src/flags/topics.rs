//! The flags that name topics and the sensor.

use clap::{Arg, ArgGroup, Command};
use msight_bus::Topic;
use msight_contract::Kind;

use crate::port::{Direction, Port};

/// What decides which topics a program has flags for.
#[derive(Clone, Copy, Debug)]
pub struct Topics<'a> {
    /// Whether it publishes, subscribes or both.
    pub kind: Kind,
    /// Whether `-pt` is required even if a further output has a topic.
    pub needs_publish_topic: bool,
    /// Its further outputs and inputs.
    pub ports: &'a [Port],
}

impl Topics<'static> {
    /// The topics of a node without further outputs and inputs.
    pub const fn of(kind: Kind) -> Self {
        Self { kind, needs_publish_topic: true, ports: &[] }
    }
}

impl Topics<'_> {
    /// Whether the node cannot run without `-pt`.
    pub(crate) fn requires_publish_topic(&self) -> bool {
        self.needs_publish_topic || self.outputs().next().is_none()
    }

    fn outputs(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|port| port.direction == Direction::Out)
    }

    /// Adds the flags to a command.
    pub(super) fn augment(self, command: Command) -> Command {
        let command = command.args(self.main()).args(self.ports.iter().map(further));
        if self.requires_publish_topic() || !self.kind.publishes() {
            return command;
        }
        let outputs = std::iter::once(PUBLISH).chain(self.outputs().map(Port::name));
        command.group(ArgGroup::new("an_output").args(outputs).required(true).multiple(true))
    }

    /// The flags of `-pt`, `-st` and `-sn`.
    fn main(self) -> Vec<Arg> {
        let option = |id: &'static str, long, short, required, help: &str| {
            Arg::new(id).long(long).alias(short).value_name("NAME").required(required).help(help.to_owned())
        };
        let publish = || {
            let required = self.requires_publish_topic();
            let mut help = "Topic to publish to; a Redis channel".to_owned();
            if !required {
                let flags: Vec<&str> = self.outputs().map(|port| port.flag).collect();
                help += &format!("\n\nIt can be left out if a topic is given with {}.", flags.join(" or "));
            }
            option(PUBLISH, "publish-topic", "pt", required, &help).value_parser(topic)
        };
        let subscribe = || {
            option("subscribe_topic", "subscribe-topic", "st", true, "Topic to subscribe to; a Redis channel")
                .value_parser(topic)
        };
        let sensor = |required, help| option("sensor_name", "sensor-name", "sn", required, help);
        match self.kind {
            Kind::Source => vec![
                publish(),
                sensor(true, "Name of the sensor, which is part of every message and of file names"),
            ],
            Kind::Processor => vec![
                publish(),
                subscribe(),
                sensor(
                    false,
                    "Ignored; accepted for compatibility with MSight. Messages keep the name of their own sensor",
                ),
            ],
            Kind::Sink => vec![subscribe()],
        }
    }
}

const PUBLISH: &str = "publish_topic";

/// The flag of a further output or input.
fn further(port: &Port) -> Arg {
    let heading = match port.direction {
        Direction::Out => "Further outputs",
        Direction::In => "Further inputs",
    };
    let arg = Arg::new(port.name()).long(port.name()).value_name("NAME").value_parser(topic);
    arg.help(port.help).help_heading(heading)
}

/// The name of a topic.
fn topic(name: &str) -> Result<String, msight_bus::Error> {
    Topic::new(name).map(|_| name.to_owned())
}

/// What is wrong if two flags of a node name one topic. A node that reads what it writes would be fed its own messages,
/// and readers of a topic expect one type of message there.
pub(super) fn shared(
    publish: &Option<String>,
    subscribe: &Option<String>,
    further: &[(Port, String)],
) -> Option<String> {
    let mut named = vec![("--publish-topic", publish.as_ref()), ("--subscribe-topic", subscribe.as_ref())];
    named.extend(further.iter().map(|(port, topic)| (port.flag, Some(topic))));
    named.iter().enumerate().find_map(|(at, (flag, topic))| {
        let topic = topic.as_ref()?;
        let (other, _) = named[..at].iter().find(|(_, other)| other.as_ref() == Some(topic))?;
        Some(format!("arguments {other} and {flag}: both are '{topic}'; give each a topic of its own"))
    })
}
