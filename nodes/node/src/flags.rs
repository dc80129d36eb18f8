//! The flags that every node shares: MSight's, spelled and read as MSight has them, and ours.
//!
//! MSight's carry no help heading, ours carry one: [`argparse`] relies on it.

mod environment;
mod values;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Arg, ArgAction, Args, Command, FromArgMatches as _, ValueEnum};
use msight_bus::{Overflow, Queue, Topic};
use serde::{Deserialize, Serialize};

use self::environment::Line;
pub use self::environment::{Environment, process};
pub use self::values::{Secret, listen_addr};
use crate::argparse;
pub use crate::argparse::Error;
use crate::logs;
use crate::port::{Direction, Port};

/// What a node does with topics, which decides the flags that name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Publishes: `-pt` and `-sn`, both required.
    Source,
    /// Subscribes and publishes: `-st` and `-pt` required, `-sn` optional.
    Processor,
    /// Subscribes: `-st` required.
    Sink,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Source => "source",
            Self::Processor => "processor",
            Self::Sink => "sink",
        })
    }
}

/// What `--action-on-error` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ActionOnError {
    /// Count the error, say so, go on.
    Continue,
    /// End the process with status 1.
    Stop,
}

/// The flags of every node, read. Absent options are `None` where the default depends on the node; the methods
/// give what applies.
#[derive(Debug, Clone, Args)]
pub struct CommonFlags {
    /// The node's name: one running node owns it, and msight_status, logs and metrics show it
    #[arg(short, long)]
    pub name: String,

    /// Accepted as MSight has it, without effect: a beat is written every 5 s, whatever the rate of messages
    ///
    /// MSight counts beats in messages, so that a quiet node looks dead. Here they go by time.
    #[arg(long, value_name = "COUNT", value_parser = argparse::int)]
    pub heartbeat_update_interval: Option<i64>,

    /// What a message that cannot be used does: `continue` counts and skips it, `stop` ends the node with
    /// status 1, for its supervisor to start it again [default: continue]
    ///
    /// In MSight this concerns the heartbeat monitor alone, and any bad message ends the process.
    #[arg(long, value_name = "ACTION")]
    pub action_on_error: Option<ActionOnError>,

    /// Seconds without a message after which the node's record says ERROR; 0 or less is never [default: 60 for
    /// sources, never for others]
    #[arg(long, value_name = "SECONDS", value_parser = argparse::float)]
    pub heartbeat_tolerance: Option<f64>,

    /// Accepted as MSight has it, without effect: the node's record is looked at with every beat, and written
    /// again if it has vanished
    #[arg(long, value_name = "SECONDS", value_parser = argparse::float)]
    pub heartbeat_checking_duration: Option<f64>,

    /// Messages left out between two that are used: 0 uses all, 1 every other one; -1 is 0, less uses none
    /// [default: 0]
    #[arg(short, long, value_name = "MESSAGES", value_parser = argparse::int)]
    pub gap: Option<i64>,

    /// Consumer group of the bus, where it has such groups. Redis pub/sub has none
    #[arg(long, value_name = "GROUP")]
    pub group_id: Option<String>,

    /// The least severe lines to log: DEBUG, INFO, WARNING, ERROR or CRITICAL; RUST_LOG goes before [default:
    /// INFO]
    #[arg(long, value_name = "LEVEL", env = "MSIGHT_LOGGING_LEVEL", value_parser = logs::Level::parse)]
    pub logging_level: Option<logs::Level>,

    /// The topic of `-pt`: always there for sources and processors.
    #[arg(skip)]
    pub publish_topic: Option<String>,
    /// The topic of `-st`: always there for processors and sinks.
    #[arg(skip)]
    pub subscribe_topic: Option<String>,
    /// The sensor of `-sn`: always there for sources, never for sinks.
    #[arg(skip)]
    pub sensor_name: Option<String>,
    /// The further outputs and inputs that have a topic.
    #[arg(skip)]
    pub(crate) further_topics: Vec<(Port, String)>,

    /// Messages that may wait in the node before one is dropped, which is counted
    #[arg(long, value_name = "MESSAGES", default_value = "32", help_heading = "Queue", value_parser = values::count)]
    pub queue_size: usize,

    /// Bytes that may wait in the node before a message is dropped: 64MiB, 500kB, 1000000
    #[arg(long, value_name = "BYTES", default_value = "64MiB", help_heading = "Queue", value_parser = values::bytes)]
    pub queue_bytes: usize,

    /// What a full queue drops: `drop-oldest` keeps up with live pictures, `drop-newest` keeps an unbroken
    /// beginning
    #[arg(long, value_name = "POLICY", default_value = "drop-oldest", help_heading = "Queue", value_parser = values::overflow())]
    pub overflow: Overflow,

    /// Serve /metrics (Prometheus), /healthz and /readyz on this address: 9100 and 127.0.0.1:9100 are for this
    /// machine only, 0.0.0.0:9100 is for all; port 0 is any free one [default: off]
    #[arg(long, value_name = "ADDR", env = "MSIGHT_METRICS", help_heading = "Operation", value_parser = listen_addr)]
    pub metrics: Option<SocketAddr>,

    /// Seconds a stop may take, to finish what has been received; keep it below the supervisor's patience (10
    /// under docker)
    #[arg(long, value_name = "SECONDS", default_value = "8", help_heading = "Operation", value_parser = values::seconds)]
    grace: Duration,

    /// How lines are logged: `text` for people, `json` for collectors, `auto` is text on a terminal
    #[arg(long, value_name = "FORMAT", default_value = "auto", help_heading = "Operation")]
    pub log_format: logs::Format,

    /// The Redis server, redis://host:6379/0 or rediss:// with TLS, instead of the
    /// MSIGHT_REDIS_MESSAGE_BROKER_* variables
    ///
    /// A password belongs in MSIGHT_REDIS_MESSAGE_BROKER_PASSWORD: a command line can be read by every user of
    /// the machine.
    #[arg(long, value_name = "URL", help_heading = "Operation")]
    pub redis_url: Option<Secret>,
}

impl CommonFlags {
    /// Messages to leave out, MSight's default applied.
    pub fn gap(&self) -> i64 {
        self.gap.unwrap_or(0)
    }

    /// Whether a bad message ends the node. Only when asked for: MSight's default, `stop`, is not about messages.
    pub fn stop_on_error(&self) -> bool {
        self.action_on_error == Some(ActionOnError::Stop)
    }

    /// The silence after which a node's record says ERROR; `None` is never.
    pub fn heartbeat_tolerance(&self, kind: Kind) -> Option<Duration> {
        let default = if kind == Kind::Source { 60.0 } else { -1.0 };
        // Zero, less, not a number and what no clock can count are all "never".
        let tolerance = Duration::try_from_secs_f64(self.heartbeat_tolerance.unwrap_or(default)).ok();
        tolerance.filter(|tolerance| !tolerance.is_zero())
    }

    /// The lines to log, the default applied.
    pub fn logging_level(&self) -> logs::Level {
        self.logging_level.unwrap_or_default()
    }

    /// The time that a stop may take.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// The bounds of the node's queue.
    pub fn queue(&self) -> Queue {
        Queue { max_items: self.queue_size, max_bytes: self.queue_bytes, overflow: self.overflow }
    }
}

/// The command line of a program: the common flags, the topics of its kind and ports, and the node's own flags `A`.
///
/// A node that declares a one-letter option of the common flags takes the letter: `-g` is `--gap` except where
/// the node has its own `-g`. The doc comment of `A` is what the help says of the program.
pub fn command<A: Args>(name: &'static str, kind: Kind, ports: &[Port]) -> Command {
    let own = A::augment_args(Command::new(name));
    let letters: Vec<char> = own.get_arguments().filter_map(Arg::get_short).collect();

    let common = CommonFlags::augment_args(Command::new(name)).args(topics(kind)).args(further_topics(ports));
    let common = common.about(None).long_about(None).mut_args(|arg| match arg.get_short() {
        Some(letter) if letters.contains(&letter) => arg.short(None),
        _ => arg,
    });

    let version = Arg::new("version").long("version").action(ArgAction::Version);
    let describe = Arg::new("describe").long("describe").action(ArgAction::SetTrue);
    let about_describe =
        "Print what this program is and takes, and what the arguments behind it mean, as JSON";
    let command = A::augment_args(common)
        .arg(describe.help(about_describe).help_heading("Operation"))
        .arg(version.help("Print version").help_heading("Operation"))
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true);
    let command = argparse::show_two_letter_options(command);
    debug_assert_eq!(
        argparse::additions_in_the_way(&command),
        Vec::<String>::new(),
        "{name}: options with a help heading that MSight's users type as abbreviations"
    );
    command
}

/// Reads the arguments of a program, without its name, and what this environment adds to them.
///
/// # Errors
///
/// As [`argparse::parse`] has them; print the error and exit with its code.
pub fn parse<A: Args>(
    name: &'static str,
    kind: Kind,
    ports: &[Port],
    args: &[OsString],
    environment: Environment<'_>,
) -> Result<(CommonFlags, A), Error> {
    let command = command::<A>(name, kind, ports);
    let mut matches = Line::new(&command, args, environment).parse(&command)?;
    if matches.get_flag("describe") {
        let message = "argument --describe: it must be the first argument";
        return Err(Error::in_values(&command, args, message));
    }
    let mut topic = |id| matches.try_remove_one::<String>(id).ok().flatten();
    let (publish_topic, subscribe_topic, sensor_name) =
        (topic("publish_topic"), topic("subscribe_topic"), topic("sensor_name"));
    if let Some(topic) = publish_topic.as_deref().filter(|topic| subscribe_topic.as_deref() == Some(*topic)) {
        let message = format!(
            "arguments --publish-topic and --subscribe-topic: both are '{topic}', so the node would be fed what it \
             publishes"
        );
        return Err(Error::in_values(&command, args, message));
    }

    let further_topics: Vec<(Port, String)> =
        ports.iter().filter_map(|port| Some((*port, topic(port.name())?))).collect();
    if let Some(message) = shared_topic(&publish_topic, &subscribe_topic, &further_topics) {
        return Err(Error::in_values(&command, args, message));
    }

    let read = |matches: &mut _| -> Result<_, clap::Error> {
        let common = CommonFlags::from_arg_matches_mut(matches)?;
        Ok((
            CommonFlags { publish_topic, subscribe_topic, sensor_name, further_topics, ..common },
            A::from_arg_matches_mut(matches)?,
        ))
    };
    read(&mut matches).map_err(|error| Error::in_values(&command, args, error.to_string()))
}

/// What is wrong if two flags of a node name one topic. A node that reads what it writes would be fed its own messages,
/// and readers of a topic expect one type of message there.
fn shared_topic(
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

/// The flags of further outputs and inputs.
fn further_topics(ports: &[Port]) -> impl Iterator<Item = Arg> {
    ports.iter().map(|port| {
        let topic = |name: &str| Topic::new(name).map(|_| name.to_owned());
        let heading = match port.direction {
            Direction::Out => "Further outputs",
            Direction::In => "Further inputs",
        };
        let arg = Arg::new(port.name()).long(port.name()).value_name("NAME").value_parser(topic);
        arg.help(port.help).help_heading(heading)
    })
}

/// The flags that name topics and the sensor.
fn topics(kind: Kind) -> Vec<Arg> {
    let option = |id: &'static str, long, short, required, help| {
        Arg::new(id).long(long).alias(short).value_name("NAME").required(required).help(help)
    };
    let topic = |name: &str| Topic::new(name).map(|_| name.to_owned());
    let publish = || {
        option("publish_topic", "publish-topic", "pt", true, "The topic to publish to, a Redis channel")
            .value_parser(topic)
    };
    let subscribe = || {
        option(
            "subscribe_topic",
            "subscribe-topic",
            "st",
            true,
            "The topic to take messages from, a Redis channel",
        )
        .value_parser(topic)
    };
    let sensor = |required, help| option("sensor_name", "sensor-name", "sn", required, help);
    match kind {
        Kind::Source => {
            vec![
                publish(),
                sensor(true, "The sensor's name: it goes into every message and, later, into file names"),
            ]
        }
        Kind::Processor => {
            vec![
                publish(),
                subscribe(),
                sensor(false, "Accepted as MSight has it: messages keep their own sensor's name"),
            ]
        }
        Kind::Sink => vec![subscribe()],
    }
}

#[cfg(test)]
mod tests;
