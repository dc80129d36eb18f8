//! One value for all that is made of a node: its program, its task in another program, its tests, its docs.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use msight_contract::{Description, Document, Invocation, Metric, Mistake, Port as PortDescription, traffic};
use tracing::Instrument as _;

use crate::argparse::{self, Parser};
use crate::describe;
use crate::flags::{self, CommonFlags, Environment, Topics};
use crate::logs;
use crate::port::Direction;
use crate::prepared::PreparedNode;
use crate::resources::Resources;
use crate::run::consumer::{ProcessorRole, SinkRole};
use crate::run::role::Role;
use crate::run::source::SourceRole;
use crate::{Node, Processor, Settings, Sink, Source, program};

/// A node as a value. Make it with [`source`], [`processor`] or [`sink`].
///
/// ```no_run
/// # struct MyNode;
/// # #[derive(Clone, clap::Args)] struct Flags {}
/// # impl msight_node::Node for MyNode { const NAME: &'static str = "x"; type Args = Flags;
/// #   async fn open(_: Flags, _: &msight_node::Context) -> msight_node::Result<Self> { Ok(Self) } }
/// # impl msight_node::Sink for MyNode { type In = msight_proto::ImageData;
/// #   async fn consume(&mut self, _: msight_proto::Sample<Self::In>) -> msight_node::Result<()> { Ok(()) } }
/// use msight_node::Entry;
/// const ENTRY: Entry = msight_node::sink::<MyNode>();
/// fn main() -> std::process::ExitCode {
///     ENTRY.main()
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Entry {
    program: &'static str,
    class: &'static str,
    takes: &'static [&'static str],
    publishes: Option<&'static str>,
    topics: Topics<'static>,
    metrics: &'static [Metric],
    command: fn() -> clap::Command,
    parse: fn(&[OsString], Environment<'_>) -> Result<CommonFlags, argparse::Error>,
    prepare: fn(&[OsString], Environment<'_>) -> Result<PreparedNode, argparse::Error>,
}

/// The entry of a source.
pub const fn source<S: Source>() -> Entry {
    Entry::of::<SourceRole<S>>()
}

/// The entry of a processor.
pub const fn processor<P: Processor>() -> Entry {
    Entry::of::<ProcessorRole<P>>()
}

/// The entry of a sink.
pub const fn sink<S: Sink>() -> Entry {
    Entry::of::<SinkRole<S>>()
}

/// A node's own flags.
type FlagsOf<N> = <<N as Node>::Args as Settings>::Flags;

const fn topics<R: Role>() -> Topics<'static> {
    Topics { kind: R::KIND, needs_publish_topic: R::NEEDS_PUBLISH_TOPIC, ports: R::Node::PORTS }
}

fn command<R: Role>() -> clap::Command {
    flags::command::<FlagsOf<R::Node>>(R::Node::NAME, topics::<R>())
}

/// The flags that all nodes share, and what became of the node's own.
#[expect(
    clippy::type_complexity,
    reason = "two results: the line can be right for `check` where the node is not"
)]
fn parse<R: Role>(
    args: &[OsString],
    environment: Environment<'_>,
) -> Result<(CommonFlags, Result<<R::Node as Node>::Args>), argparse::Error> {
    let (flags, own) = flags::parse::<FlagsOf<R::Node>>(R::Node::NAME, topics::<R>(), args, environment)?;
    let settings =
        <R::Node as Node>::Args::parse(own).and_then(|settings| settings.check(&flags).map(|()| settings));
    Ok((flags, settings))
}

/// A usage error of the node's own.
fn refused<R: Role>(args: &[OsString], error: &anyhow::Error) -> argparse::Error {
    Parser::new(command::<R>()).error(args, &format!("{error:#}"))
}

/// Whether an error is one of the command line itself. A file that it names can be elsewhere, with the node.
fn lies_in_the_line(error: &anyhow::Error) -> bool {
    !error.chain().any(|cause| cause.is::<std::io::Error>())
}

impl Entry {
    const fn of<R: Role>() -> Self {
        Self {
            program: R::Node::NAME,
            class: R::Node::CLASS,
            takes: R::TAKES,
            publishes: R::PUBLISHES,
            topics: topics::<R>(),
            metrics: R::Node::METRICS,
            command: command::<R>,
            parse: |args, environment| match parse::<R>(args, environment)? {
                (_, Err(error)) if lies_in_the_line(&error) => Err(refused::<R>(args, &error)),
                (flags, _) => Ok(flags),
            },
            prepare: |args, environment| {
                let (flags, own) = parse::<R>(args, environment)?;
                let own = own.map_err(|error| refused::<R>(args, &error))?;
                Ok(PreparedNode {
                    flags,
                    run: Box::new(|flags, resources| Box::pin(R::run(flags, own, resources))),
                })
            },
        }
    }

    /// The whole program: reads the command line and the environment, connects, runs until a signal or the
    /// end. Exit codes: 0 after a graceful stop, 1 after an error, 2 for a bad flag or variable and when Redis
    /// refuses, 128 + the signal's number after a second signal.
    pub fn main(&self) -> ExitCode {
        let args: Vec<OsString> = std::env::args_os().skip(1).collect();
        self.main_with(&args)
    }

    /// As [`main`](Self::main), with these arguments, which come without the program's name.
    pub fn main_with(&self, args: &[OsString]) -> ExitCode {
        if let Some((_, line)) = args.split_first().filter(|(first, _)| *first == describe::FLAG) {
            let outcome = (!line.is_empty()).then(|| self.understand(line, &flags::process));
            return describe::print(&Document::new(self.describe(), outcome));
        }
        program::main(self.program, self.prepare(args.iter().cloned(), &flags::process))
    }

    /// The program's flags, as `--help` shows them.
    pub fn command(&self) -> clap::Command {
        (self.command)()
    }

    /// The program's name.
    pub const fn program(&self) -> &'static str {
        self.program
    }

    /// What the node says of itself, as `--describe` prints it.
    pub fn describe(&self) -> Description {
        let kind = self.topics.kind;
        let metrics = traffic::of(kind).chain(self.metrics).map(Into::into).collect();
        describe::description(self.command(), self.class, kind, self.port_descriptions(), metrics)
    }

    /// The topics that the node reads, and those it writes.
    fn port_descriptions(&self) -> (Vec<PortDescription>, Vec<PortDescription>) {
        let Topics { kind, ports, .. } = self.topics;
        let input = kind
            .subscribes()
            .then(|| PortDescription::subscribe(self.takes.first().copied()).with_further_types(self.takes));
        let output = kind.publishes().then(|| PortDescription {
            required: self.topics.requires_publish_topic(),
            ..PortDescription::publish(self.publishes)
        });
        let further = |direction| {
            let ports = ports.iter().filter(move |port| port.direction == direction);
            ports.map(|port| PortDescription::further(port.flag, port.data_type))
        };
        (
            input.into_iter().chain(further(Direction::In)).collect(),
            output.into_iter().chain(further(Direction::Out)).collect(),
        )
    }

    /// What a command line of the program means, without its name, in the environment in which it would run. Nothing
    /// is contacted, no file has to be there, and whether the device has a name is not judged.
    ///
    /// # Errors
    /// The program would refuse it, and says why in the same words.
    pub fn understand<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
        environment: Environment<'_>,
    ) -> Result<Invocation, Mistake> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let flags = (self.parse)(&args, environment)?;
        let (inputs, outputs) = self.port_descriptions();
        let topic = |port: &PortDescription| match port.flag.as_str() {
            PortDescription::SUBSCRIBE => flags.subscribe_topic.clone(),
            PortDescription::PUBLISH => flags.publish_topic.clone(),
            further => {
                let named = flags.further_topics.iter().find(|(port, _)| port.flag == further);
                named.map(|(_, topic)| topic.clone())
            }
        };
        let parser = Parser::new(self.command());
        let line = parser.line(&args);
        let (name, sensor) = (flags.name.clone(), flags.sensor_name.clone());
        Ok(Invocation::new(name, sensor, (&inputs, &outputs), topic, &line))
    }

    /// Runs the node as a part of this process until `resources.stop` is cancelled or it ends by itself. The
    /// arguments are those of the program, without its name. Its log lines carry its name, its metrics the
    /// label `node`.
    ///
    /// # Errors
    /// A bad flag, a name that another node holds, a node that cannot be opened, or one that failed for good.
    pub async fn run<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
        resources: Resources,
    ) -> Result<()> {
        let PreparedNode { flags, run } = self.prepare(args, &flags::process)?;
        let span = logs::node_span(&flags.name);
        let metrics = resources.metrics.labelled("node", &flags.name);
        // The end of one node does not stop the others.
        let resources = Resources { metrics, stop: resources.stop.child_token(), ..resources };
        run(flags, resources).instrument(span).await
    }

    /// The lines that a command line asks to log, in the environment in which it would run; the usual ones where it
    /// cannot be parsed.
    pub fn logging_level<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
        environment: Environment<'_>,
    ) -> logs::Level {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        (self.parse)(&args, environment).map(|flags| flags.logging_level()).unwrap_or_default()
    }

    /// Parses a command line, to run the node as a part of this process just as its program would run it: with a bus
    /// that it waits for, and metrics where its flags ask for them. `environment` is where flags look for variables;
    /// all else that a node and its libraries read there is this process's.
    ///
    /// # Errors
    /// The program would refuse it with status 2.
    pub fn prepare<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
        environment: Environment<'_>,
    ) -> Result<PreparedNode, argparse::Error> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        (self.prepare)(&args, environment)
    }
}
