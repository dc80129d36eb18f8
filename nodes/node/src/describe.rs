//! `--describe`: what a program states of itself, made of its own parser.
//!
//! It needs no Redis, no device name and none of the required flags. A program in any other language takes part by
//! printing the same [`Document`].

mod flag;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Command;

pub use msight_contract::{
    Choice, DEVICE_NAME, Description, Document, FLAG, FORMAT, Flag, Invocation, Mistake, Port, TopicUse,
};
use msight_contract::{Kind, MetricDescription};

/// The flags of a command, in the order of its help.
pub fn flags_of(command: Command) -> Vec<Flag> {
    flag::all(command)
}

/// The arguments of a command that have no names, in their order; their [`Flag::names`] are empty.
pub fn positionals_of(command: Command) -> Vec<Flag> {
    flag::positionals(command)
}

/// The description of a program with this command line.
pub(crate) fn description(
    command: Command,
    class: &str,
    kind: Kind,
    (inputs, outputs): (Vec<Port>, Vec<Port>),
    metrics: Vec<MetricDescription>,
) -> Description {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let details = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    Description {
        program: command.get_name().to_owned(),
        version: command.get_version().unwrap_or_default().to_owned(),
        class: class.to_owned(),
        kind,
        details: details.strip_prefix(&about).unwrap_or(&details).trim_start_matches(['.', '\n']).to_owned(),
        summary: about,
        needs: vec![DEVICE_NAME.to_owned()],
        flags: flag::all(command),
        inputs,
        outputs,
        metrics,
    }
}

/// Prints the answer to `--describe`.
pub(crate) fn print(document: &Document) -> ExitCode {
    let mut out = io::stdout().lock();
    let written = serde_json::to_writer_pretty(&mut out, document).map_err(io::Error::from);
    match written.and_then(|()| writeln!(out)) {
        // The reader has closed the pipe, as `head` does.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests;
