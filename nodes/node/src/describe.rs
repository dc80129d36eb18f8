//! What a program says of itself, so that launchers and documentation need to know no node by name.
//!
//! `PROGRAM --describe` prints a [`Document`]: the [`Description`] and, when arguments follow, what they mean. It is
//! made by the program's own parser and needs no Redis, no device name and none of the required flags. A program in any
//! other language takes part by answering in the same way.

mod flag;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Command;
use serde::{Deserialize, Serialize};

pub use self::flag::{Choice, Flag};
use crate::argparse::{self, Error};
use crate::flags::Kind;
use crate::port::{Direction, Port};

/// The flag that asks for it. It must be the first argument.
pub const FLAG: &str = "--describe";

/// The version of the format. A reader of this version ignores keys that it does not know.
pub const FORMAT: u32 = 1;

/// The variable that every node needs: the device's name.
pub const DEVICE_NAME: &str = "MSIGHT_EDGE_DEVICE_NAME";

/// What `--describe` prints, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The [`FORMAT`], and the sign that this is such a document.
    pub msight_node: u32,
    /// What the program is.
    #[serde(flatten)]
    pub description: Description,
    /// What the arguments behind `--describe` mean, if there are any and they can be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<Invocation>,
    /// Why they cannot be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mistake: Option<Mistake>,
}

/// What a program is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its name.
    pub program: String,
    /// Its version, as `--version` prints it.
    pub version: String,
    /// What the registry calls this kind of node.
    pub class: String,
    /// Whether it publishes, subscribes, or both.
    pub kind: Kind,
    /// The `data_type` of the messages it takes; none for a source, and for a node that takes any.
    pub takes: Option<String>,
    /// The `data_type` of the messages it publishes; none for a sink, and for a node that passes on what it takes.
    pub publishes: Option<String>,
    /// What it is for, in a sentence.
    pub summary: String,
    /// What else its help says of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// The variables of the environment without which it does not start.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Its flags, in the order of its help.
    pub flags: Vec<Flag>,
    /// Its outputs and inputs beside `-pt` and `-st`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortDescription>,
}

/// A further output or input of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortDescription {
    /// The flag that names its topic.
    pub flag: String,
    /// Which way messages go.
    pub direction: PortDirection,
    /// The `data_type` of the messages; none where any will do.
    pub data_type: Option<String>,
}

/// Which way the messages of a port go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortDirection {
    /// Into the program.
    In,
    /// Out of the program.
    Out,
}

impl From<&Port> for PortDescription {
    fn from(port: &Port) -> Self {
        let direction = match port.direction {
            Direction::In => PortDirection::In,
            Direction::Out => PortDirection::Out,
        };
        Self { flag: port.flag.to_owned(), direction, data_type: Some(port.data_type.to_owned()) }
    }
}

/// What a command line means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// The node's name, `-n`.
    pub name: String,
    /// Which argument has it, counted from 0, where that is known.
    #[serde(default)]
    pub name_argument: Option<usize>,
    /// The sensor's name, `-sn`.
    #[serde(default)]
    pub sensor_name: Option<String>,
    /// The topics it subscribes to.
    pub reads: Vec<TopicUse>,
    /// The topics it publishes to.
    pub writes: Vec<TopicUse>,
}

/// One end of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicUse {
    /// The topic's name.
    pub topic: String,
    /// The `data_type` of the messages; none where any will do.
    pub data_type: Option<String>,
    /// Which argument names the topic, counted from 0, where that is known.
    #[serde(default)]
    pub argument: Option<usize>,
}

/// Why a command line cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Mistake {
    /// What is wrong, in the words of the program's start, without credentials.
    pub message: String,
    /// The argument that it is about, counted from 0, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<usize>,
    /// The variable of the environment that it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// A way out, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Mistake {
    /// A mistake that no argument in particular makes.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), argument: None, variable: None, help: None }
    }
}

impl From<Error> for Mistake {
    fn from(error: Error) -> Self {
        match error {
            Error::Asked(_) => {
                Self::new("the arguments ask for the help or the version, so no node would start")
            }
            Error::Usage { message, argument, variable, .. } => {
                Self { message, argument, variable, help: None }
            }
        }
    }
}

/// What the flags that all nodes share name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// `-n`.
    pub name: String,
    /// `-sn`.
    pub sensor_name: Option<String>,
    /// `-st`.
    pub subscribe_topic: Option<String>,
    /// `-pt`.
    pub publish_topic: Option<String>,
    /// The topics of further ports.
    pub further: Vec<(PortDescription, String)>,
}

impl Invocation {
    /// Puts together what `args` of this command name, and the types that the program takes and publishes.
    pub fn new(
        names: Names,
        (takes, publishes): (Option<&str>, Option<&str>),
        command: &Command,
        args: &[OsString],
    ) -> Self {
        let place = |long| argparse::position(command, args.iter().cloned(), long);
        let topic = |topic: Option<String>, data_type: Option<&str>, long, direction| {
            let data_type = data_type.map(str::to_owned);
            let first = topic.map(|topic| TopicUse { topic, data_type, argument: place(long) });
            let further = names.further.iter().filter(|(port, _)| port.direction == direction);
            let further = further.map(|(port, topic)| TopicUse {
                topic: topic.clone(),
                data_type: port.data_type.clone(),
                argument: place(&port.flag),
            });
            first.into_iter().chain(further).collect()
        };
        Self {
            name: names.name,
            name_argument: place("--name"),
            sensor_name: names.sensor_name,
            reads: topic(names.subscribe_topic, takes, "--subscribe-topic", PortDirection::In),
            writes: topic(names.publish_topic, publishes, "--publish-topic", PortDirection::Out),
        }
    }
}

impl Description {
    /// The value of the flag with this long name (`--bucket-name`), which takes one, in a command line that the program
    /// understands, without the program's name: the last one given in any spelling, abbreviations included, else that
    /// of its variable, else the one that applies without it.
    pub fn value_of(
        &self,
        long: &str,
        args: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Option<String> {
        let flag = self.flags.iter().find(|flag| flag.name() == long)?;
        let variable = || environment.get(flag.env.as_ref()?).cloned();
        let args = args.iter().map(OsString::from);
        argparse::given(&self.flags, args, long).or_else(variable).or_else(|| flag.default.clone())
    }

    /// What a program of this command is.
    pub(crate) fn of(
        command: Command,
        class: &str,
        kind: Kind,
        (takes, publishes): (Option<&str>, Option<&str>),
        ports: &[Port],
    ) -> Self {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let details = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        Self {
            program: command.get_name().to_owned(),
            version: command.get_version().unwrap_or_default().to_owned(),
            class: class.to_owned(),
            kind,
            takes: takes.map(str::to_owned),
            publishes: publishes.map(str::to_owned),
            details: details
                .strip_prefix(&about)
                .unwrap_or(&details)
                .trim_start_matches(['.', '\n'])
                .to_owned(),
            summary: about,
            needs: vec![DEVICE_NAME.to_owned()],
            flags: flag::all(command),
            ports: ports.iter().map(PortDescription::from).collect(),
        }
    }
}

/// The flags of a command, in the order of its help.
pub fn flags_of(command: Command) -> Vec<Flag> {
    flag::all(command)
}

/// Prints the answer to `--describe`: what the program is, and what a command line means, if there is one.
pub(crate) fn print(description: Description, outcome: Option<Result<Invocation, Mistake>>) -> ExitCode {
    let (invocation, mistake) = match outcome {
        None => (None, None),
        Some(Ok(invocation)) => (Some(invocation), None),
        Some(Err(mistake)) => (None, Some(mistake)),
    };
    let document = Document { msight_node: FORMAT, description, invocation, mistake };
    let mut out = io::stdout().lock();
    let written = serde_json::to_writer_pretty(&mut out, &document).map_err(io::Error::from);
    match written.and_then(|()| writeln!(out)) {
        // Whoever reads has read enough, as `head` does.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests;
