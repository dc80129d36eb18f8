//! A program, and the meaning of its command lines.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use msight_node::Entry;
use msight_node::describe::{Description, Invocation, Mistake, TopicUse};
use serde::Serialize;

use super::ask;
use super::crash_risk::{self, CrashRisk};
use super::python::Script;
use msight_contract::suggest::closest;

/// A program that can be a node of a graph. Clones share their data.
#[derive(Clone, Debug)]
pub struct Program {
    description: Arc<Description>,
    origin: Origin,
    parser: Parser,
}

/// Where a program comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "from", content = "path")]
pub enum Origin {
    /// Built into the launcher.
    BuiltIn,
    /// This file, which describes itself.
    Installed(PathBuf),
    /// MSight's own, known from a table: this script, or not installed on this machine.
    Python(Option<PathBuf>),
}

/// How command lines are interpreted.
#[derive(Clone)]
enum Parser {
    Entry(Entry),
    File { path: PathBuf, timeout: Duration },
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

    /// `entry`: the built-in node with the same description.
    pub(super) fn installed(
        path: PathBuf,
        description: Description,
        entry: Option<Entry>,
        timeout: Duration,
    ) -> Self {
        let parser = entry.map_or(Parser::File { path: path.clone(), timeout }, Parser::Entry);
        Self { description: Arc::new(description), origin: Origin::Installed(path), parser }
    }

    pub(super) fn python(script: &'static Script, path: Option<PathBuf>) -> Self {
        let description = Arc::new(script.describe());
        Self { description, origin: Origin::Python(path), parser: Parser::Table(script) }
    }

    /// The program's description.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The built-in node that runs it: it is built in, or installed with the same description.
    pub fn entry(&self) -> Option<&Entry> {
        match &self.parser {
            Parser::Entry(entry) => Some(entry),
            Parser::File { .. } | Parser::Table(_) => None,
        }
    }

    /// The file that starts it; `None` if it is built in or not on this machine.
    pub fn file(&self) -> Option<&Path> {
        match &self.origin {
            Origin::BuiltIn => None,
            Origin::Installed(path) => Some(path),
            Origin::Python(path) => path.as_deref(),
        }
    }

    /// Interprets a command line (without the program's name) in the environment of the service. Variables that every
    /// start needs are not checked here: see [`Description::needs`].
    ///
    /// # Errors
    /// The program would reject it: with its own message, and the argument or variable that is wrong.
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
            // The description answers an empty command line without running the program.
            Parser::File { .. } if args.is_empty() && self.missing().is_some() => {
                Err(Mistake::new(self.missing().unwrap_or_default()))
            }
            Parser::File { path, timeout } => ask::understand(path, args, environment, *timeout).await,
        };
        meant.map_err(|mistake| self.with_help(mistake, args))
    }

    /// Whether messages on this topic could crash the program. `writer` publishes them.
    pub fn crash_risk(&self, written: &TopicUse, writer: &Program) -> Option<CrashRisk> {
        let Parser::Table(script) = &self.parser else { return None };
        // Our own nodes fill all fields, and Python nodes write what Python nodes can read.
        let is_foreign = matches!(writer.parser, Parser::File { .. });
        crash_risk::of(script, written.data_type.as_deref()?, is_foreign)
    }

    /// The message of argparse for an empty command line.
    fn missing(&self) -> Option<String> {
        let required = self.description.flags.iter().filter(|flag| flag.required);
        let names: Vec<String> = required.map(|flag| flag.names.join("/")).collect();
        (!names.is_empty()).then(|| format!("the following arguments are required: {}", names.join(", ")))
    }

    /// Adds the most similar flag as help.
    fn with_help(&self, mistake: Mistake, args: &[String]) -> Mistake {
        let written = mistake.argument.and_then(|at| args.get(at)).filter(|arg| arg.starts_with("--"));
        let written = written.map(|arg| arg.split('=').next().unwrap_or(arg));
        let flags = self.description.flags.iter().map(msight_node::describe::Flag::name);
        let near = written.and_then(|written| closest(written, flags)).filter(|near| Some(*near) != written);
        match near {
            Some(near) if mistake.help.is_none() => {
                Mistake { help: Some(format!("did you mean {near}?")), ..mistake }
            }
            _ => mistake,
        }
    }
}
