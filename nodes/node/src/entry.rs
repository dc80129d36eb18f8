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
use crate::flags::{self, CommonFlags, Kind};
use crate::health::Health;
use crate::logs;
use crate::metrics::Metrics;
use crate::{Node, Processor, Sink, Source, program, run};

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
    description: Description,
    command: fn() -> clap::Command,
    prepare: fn(Vec<OsString>) -> Result<Prepared, argparse::Error>,
}

/// What a node says of itself, for launchers and documentation.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The program's name.
    pub program: &'static str,
    /// The registry's `type`.
    pub class: &'static str,
    /// Whether it publishes, subscribes, or both.
    pub kind: Kind,
    /// The `data_type` of the messages it takes.
    pub takes: Option<&'static str>,
    /// The `data_type` of the messages it publishes.
    pub publishes: Option<&'static str>,
}

/// Around a node that runs: which bus, under which device name, and until when.
#[derive(Clone)]
pub struct Setting {
    /// Where topics and registry are.
    pub bus: Arc<dyn Bus>,
    /// The device's name, otherwise `MSIGHT_EDGE_DEVICE_NAME`.
    pub device: String,
    /// Where the node counts.
    pub metrics: Metrics,
    /// Where the node says whether it is ready.
    pub health: Health,
    /// Cancel it to stop the node as a first signal does.
    pub stop: CancellationToken,
}

/// A node whose flags are understood.
pub(crate) struct Prepared {
    pub(crate) flags: CommonFlags,
    pub(crate) run: Box<dyn FnOnce(CommonFlags, Setting) -> BoxFuture<'static, Result<()>> + Send>,
}

/// The entry of a source.
pub const fn source<S: Source>() -> Entry {
    Entry {
        description: Description {
            program: S::NAME,
            class: S::CLASS,
            kind: Kind::Source,
            takes: None,
            publishes: Some(S::Out::TYPE),
        },
        command: || flags::command::<S::Args>(S::NAME, Kind::Source),
        prepare: |argv| {
            let (flags, args) = read::<S>(Kind::Source, argv)?;
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
        description: Description {
            program: P::NAME,
            class: P::CLASS,
            kind: Kind::Processor,
            takes: Some(P::In::TYPE),
            publishes: Some(P::Out::TYPE),
        },
        command: || flags::command::<P::Args>(P::NAME, Kind::Processor),
        prepare: |argv| {
            let (flags, args) = read::<P>(Kind::Processor, argv)?;
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
        description: Description {
            program: S::NAME,
            class: S::CLASS,
            kind: Kind::Sink,
            takes: Some(S::In::TYPE),
            publishes: None,
        },
        command: || flags::command::<S::Args>(S::NAME, Kind::Sink),
        prepare: |argv| {
            let (flags, args) = read::<S>(Kind::Sink, argv)?;
            Ok(Prepared {
                flags,
                run: Box::new(|flags, setting| Box::pin(run::sink::<S>(flags, args, setting))),
            })
        },
    }
}

/// Reads a node's arguments and has it check them.
fn read<N: Node>(kind: Kind, argv: Vec<OsString>) -> Result<(CommonFlags, N::Args), argparse::Error> {
    let (flags, args) = flags::parse::<N::Args>(N::NAME, kind, argv)?;
    N::check(&args).map_err(|error| {
        argparse::Error::in_values(&flags::command::<N::Args>(N::NAME, kind), format!("{error:#}"))
    })?;
    Ok((flags, args))
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

    /// What the node says of itself.
    pub fn describe(&self) -> Description {
        self.description
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
        let prepared = self.prepare(args.into_iter().map(Into::into).collect())?;
        let span = logs::node_span(&prepared.flags.name);
        let metrics = setting.metrics.labelled("node", &prepared.flags.name);
        let setting = Setting { metrics, ..setting };
        (prepared.run)(prepared.flags, setting).instrument(span).await
    }

    pub(crate) fn prepare(&self, args: Vec<OsString>) -> Result<Prepared, argparse::Error> {
        (self.prepare)(args)
    }
}
