//! A program, and what its command lines mean.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use msight_node::Entry;
use msight_node::describe::{Description, Invocation, Mistake, TopicUse};
use serde::Serialize;

use super::ask;
use super::hazard::{self, Hazard};
use super::python::Script;
use crate::near::nearest;

/// A program that can be a node of a graph. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Program {
    description: Arc<Description>,
    origin: Origin,
    parser: Parser,
}

/// Where a program is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "from", content = "path")]
pub enum Origin {
    /// The launcher is built with it.
    BuiltIn,
    /// This file, which describes itself.
    Installed(PathBuf),
    /// MSight, known from a table: this script, or none on this machine.
    Python(Option<PathBuf>),
}

/// Who says what a command line means.
#[derive(Clone)]
enum Parser {
    Entry(Entry),
    File { path: PathBuf, patience: Duration },
    Table(&'static Script),
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Entry(_) => "Entry",
            Self::File { .. } => "File",
            Self::Table(_) => "Table",
        })
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        (&self.description, &self.origin) == (&other.description, &other.origin)
    }
}

impl Eq for Program {}

impl Program {
    pub(super) fn built_in(entry: Entry) -> Self {
        Self {
            description: Arc::new(entry.describe()),
            origin: Origin::BuiltIn,
            parser: Parser::Entry(entry),
        }
    }

    /// `entry`: a node of this launcher that says the same of itself.
    pub(super) fn installed(
        path: PathBuf,
        description: Description,
        entry: Option<Entry>,
        patience: Duration,
    ) -> Self {
        let parser = entry.map_or(Parser::File { path: path.clone(), patience }, Parser::Entry);
        Self { description: Arc::new(description), origin: Origin::Installed(path), parser }
    }

    pub(super) fn python(script: &'static Script, path: Option<PathBuf>) -> Self {
        let description = Arc::new(script.describe());
        Self { description, origin: Origin::Python(path), parser: Parser::Table(script) }
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Where it is from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The node of this launcher that it is: built in, or an installed one that says the same of itself.
    pub fn entry(&self) -> Option<&Entry> {
        match &self.parser {
            Parser::Entry(entry) => Some(entry),
            Parser::File { .. } | Parser::Table(_) => None,
        }
    }

    /// The file to start it by. None for what is built in, and for what is not on this machine.
    pub fn file(&self) -> Option<&Path> {
        match &self.origin {
            Origin::BuiltIn => None,
            Origin::Installed(path) => Some(path),
            Origin::Python(path) => path.as_deref(),
        }
    }

    /// What a command line means, without the program's name, in the environment that the service has. Variables that
    /// every start needs are not looked for here: [`Description::needs`] has them.
    ///
    /// # Errors
    /// The program would refuse it; why, in its own words, and the argument or the variable that it is about.
    pub async fn understand(
        &self,
        args: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Result<Invocation, Mistake> {
        let meant = match &self.parser {
            Parser::Entry(entry) => {
                entry.understand(args, &|variable| environment.get(variable).map(OsString::from))
            }
            Parser::Table(script) => script.understand(args),
            // A description alone is what no arguments ask for.
            Parser::File { .. } if args.is_empty() && self.missing().is_some() => {
                Err(Mistake::new(self.missing().unwrap_or_default()))
            }
            Parser::File { path, patience } => ask::understand(path, args, environment, *patience).await,
        };
        meant.map_err(|mistake| self.with_help(mistake, args))
    }

    /// Why a message of this topic ends the program, if it does. `writer` is who publishes there.
    pub fn dies_of(&self, written: &TopicUse, writer: &Program) -> Option<Hazard> {
        let Parser::Table(script) = &self.parser else { return None };
        // What this project's own nodes publish is complete, and Python's own is what Python is used to.
        let is_foreign = matches!(writer.parser, Parser::File { .. });
        hazard::of(script, written.data_type.as_deref()?, is_foreign)
    }

    /// What is missing of an empty command line, as argparse says it.
    fn missing(&self) -> Option<String> {
        let required = self.description.flags.iter().filter(|flag| flag.required);
        let names: Vec<String> = required.map(|flag| flag.names.join("/")).collect();
        (!names.is_empty()).then(|| format!("the following arguments are required: {}", names.join(", ")))
    }

    /// Names the flag that was probably meant.
    fn with_help(&self, mistake: Mistake, args: &[String]) -> Mistake {
        let written = mistake.argument.and_then(|at| args.get(at)).filter(|arg| arg.starts_with("--"));
        let written = written.map(|arg| arg.split('=').next().unwrap_or(arg));
        let flags = self.description.flags.iter().map(msight_node::describe::Flag::name);
        let near = written.and_then(|written| nearest(written, flags)).filter(|near| Some(*near) != written);
        match near {
            Some(near) if mistake.help.is_none() => {
                Mistake { help: Some(format!("did you mean {near}?")), ..mistake }
            }
            _ => mistake,
        }
    }
}
