//! MSight's own programs in Python and their command lines. They cannot describe themselves and need not be
//! installed.

mod table;

use std::ffi::OsString;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};
use msight_node::argparse;
use msight_node::describe::{self, DEVICE_NAME, Description, Invocation, Mistake, Port};
use msight_node::flags::Kind;

use self::table::{BROKEN, COMMON, SCRIPTS, SENSOR, publish, sensor, subscribe};

/// One of MSight's programs.
#[derive(Debug)]
pub(super) struct Script {
    /// Its name.
    pub(super) name: &'static str,
    /// Its class in the registry.
    class: &'static str,
    kind: Kind,
    /// The type that it accepts; `None` is any.
    pub(super) takes: Option<&'static str>,
    publishes: Option<&'static str>,
    summary: &'static str,
    /// Its own options.
    options: &'static [Opt],
    /// Why it crashes at its first message, if it does.
    pub(super) crash: Option<&'static str>,
}

/// An option of Python's argparse.
#[derive(Clone, Copy, Debug)]
struct Opt {
    /// Its names, `-n/--name`.
    names: &'static str,
    value: Value,
    required: bool,
    default: Option<&'static str>,
    help: &'static str,
}

/// The value of an option.
#[derive(Clone, Copy, Debug)]
enum Value {
    Text,
    Int,
    Float,
    OneOf(&'static [&'static str]),
    /// A level of Python's logging. MSight checks it after parsing and raises an exception.
    Level,
    Nothing,
}

/// The program with this name.
pub(super) fn script(name: &str) -> Option<&'static Script> {
    SCRIPTS.iter().find(|script| script.name == name)
}

/// Why the program with this name cannot start, if it cannot.
pub(super) fn broken(name: &str) -> Option<&'static str> {
    BROKEN.iter().find(|(broken, _)| *broken == name).map(|(_, why)| *why)
}

/// The names of all programs that can start.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().map(|script| script.name)
}

impl Script {
    pub(super) fn describe(&self) -> Description {
        Description {
            program: self.name.to_owned(),
            version: "2.0".to_owned(),
            class: self.class.to_owned(),
            kind: self.kind,
            summary: self.summary.to_owned(),
            details: self
                .crash
                .map(|why| format!("It crashes at its first message: {why}."))
                .unwrap_or_default(),
            needs: vec![DEVICE_NAME.to_owned()],
            flags: describe::flags_of(self.command()),
            inputs: self.inputs(),
            outputs: self.outputs(),
            metrics: Vec::new(),
        }
    }

    pub(super) fn understand(&self, args: &[String]) -> Result<Invocation, Mistake> {
        let mut parser = argparse::Parser::new(self.command());
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let matches = parser.parse(&args)?;
        let text = |id: &str| matches.try_get_one::<String>(id).ok().flatten().cloned();
        let (name, sensor) = (text("--name").unwrap_or_default(), text("--sensor-name"));
        let ports = (&*self.inputs(), &*self.outputs());
        Ok(Invocation::new(name, sensor, ports, |port| text(&port.flag), &parser.line(&args)))
    }

    fn inputs(&self) -> Vec<Port> {
        self.kind.subscribes().then(|| Port::subscribe(self.takes)).into_iter().collect()
    }

    fn outputs(&self) -> Vec<Port> {
        self.kind.publishes().then(|| Port::publish(self.publishes)).into_iter().collect()
    }

    /// Its options in MSight's order.
    fn options(&self) -> impl Iterator<Item = Opt> {
        let topics: &[Opt] = match self.kind {
            Kind::Source => const { &[publish(), sensor()] },
            Kind::Processor => const { &[publish(), subscribe(), SENSOR] },
            Kind::Sink => const { &[subscribe()] },
        };
        COMMON.iter().chain(topics).chain(self.options).copied()
    }

    fn command(&self) -> Command {
        let command = Command::new(self.name).disable_version_flag(true);
        command.args(self.options().map(|option| option.as_arg()))
    }
}

impl Opt {
    fn as_arg(&self) -> Arg {
        let long = self.names.split('/').next_back().unwrap_or_default();
        let mut arg = Arg::new(long).help(self.help).required(self.required).default_value(self.default);
        for name in self.names.split('/') {
            arg = match (name.strip_prefix("--"), name.trim_start_matches('-')) {
                (Some(long), _) => arg.long(long),
                (None, letter) if letter.len() == 1 => arg.short(letter.chars().next()),
                (None, two_letters) => arg.alias(two_letters),
            };
        }
        match self.value {
            Value::Text => arg,
            Value::Int => arg.value_parser(argparse::int),
            Value::Float => arg.value_parser(argparse::float),
            Value::OneOf(choices) => arg.value_parser(PossibleValuesParser::new(choices)),
            Value::Level => arg.value_parser(level),
            Value::Nothing => arg.action(ArgAction::SetTrue),
        }
    }
}

fn level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 8] = ["CRITICAL", "FATAL", "ERROR", "WARN", "WARNING", "INFO", "DEBUG", "NOTSET"];
    match LEVELS.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("unknown level '{text}': MSight stops with an exception")),
    }
}

#[cfg(test)]
mod tests;
