//! A command with its table of spellings, made once for all the lines and questions about them.

use std::ffi::OsString;

use clap::error::{ContextKind, ErrorKind};
use clap::{ArgMatches, Command};
use msight_contract::argparse::{Line, Options};
use msight_contract::suggest;

use super::error::{self, Error};
use super::table;

/// Reads command lines of one command.
#[derive(Debug)]
pub struct Parser {
    command: Command,
    options: Options,
}

impl Parser {
    /// The parser of this command.
    pub fn new(command: Command) -> Self {
        let mut command = command.args_override_self(true).disable_help_subcommand(true);
        command.build();
        let options = table::options(&command);
        Self { command, options }
    }

    /// The command.
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// The spellings that the command accepts.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Reads `args` (without the program's name) for the places of its options, whether or not [`parse`](Self::parse)
    /// would accept it.
    pub fn line(&self, args: &[OsString]) -> Line<'_> {
        Line::read(&self.options, args.iter().cloned())
    }

    /// Reads `args` (without the program's name) as MSight's `argparse` does. A repeated option counts by its last
    /// value.
    ///
    /// # Errors
    ///
    /// [`Error::Asked`] for `--help` and `--version`, else [`Error::Usage`] with the first error in the order in
    /// which `argparse` finds them: unusable options and values from left to right, then required options that are
    /// missing, then unrecognized arguments.
    pub fn parse(&mut self, args: &[OsString]) -> Result<ArgMatches, Error> {
        let line = Line::read(&self.options, args.iter().cloned());
        let canonical = line.canonical().iter().cloned();
        let canonical = std::iter::once(OsString::from(self.command.get_name())).chain(canonical);
        let stopped = line.error().map(|(message, at)| (message.to_owned(), at));
        let (message, argument) = match self.command.try_get_matches_from_mut(canonical) {
            Ok(matches) => match stopped.or_else(|| line.unrecognized()) {
                None => return Ok(matches),
                Some((message, at)) => (message, Some(at)),
            },
            Err(asked) if asked.exit_code() == 0 => return Err(Error::Asked(asked.to_string())),
            Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
                // A mistyped option is the usual reason for a missing one; argparse leaves that to be guessed.
                let missing = error::message(&self.options, &error);
                match (stopped, line.unrecognized()) {
                    (Some((message, at)), _) => (message, Some(at)),
                    (None, Some((extras, at))) => (format!("{missing}; {extras}"), Some(at)),
                    (None, None) => (missing, None),
                }
            }
            Err(error) => {
                let option = error::spelling(error::text(&error, ContextKind::InvalidArg));
                let value = error::text(&error, ContextKind::InvalidValue);
                (error::message(&self.options, &error), line.position_of_value(option, value))
            }
        };
        let mistyped =
            line.unrecognized().and_then(|(_, at)| args[at].to_str()).and_then(|arg| self.closest(arg));
        Err(Error::usage(&self.command, &message, argument).suggesting(mistyped))
    }

    /// The option whose name is most similar to that of a mistyped one.
    fn closest(&self, mistyped: &str) -> Option<Box<str>> {
        let name = mistyped.split('=').next()?.strip_prefix("--")?;
        let options = self.command.get_arguments().filter(|arg| !arg.is_hide_set());
        let closest = suggest::closest(name, options.filter_map(clap::Arg::get_long))?;
        Some(format!("--{closest}").into())
    }

    /// An error in values that are each fine but not together, or that only their node can judge. It is about the
    /// first of `args` whose option the message names.
    pub(crate) fn error(&self, args: &[OsString], message: &str) -> Error {
        let named = message.split([' ', ':', ',', ';', '\'']).filter(|word| word.starts_with("--"));
        let line = Line::read(&self.options, args.iter().cloned());
        let argument = named.into_iter().find_map(|long| line.position(long));
        Error::usage(&self.command, message, argument)
    }
}

/// Rewrites `args` (without the program's name) so that clap reads them as MSight's `argparse` does: every
/// option by its long name, its value behind `=`.
///
/// A one-letter flag keeps its letter, because clap gives the short help for `-h` and the long one for
/// `--help`. An option that takes several values is followed by them as separate arguments; they cannot begin
/// with a dash. Rewriting a rewritten line changes nothing.
///
/// # Errors
///
/// [`Error::Usage`] for an ambiguous prefix, a value that is missing or not wanted, and unrecognized arguments.
/// Values are not checked, and missing options are not noticed: that is [`parse`].
pub fn normalise(
    command: &Command,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, Error> {
    let parser = Parser::new(command.clone());
    let line = Line::read(&parser.options, args);
    let stopped = line.error().map(|(message, at)| (message.to_owned(), at));
    match stopped.or_else(|| line.unrecognized()) {
        Some((message, at)) => Err(Error::usage(&parser.command, &message, Some(at))),
        None => Ok(line.canonical().to_vec()),
    }
}

/// As [`Parser::parse`], for a command that reads one line.
///
/// # Errors
///
/// As [`Parser::parse`].
pub fn parse(command: &Command, args: impl IntoIterator<Item = OsString>) -> Result<ArgMatches, Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    Parser::new(command.clone()).parse(&args)
}
