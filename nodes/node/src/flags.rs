//! The flags that every node shares: MSight's, spelled and read as MSight has them, and ours.
//!
//! MSight's carry no help heading, ours carry one: [`argparse`] relies on it.

mod environment;
mod topics;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Arg, ArgAction, Args, Command, FromArgMatches as _, ValueEnum};
use msight_bus::{Overflow, QueueConfig};
pub use msight_contract::Kind;

pub use self::environment::{Environment, process};
pub use self::topics::Topics;
pub use self::values::{Secret, listen_addr};
use crate::argparse;
pub use crate::argparse::Error;
use crate::argparse::Parser;
use crate::logs;
use crate::port::{Direction, Port};

/// What a node does with a message that it cannot use, `--action-on-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ActionOnError {
    /// Count the error, log it, and skip the message.
    Continue,
    /// Exit with status 1.
    Stop,
}

/// The flags of every node, read. Absent options are `None` where the default depends on the node; the methods
/// give what applies.
#[derive(Debug, Clone, Args)]
pub struct CommonFlags {
    /// Name of the node, unique among running nodes
    ///
    /// The registry, logs and metrics show it. A second node of the same name is refused while the first one runs.
    #[arg(short, long, value_parser = values::name)]
    pub name: String,

    /// Ignored; accepted for compatibility with MSight
    ///
    /// A heartbeat is written every 5 s. MSight counts messages instead, so that a node without messages looks dead.
    #[arg(long, value_name = "COUNT", value_parser = argparse::int)]
    pub heartbeat_update_interval: Option<i64>,

    /// What to do with a message that cannot be used [default: continue]
    ///
    /// In MSight this flag concerns the heartbeat monitor alone, and any bad message ends the process.
    #[arg(long, value_name = "ACTION")]
    pub action_on_error: Option<ActionOnError>,

    /// Seconds without a message until the node's status is ERROR; 0 disables [default: 60 for sources, 0 for others]
    ///
    /// Negative values disable the check as well.
    #[arg(long, value_name = "SECONDS", value_parser = argparse::float)]
    pub heartbeat_tolerance: Option<f64>,

    /// Ignored; accepted for compatibility with MSight
    ///
    /// The node's record in the registry is checked with every heartbeat, and written again if it is missing.
    #[arg(long, value_name = "SECONDS", value_parser = argparse::float)]
    pub heartbeat_checking_duration: Option<f64>,

    /// Number of messages to skip after each message that is used [default: 0]
    ///
    /// 0 uses every message, 1 every second, 2 every third. As in MSight, -1 also uses every message, and a value
    /// below -1 uses none.
    #[arg(short, long, value_name = "MESSAGES", value_parser = argparse::int)]
    pub gap: Option<i64>,

    /// Consumer group, on a bus that has groups; Redis pub/sub has none
    #[arg(long, value_name = "GROUP")]
    pub group_id: Option<String>,

    /// Minimum log level: DEBUG, INFO, WARNING, ERROR or CRITICAL [default: INFO]
    ///
    /// The variable RUST_LOG takes precedence.
    #[arg(long, value_name = "LEVEL", env = "MSIGHT_LOGGING_LEVEL", value_parser = logs::Level::parse)]
    pub logging_level: Option<logs::Level>,

    /// The topic of `-pt`: always there for processors, and for sources that need it.
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

    /// Maximum number of messages in the input queue [default: as many as --queue-bytes holds]
    ///
    /// When the queue is full, --overflow decides which message is dropped. Metrics count dropped messages. Without this
    /// option, a message of less than 256 bytes counts as 256 bytes.
    #[arg(long, value_name = "MESSAGES", help_heading = "Queue", value_parser = values::count)]
    pub queue_size: Option<usize>,

    /// Maximum size of the input queue in bytes, such as 64MiB, 500kB or 1000000
    #[arg(long, value_name = "BYTES", default_value = "64MiB", help_heading = "Queue", value_parser = values::bytes)]
    pub queue_bytes: usize,

    /// Which message a full queue drops
    ///
    /// drop-oldest keeps up with live pictures; drop-newest keeps the sequence at the front of the queue unbroken.
    #[arg(long, value_name = "POLICY", default_value = "drop-oldest", help_heading = "Queue", value_parser = values::overflow())]
    pub overflow: Overflow,

    /// Address to serve /metrics, /healthz and /readyz on [default: off]
    ///
    /// A port alone, such as 9100, listens on 127.0.0.1 and is reachable from this machine only; 0.0.0.0:9100 listens
    /// on all interfaces. Port 0 takes any free port, which the log names. /metrics is in Prometheus' format.
    #[arg(long, value_name = "ADDR", env = "MSIGHT_METRICS", help_heading = "Operation", value_parser = listen_addr)]
    pub metrics: Option<SocketAddr>,

    /// Maximum time in seconds to finish queued messages at shutdown
    ///
    /// Keep it below the stop timeout of the supervisor, which is 10 s for docker.
    #[arg(long, value_name = "SECONDS", default_value = "8", help_heading = "Operation", value_parser = values::seconds)]
    grace: Duration,

    /// Format of log lines
    #[arg(long, value_name = "FORMAT", default_value = "auto", help_heading = "Operation")]
    pub log_format: logs::Format,

    /// URL of the Redis server, such as redis://host:6379/0; rediss:// uses TLS
    ///
    /// Overrides the MSIGHT_REDIS_MESSAGE_BROKER_* variables. Put a password into
    /// MSIGHT_REDIS_MESSAGE_BROKER_PASSWORD instead: every user of the machine can read command lines.
    #[arg(long, value_name = "URL", help_heading = "Operation")]
    pub redis_url: Option<Secret>,
}

impl CommonFlags {
    /// Messages to skip, MSight's default applied.
    pub fn gap(&self) -> i64 {
        self.gap.unwrap_or(0)
    }

    /// The topic that the command line names for a further output or input.
    pub fn further_topic(&self, port: Port) -> Option<&str> {
        let mut topics = self.further_topics.iter();
        topics.find(|(known, _)| *known == port).map(|(_, topic)| topic.as_str())
    }

    /// Whether a bad message ends the node. Only on request: MSight's default, `stop`, is not about messages.
    pub fn stop_on_error(&self) -> bool {
        self.action_on_error == Some(ActionOnError::Stop)
    }

    /// The time without a message after which the node's status is ERROR; `None` disables the check.
    pub fn heartbeat_tolerance(&self, kind: Kind) -> Option<Duration> {
        let default = if kind == Kind::Source { 60.0 } else { -1.0 };
        // Zero, negative values, NaN and values too large for a clock all disable the check.
        let tolerance = Duration::try_from_secs_f64(self.heartbeat_tolerance.unwrap_or(default)).ok();
        tolerance.filter(|tolerance| !tolerance.is_zero())
    }

    /// The topics of the further outputs, or of the further inputs.
    pub(crate) fn further(&self, direction: Direction) -> impl Iterator<Item = &str> {
        let ports = self.further_topics.iter().filter(move |(port, _)| port.direction == direction);
        ports.map(|(_, topic)| &**topic)
    }

    /// All topics that the node publishes on, or subscribes to; that of `-pt` or `-st` is the first.
    pub(crate) fn topics(&self, direction: Direction) -> impl Iterator<Item = &str> {
        let first = match direction {
            Direction::Out => &self.publish_topic,
            Direction::In => &self.subscribe_topic,
        };
        first.as_deref().into_iter().chain(self.further(direction))
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
    pub fn queue(&self) -> QueueConfig {
        let by_bytes = QueueConfig::of_bytes(self.queue_bytes);
        QueueConfig {
            max_items: self.queue_size.unwrap_or(by_bytes.max_items),
            overflow: self.overflow,
            ..by_bytes
        }
    }
}

/// The command line of a program: the common flags, those of its topics, and the node's own flags `A`.
///
/// A node that declares a one-letter option of the common flags takes the letter: `-g` is `--gap` except where
/// the node has its own `-g`. The doc comment of `A` is what the help says of the program.
pub fn command<A: Args>(name: &'static str, topics: Topics<'_>) -> Command {
    let own = A::augment_args(Command::new(name));
    let letters: Vec<char> = own.get_arguments().filter_map(Arg::get_short).collect();

    let common = topics.augment(CommonFlags::augment_args(Command::new(name)));
    let common = common.about(None).long_about(None).mut_args(|arg| match arg.get_short() {
        Some(letter) if letters.contains(&letter) => arg.short(None),
        _ => arg,
    });

    let version = Arg::new("version").long("version").action(ArgAction::Version);
    let describe = Arg::new("describe").long("describe").action(ArgAction::SetTrue);
    let about_describe = "Print a description of this program and of the arguments that follow, as JSON";
    let command = A::augment_args(common)
        .arg(describe.help(about_describe).help_heading("Operation"))
        .arg(version.help("Print version").help_heading("Operation"))
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true);
    debug_assert_eq!(
        Parser::new(command.clone()).options().additions_in_the_way(),
        Vec::<&str>::new(),
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
    topics: Topics<'_>,
    args: &[OsString],
    environment: Environment<'_>,
) -> Result<(CommonFlags, A), Error> {
    let command = command::<A>(name, topics);
    let mut parser = environment::parser(&command);
    let mut matches = environment::parse(&command, &mut parser, args, environment)?;
    if matches.get_flag("describe") {
        let message = "argument --describe: must be the first argument";
        return Err(parser.error(args, message));
    }
    let mut topic = |id| matches.try_remove_one::<String>(id).ok().flatten();
    let (publish_topic, subscribe_topic, sensor_name) =
        (topic("publish_topic"), topic("subscribe_topic"), topic("sensor_name"));

    let further_topics: Vec<(Port, String)> =
        topics.ports.iter().filter_map(|port| Some((*port, topic(port.name())?))).collect();
    if let Some(message) = topics::shared(&publish_topic, &subscribe_topic, &further_topics) {
        return Err(parser.error(args, &message));
    }

    let read = |matches: &mut _| -> Result<_, clap::Error> {
        let common = CommonFlags::from_arg_matches_mut(matches)?;
        Ok((
            CommonFlags { publish_topic, subscribe_topic, sensor_name, further_topics, ..common },
            A::from_arg_matches_mut(matches)?,
        ))
    };
    read(&mut matches).map_err(|error| parser.error(args, &error.to_string()))
}

#[cfg(test)]
mod tests;
