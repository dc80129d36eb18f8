//! MSight's command lines, as Python's `argparse` reads them, in front of clap.
//!
//! Scripts call MSight's programs with spellings that clap does not know: two-letter options with one dash
//! (`-pt frames`), unique prefixes (`--publish frames`, `-p frames`), negative numbers as values (`-g -1`).
//! [`normalise`] rewrites such a line into the one form that clap and `argparse` agree on, `--long=value`;
//! [`parse`] also runs clap on it and reports errors in argparse's order and words. Everything is derived from
//! the [`clap::Command`] itself:
//!
//! * an alias of exactly two letters is a one-dash option: `alias = "pt"` on `--publish-topic` is `-pt`;
//! * an option **without** a help heading belongs to MSight, one **with** a heading is an addition. A prefix is
//!   looked up among MSight's options first, so that an addition never makes a prefix ambiguous or changes
//!   what it means; only a prefix that MSight would not know at all is looked up among the additions.
//!
//! The rules are those of CPython 3.10 to 3.13, `Lib/argparse.py` (`_parse_optional`, `_get_option_tuples`,
//! `consume_optional`). Positional arguments and subcommands are not supported: MSight's programs have none.

mod error;
mod number;
mod options;

use std::ffi::{OsStr, OsString};

use clap::error::ContextKind;
use clap::{ArgMatches, Command};

pub use self::error::Error;
pub use self::number::{float, int};
pub(crate) use self::options::two_letter_alias;
use self::options::{Options, Resolved};
use crate::describe::Flag;

/// Rewrites `args` (without the program's name) so that clap reads them as MSight's `argparse` does: every
/// option by its long name, its value behind `=`.
///
/// A one-letter flag keeps its letter, because clap gives the short help for `-h` and the long one for
/// `--help`. An option that takes several values is followed by them as separate arguments; they cannot begin
/// with a dash. Rewriting a rewritten line changes nothing.
///
/// # Errors
///
/// [`Error::Usage`] for an ambiguous prefix, a value that is missing or not wanted, and anything left over.
/// Values are not looked at, and options that are missing are not noticed: that is [`parse`].
pub fn normalise(
    command: &Command,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, Error> {
    let mut command = command.clone();
    command.build();
    let scan = Scan::new(&Options::new(&command), args);
    match scan.stopped.or_else(|| unrecognized(&scan.extras)) {
        Some((message, at)) => Err(Error::usage(&mut command, message, Some(at))),
        None => Ok(scan.canonical),
    }
}

/// Which of `args` gives the option with this long name its value, counted from 0: the last one, if several do. An
/// option without a value is found where it stands itself.
pub fn position(command: &Command, args: impl IntoIterator<Item = OsString>, long: &str) -> Option<usize> {
    let mut command = command.clone();
    command.build();
    let options = Options::new(&command);
    let option = options.exact(long)?;
    Scan::new(&options, args).positions(option).last()
}

/// What `args` give the option with this long name, which takes one value, where all that is known of a program is the
/// flags that it describes; the last one, if several do.
pub(crate) fn given(flags: &[Flag], args: impl IntoIterator<Item = OsString>, long: &str) -> Option<String> {
    let scan = Scan::new(&Options::described(flags), args);
    let mut given =
        scan.canonical.iter().filter_map(|word| word.to_str()?.strip_prefix(long)?.strip_prefix('='));
    given.next_back().map(str::to_owned)
}

/// Reads `args` (without the program's name) as MSight's `argparse` does. A repeated option counts by its last
/// value.
///
/// # Errors
///
/// [`Error::Asked`] for `--help` and `--version`, else [`Error::Usage`] with the first error in the order in
/// which `argparse` finds them: unusable options and values from left to right, then required options that are
/// missing, then arguments that nobody understood.
pub fn parse(command: &Command, args: impl IntoIterator<Item = OsString>) -> Result<ArgMatches, Error> {
    let mut command = command.clone().args_override_self(true).disable_help_subcommand(true);
    command.build();
    let options = Options::new(&command);
    let mut scan = Scan::new(&options, args);

    let line = std::iter::once(OsString::from(command.get_name())).chain(std::mem::take(&mut scan.canonical));
    let (message, argument) = match command.try_get_matches_from_mut(line) {
        Ok(matches) => match scan.stopped.or_else(|| unrecognized(&scan.extras)) {
            None => return Ok(matches),
            Some((message, at)) => (message, Some(at)),
        },
        Err(asked) if asked.exit_code() == 0 => return Err(Error::Asked(asked)),
        Err(error) if error.kind() == clap::error::ErrorKind::MissingRequiredArgument => {
            // A mistyped option is the usual reason for a missing one; argparse leaves that to be guessed.
            let missing = error::message(&options, &error);
            match (scan.stopped, unrecognized(&scan.extras)) {
                (Some((message, at)), _) => (message, Some(at)),
                (None, Some((extras, at))) => (format!("{missing}; {extras}"), Some(at)),
                (None, None) => (missing, None),
            }
        }
        Err(error) => (error::message(&options, &error), scan.position_of(&options, &error)),
    };
    Err(Error::usage(&mut command, message, argument))
}

/// Adds the two-letter spellings to the help texts, where clap shows only its own.
pub(crate) fn show_two_letter_options(command: Command) -> Command {
    command.mut_args(|mut arg| {
        let Some(short) = options::two_letter_alias(&arg).map(str::to_owned) else { return arg };
        let also = also(&short);
        if let Some(text) = arg.get_help() {
            let text = format!("{text}{also}");
            arg = arg.help(text);
        }
        if let Some(text) = arg.get_long_help() {
            let text = format!("{text}{also}");
            arg = arg.long_help(text);
        }
        arg
    })
}

/// What the help adds for a two-letter option.
pub(crate) fn also(letters: &str) -> String {
    format!(" [also: -{letters}]")
}

/// Additions whose full name is a prefix of a MSight option: they would take over a line that MSight accepts.
pub(crate) fn additions_in_the_way(command: &Command) -> Vec<String> {
    let mut command = command.clone();
    command.build();
    Options::new(&command).additions_in_the_way()
}

/// One pass over a command line. Arguments are counted from 0.
#[derive(Default)]
struct Scan {
    args: Vec<OsString>,
    /// The options understood so far, as clap wants them.
    canonical: Vec<OsString>,
    /// The options understood so far, each with the argument that holds its value, or itself.
    places: Vec<(usize, usize)>,
    /// What is neither an option nor the value of one, with its place.
    extras: Vec<(usize, OsString)>,
    /// Why the pass ended before the end of the line, and where.
    stopped: Option<(String, usize)>,
}

impl Scan {
    fn new(options: &Options, args: impl IntoIterator<Item = OsString>) -> Self {
        let args: Vec<OsString> = args.into_iter().collect();
        let mut scan = Self::default();
        let mut rest = args.as_slice();
        while let Some((arg, following)) = rest.split_first() {
            let at = args.len() - rest.len();
            rest = following;
            match options.resolve(arg) {
                Resolved::Value | Resolved::Unknown => scan.extras.push((at, arg.clone())),
                Resolved::End => {
                    // Nothing takes positional arguments.
                    scan.extras.extend((at..).zip(args[at..].iter().cloned()));
                    break;
                }
                Resolved::Ambiguous(message) => {
                    scan.stopped = Some((message, at));
                    break;
                }
                Resolved::Option { index, value: Some(value), glued } => {
                    if let Err(message) = scan.take_attached(options, index, value, glued, at) {
                        scan.stopped = Some((message, at));
                        break;
                    }
                }
                Resolved::Option { index, value: None, .. } => {
                    let option = &options[index];
                    // clap would take a dash in a list for an option; attached to one by `=` it does not matter.
                    let is_value = |arg: &&OsString| {
                        options.resolve(arg) == Resolved::Value && (option.max_values == 1 || !dashed(arg))
                    };
                    let count = following.iter().take(option.max_values).take_while(is_value).count();
                    if count < option.min_values {
                        scan.stopped = Some((option.expected_values(), at));
                        break;
                    }
                    let (values, after) = following.split_at(count);
                    rest = after;
                    scan.push(options, index, values, arg);
                    scan.places.push((index, at + count));
                }
            }
        }
        scan.args = args;
        scan
    }

    fn positions(&self, option: usize) -> impl Iterator<Item = usize> {
        self.places.iter().filter(move |(of, _)| *of == option).map(|(_, at)| *at)
    }

    /// The argument that an error of clap is about: the one with the value that it names, else the option's last.
    fn position_of(&self, options: &Options, error: &clap::Error) -> Option<usize> {
        let option = options.exact_of(error::text(error, ContextKind::InvalidArg))?;
        let value = error::text(error, ContextKind::InvalidValue);
        let holds_it = |at: &usize| self.args[*at].to_string_lossy().ends_with(value);
        self.positions(option).find(holds_it).or_else(|| self.positions(option).last())
    }

    /// `--opt=value`, `-o=value`, `-ovalue`, and one-letter flags in a row (`-ab`).
    fn take_attached(
        &mut self,
        options: &Options,
        index: usize,
        value: &OsStr,
        glued: bool,
        at: usize,
    ) -> Result<(), String> {
        let option = &options[index];
        self.places.push((index, at));
        if option.max_values > 0 {
            self.canonical.push(assignment(&option.canonical, value));
            return Ok(());
        }
        let refuse = || Err(option.ignored_value(value));
        // Only letters behind a one-letter flag can be more flags; a value after `=` is always one too many.
        let Some(letters) = value.to_str().filter(|letters| glued && !letters.is_empty()) else {
            return refuse();
        };
        let mut flags = vec![option.flag()];
        for (at, letter) in letters.char_indices() {
            let Some(next) = options.exact(&format!("-{letter}")) else { return refuse() };
            self.places.push((next, at));
            if options[next].max_values > 0 {
                let value = &letters[at + letter.len_utf8()..];
                if value.is_empty() {
                    return Err(options[next].expected_values());
                }
                flags.push(assignment(&options[next].canonical, OsStr::new(value)));
                break;
            }
            flags.push(options[next].flag());
        }
        self.canonical.extend(flags);
        Ok(())
    }

    fn push(&mut self, options: &Options, index: usize, values: &[OsString], spelled: &OsStr) {
        let option = &options[index];
        match values {
            [value] if option.max_values == 1 => self.canonical.push(assignment(&option.canonical, value)),
            [] if option.is_letter(spelled) => self.canonical.push(option.flag()),
            _ => {
                self.canonical.push(OsString::from(&option.canonical));
                self.canonical.extend_from_slice(values);
            }
        }
    }
}

fn assignment(option: &str, value: &OsStr) -> OsString {
    let mut whole = OsString::from(option);
    whole.push("=");
    whole.push(value);
    whole
}

fn dashed(arg: &OsStr) -> bool {
    arg.len() > 1 && arg.as_encoded_bytes()[0] == b'-'
}

fn unrecognized(extras: &[(usize, OsString)]) -> Option<(String, usize)> {
    let (first, _) = extras.first()?;
    let extras: Vec<_> = extras.iter().map(|(_, arg)| arg.to_string_lossy()).collect();
    Some((format!("unrecognized arguments: {}", extras.join(" ")), *first))
}

#[cfg(test)]
mod tests;
