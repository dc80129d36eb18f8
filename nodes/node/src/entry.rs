//! One value for all that is made of a node: its program, its task in another program, its tests, its docs.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use msight_bus::{BoxFuture, Bus};
use msight_proto::Message;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::argparse;
use crate::describe::{Description, Invocation, Mistake, Names};
use crate::flags::{self, CommonFlags, Environment, Kind};
use crate::health::Health;
use crate::logs;
use crate::metrics::Metrics;
use crate::{Local, Node, Processor, Sink, Source, program, run};

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
    pub(crate) program: &'static str,
    pub(crate) class: &'static str,
    pub(crate) kind: Kind,
    pub(crate) takes: Option<&'static str>,
    pub(crate) publishes: Option<&'static str>,
    command: fn() -> clap::Command,
    read: fn(&[OsString], Environment<'_>) -> Result<CommonFlags, argparse::Error>,
    prepare: fn(&[OsString], Environment<'_>) -> Result<Prepared, argparse::Error>,
}

/// Around a node that runs: which bus, under which device name, and until when.
#[derive(Clone)]
pub struct Setting {
    /// Where topics and registry are.
    pub bus: Arc<dyn Bus>,
    /// The topics that the node shares with the other nodes of its process, where it has such: there they go by
    /// reference count, and not over the bus.
    pub local: Option<Local>,
    /// The device's name, otherwise `MSIGHT_EDGE_DEVICE_NAME`.
    pub device: String,
    /// Where the node counts.
    pub metrics: Metrics,
    /// Where the node says whether it is ready.
    pub health: Health,
    /// Cancel it to stop the node as a first signal does.
    pub stop: CancellationToken,
}

/// A node that is ready to run in a process with others, as [`Entry::part`] has read it.
pub struct Part(Prepared);

/// Where a [`Part`] runs.
#[derive(Clone)]
pub struct Place {
    /// Where topics and registry are; without it the Redis server that the node's flags and variables name.
    pub bus: Option<Arc<dyn Bus>>,
    /// The topics that the nodes of the process share.
    pub local: Local,
    /// The device's name.
    pub device: String,
    /// Cancel it to stop the node as a first signal does.
    pub stop: CancellationToken,
}

impl Part {
    /// The node's name.
    pub fn name(&self) -> &str {
        &self.0.flags.name
    }

    /// Runs the node until `place.stop` is cancelled or it ends by itself. Its log lines carry its name, and its
    /// metrics are its own.
    ///
    /// # Errors
    /// The node has failed, with the status that [`exit_code`](crate::exit_code) has for the error.
    pub async fn run(self, place: Place) -> Result<()> {
        let span = logs::node_span(self.name());
        // A node that stops by itself stops nobody else.
        let stop = place.stop.child_token();
        program::run(self.0, place.bus, Some(place.local), place.device, stop).instrument(span).await
    }
}

/// A node whose flags are understood.
pub(crate) struct Prepared {
    pub(crate) flags: CommonFlags,
    pub(crate) run: Box<dyn FnOnce(CommonFlags, Setting) -> BoxFuture<'static, Result<()>> + Send>,
}

/// The entry of a source.
pub const fn source<S: Source>() -> Entry {
    Entry {
        program: S::NAME,
        class: S::CLASS,
        kind: Kind::Source,
        takes: None,
        publishes: Some(S::Out::TYPE),
        command: || flags::command::<S::Args>(S::NAME, Kind::Source),
        read: |args, environment| {
            read::<S>(Kind::Source, args, environment, lies_in_the_line).map(|(flags, _)| flags)
        },
        prepare: |args, environment| {
            let (flags, args) = read::<S>(Kind::Source, args, environment, |_| true)?;
            Ok(Prepared {
                flags,
                run: Box::new(|flags, setting| Box::pin(run::source::<S>(flags, args, setting))),
            })
        },
    }
}

/// The entry of a processor.
pub const fn processor<P: Processor>() -> Entry {
    Entry {
        program: P::NAME,
        class: P::CLASS,
        kind: Kind::Processor,
        takes: Some(P::In::TYPE),
        publishes: Some(P::Out::TYPE),
        command: || flags::command::<P::Args>(P::NAME, Kind::Processor),
        read: |args, environment| {
            read::<P>(Kind::Processor, args, environment, lies_in_the_line).map(|(flags, _)| flags)
        },
        prepare: |args, environment| {
            let (flags, args) = read::<P>(Kind::Processor, args, environment, |_| true)?;
            Ok(Prepared {
                flags,
                run: Box::new(|flags, setting| Box::pin(run::processor::<P>(flags, args, setting))),
            })
        },
    }
}

/// The entry of a sink.
pub const fn sink<S: Sink>() -> Entry {
    Entry {
        program: S::NAME,
        class: S::CLASS,
        kind: Kind::Sink,
        takes: Some(S::In::TYPE),
        publishes: None,
        command: || flags::command::<S::Args>(S::NAME, Kind::Sink),
        read: |args, environment| {
            read::<S>(Kind::Sink, args, environment, lies_in_the_line).map(|(flags, _)| flags)
        },
        prepare: |args, environment| {
            let (flags, args) = read::<S>(Kind::Sink, args, environment, |_| true)?;
            Ok(Prepared {
                flags,
                run: Box::new(|flags, setting| Box::pin(run::sink::<S>(flags, args, setting))),
            })
        },
    }
}

/// Reads a node's arguments and has it check them; of its errors those count that `counts`.
fn read<N: Node>(
    kind: Kind,
    args: &[OsString],
    environment: Environment<'_>,
    counts: fn(&anyhow::Error) -> bool,
) -> Result<(CommonFlags, N::Args), argparse::Error> {
    let (flags, own) = flags::parse::<N::Args>(N::NAME, kind, args, environment)?;
    match N::check(&own) {
        Err(error) if counts(&error) => {
            let command = flags::command::<N::Args>(N::NAME, kind);
            Err(argparse::Error::in_values(&command, args, format!("{error:#}")))
        }
        _ => Ok((flags, own)),
    }
}

/// Whether an error is one of the command line itself. A file that it names can be elsewhere, with the node.
fn lies_in_the_line(error: &anyhow::Error) -> bool {
    !error.chain().any(|cause| cause.is::<std::io::Error>())
}

impl Entry {
    /// The whole program: reads the command line and the environment, connects, runs until a signal or the
    /// end. Exit codes: 0 after a graceful stop, 1 after an error, 2 for a bad flag or variable and when Redis
    /// refuses, 128 + the signal's number after a second signal.
    pub fn main(&self) -> ExitCode {
        program::main(self)
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
        Description::of(self)
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
        let flags = (self.read)(&args, environment)?;
        let names = Names {
            name: flags.name,
            sensor_name: flags.sensor_name,
            subscribe_topic: flags.subscribe_topic,
            publish_topic: flags.publish_topic,
        };
        Ok(Invocation::new(names, (self.takes, self.publishes), &self.command(), &args))
    }

    /// Runs the node as a part of this process until `setting.stop` is cancelled or it ends by itself. The
    /// arguments are those of the program, without its name. Its log lines carry its name, its metrics the
    /// label `node`.
    ///
    /// # Errors
    /// A bad flag, a name that another node holds, a node that cannot be opened, or one that failed for good.
    pub async fn run<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
        setting: Setting,
    ) -> Result<()> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let prepared = self.prepare(&args, &flags::process)?;
        let span = logs::node_span(&prepared.flags.name);
        let metrics = setting.metrics.labelled("node", &prepared.flags.name);
        // A node that stops by itself stops nobody else.
        let setting = Setting { metrics, stop: setting.stop.child_token(), ..setting };
        (prepared.run)(prepared.flags, setting).instrument(span).await
    }

    /// The lines that a command line asks to log, in the environment in which it would run; the usual ones where it
    /// cannot be read.
    pub fn logging_level<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
        environment: Environment<'_>,
    ) -> logs::Level {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        (self.read)(&args, environment).map(|flags| flags.logging_level()).unwrap_or_default()
    }

    /// Reads a command line, to run the node as a part of this process just as its program would run it: with a bus
    /// that it waits for, and metrics where its flags ask for them. `environment` is where flags look for variables;
    /// all else that a node and its libraries read there is this process's.
    ///
    /// # Errors
    /// The program would refuse it with status 2.
    pub fn part<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
        environment: Environment<'_>,
    ) -> Result<Part, argparse::Error> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        self.prepare(&args, environment).map(Part)
    }

    pub(crate) fn prepare(
        &self,
        args: &[OsString],
        environment: Environment<'_>,
    ) -> Result<Prepared, argparse::Error> {
        (self.prepare)(args, environment)
    }
}
