//! The programs that `msight` is when it is called by their names: its nodes, and MSight's programs for the registry.

use std::ffi::OsString;
use std::iter;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use msight_node::Entry;

use crate::cmd::{self, reset, status};
use crate::reference::Reference;

/// A program within `msight`.
#[derive(Clone, Copy)]
pub(crate) enum Program {
    /// A node.
    Node(Entry),
    /// MSight's `msight_status`.
    Status,
    /// MSight's `msight_reset_redis`.
    Reset,
}

impl Program {
    /// All programs of a launcher with these nodes.
    pub(crate) fn all(entries: &[Entry]) -> impl Iterator<Item = Self> {
        entries.iter().copied().map(Self::Node).chain([Self::Status, Self::Reset])
    }

    /// The program of this name.
    pub(crate) fn find(name: &str, entries: &[Entry]) -> Option<Self> {
        Self::all(entries).find(|program| program.name() == name)
    }

    /// Its name.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Node(entry) => entry.program(),
            Self::Status => "msight_status",
            Self::Reset => "msight_reset_redis",
        }
    }

    /// What the `--help` shows of `msight`, which is this command, and of all programs of a launcher with these nodes.
    pub(crate) fn references(msight: clap::Command, entries: &[Entry]) -> impl Iterator<Item = Reference> {
        iter::once(Reference::of_command(msight)).chain(Self::all(entries).map(|program| program.reference()))
    }

    /// What its `--help` shows.
    pub(crate) fn reference(&self) -> Reference {
        match self {
            Self::Node(entry) => Reference::of_node(entry),
            Self::Status => Reference::of_command(StatusLine::command()),
            Self::Reset => Reference::of_command(reset::MsightArgs::command()),
        }
    }

    /// Runs it with these arguments, which come without its name.
    pub(crate) fn run(&self, args: &[OsString]) -> ExitCode {
        match self {
            Self::Node(entry) => entry.main_with(args),
            Self::Status => msight_status(args),
            Self::Reset => msight_reset_redis(args),
        }
    }
}

/// Show the registered nodes and topics, as `msight status` does, on the Redis server of the
/// MSIGHT_REDIS_MESSAGE_BROKER_* variables
#[derive(Parser)]
#[command(name = "msight_status", version)]
struct StatusLine {
    #[command(flatten)]
    status: status::Args,

    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    ignored: Vec<OsString>,
}

/// MSight's `msight_status`, with these arguments after its name: lists nodes and topics. As in MSight, unknown arguments
/// are ignored, but with a warning.
pub fn msight_status(args: &[OsString]) -> ExitCode {
    let StatusLine { status, ignored } = parse("msight_status", args);
    if !ignored.is_empty() {
        // The arguments are not printed: they may contain a password.
        let count = ignored.len();
        cmd::print_err(format_args!("msight_status: ignored unknown arguments: the last {count}\n"));
    }
    cmd::run(status::run(status))
}

/// MSight's `msight_reset_redis`, with these arguments after its name: deletes the registry without confirmation.
pub fn msight_reset_redis(args: &[OsString]) -> ExitCode {
    cmd::run(reset::run_as_msight(parse("msight_reset_redis", args)))
}

fn parse<P: Parser>(name: &str, args: &[OsString]) -> P {
    P::parse_from(std::iter::once(OsString::from(name)).chain(args.iter().cloned()))
}
