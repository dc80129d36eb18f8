//! The table of spellings that a command accepts, and how one argument is looked up in it.

use std::ffi::{OsStr, OsString};
use std::ops::Index;

use clap::{Arg, ArgAction, Command};
use clap_lex::OsStrExt as _;

use crate::describe::Flag;

/// What `argparse` would make of one argument.
#[derive(Debug, PartialEq)]
pub(super) enum Resolved<'a> {
    /// A value, or a positional argument.
    Value,
    /// `--`: what follows is positional.
    End,
    /// Starts like an option, but is none.
    Unknown,
    /// A prefix of several options: the error message.
    Ambiguous(String),
    /// An option, with the value that was attached to it. `glued`: without a `=` between them.
    Option { index: usize, value: Option<&'a OsStr>, glued: bool },
}

/// An option of the command.
pub(super) struct Opt {
    /// The spelling that clap is given: the long one if there is one.
    pub(super) canonical: String,
    pub(super) min_values: usize,
    pub(super) max_values: usize,
    letter: Option<String>,
    /// All names in messages, as `argparse` joins them: `-g/--gap`.
    label: String,
    spellings: Vec<String>,
    addition: bool,
}

impl Opt {
    /// Nothing for positional arguments.
    fn new(arg: &Arg) -> Option<Self> {
        let letter = arg.get_short().map(|letter| format!("-{letter}"));
        let two_letter = two_letter_alias(arg).map(|name| format!("-{name}"));
        let long = arg.get_long().map(|name| format!("--{name}"));
        let canonical = long.clone().or_else(|| letter.clone())?;

        let names: Vec<String> = letter.iter().chain(&two_letter).chain(&long).cloned().collect();
        let mut spellings = names.clone();
        spellings.extend(arg.get_all_short_aliases().into_iter().flatten().map(|c| format!("-{c}")));
        let aliases = arg.get_all_aliases().into_iter().flatten().filter(|alias| !is_two_letter(alias));
        spellings.extend(aliases.map(|alias| format!("--{alias}")));

        let takes_values = arg.get_action().takes_values();
        let range = arg.get_num_args().filter(|_| takes_values);
        Some(Self {
            canonical,
            min_values: range.map_or(usize::from(takes_values), |range| range.min_values()),
            max_values: range.map_or(usize::from(takes_values), |range| range.max_values()),
            letter,
            label: names.join("/"),
            spellings,
            addition: arg.get_help_heading().is_some(),
        })
    }

    fn described(flag: &Flag) -> Self {
        let takes_values = flag.value_name.is_some();
        Self {
            canonical: flag.name().to_owned(),
            min_values: usize::from(takes_values),
            max_values: if flag.several { usize::MAX } else { usize::from(takes_values) },
            letter: flag.names.iter().find(|name| name.len() == 2).cloned(),
            label: flag.names.join("/"),
            spellings: flag.names.clone(),
            addition: flag.heading.is_some(),
        }
    }

    /// How clap is given this option without a value.
    pub(super) fn flag(&self) -> OsString {
        OsString::from(self.letter.as_ref().unwrap_or(&self.canonical))
    }

    /// Whether `spelled` is a flag's own letter.
    pub(super) fn is_letter(&self, spelled: &OsStr) -> bool {
        self.max_values == 0 && self.letter.as_deref().is_some_and(|letter| spelled == letter)
    }

    /// The error for a value that is missing.
    pub(super) fn expected_values(&self) -> String {
        let wanted = match (self.min_values, self.max_values) {
            (1, 1) => "one argument".to_owned(),
            (1, _) => "at least one argument".to_owned(),
            (count, _) => format!("{count} arguments"),
        };
        format!("argument {}: expected {wanted}", self.label)
    }

    /// The error for a value that nobody asked for.
    pub(super) fn ignored_value(&self, value: &OsStr) -> String {
        format!("argument {}: ignored explicit argument '{}'", self.label, value.to_string_lossy())
    }
}

/// The options of a command, in the order of their declaration.
pub(super) struct Options(Vec<Opt>);

impl Index<usize> for Options {
    type Output = Opt;
    fn index(&self, index: usize) -> &Opt {
        &self.0[index]
    }
}

impl Options {
    /// `command` must have been built: before that clap has neither `--help` nor the numbers of values.
    pub(super) fn new(command: &Command) -> Self {
        let mut args: Vec<&Arg> = command.get_arguments().collect();
        // argparse declares it before all others, clap behind them; messages show the order.
        args.sort_by_key(|arg| !matches!(arg.get_action(), ArgAction::Help));
        Self(args.into_iter().filter_map(Opt::new).collect())
    }

    /// The options that a program describes, whatever it may say.
    pub(super) fn described(flags: &[Flag]) -> Self {
        Self(flags.iter().map(Opt::described).collect())
    }

    /// The option with exactly this spelling.
    pub(super) fn exact(&self, spelling: &str) -> Option<usize> {
        self.0.iter().position(|option| option.spellings.iter().any(|s| s == spelling))
    }

    /// The option that clap calls `shown`, e.g. `--gap <GAP>`.
    pub(super) fn exact_of(&self, shown: &str) -> Option<usize> {
        self.exact(shown.split([' ', '=', '[']).next().unwrap_or(shown))
    }

    /// How messages name the option that clap calls `shown`.
    pub(super) fn label(&self, shown: &str) -> String {
        self.exact_of(shown).map_or_else(|| shown.to_owned(), |index| self.0[index].label.clone())
    }

    pub(super) fn resolve<'a>(&self, arg: &'a OsStr) -> Resolved<'a> {
        if !arg.starts_with("-") || arg == "-" {
            return Resolved::Value;
        }
        if arg == "--" {
            return Resolved::End;
        }
        if let Some(index) = arg.to_str().and_then(|arg| self.exact(arg)) {
            return Resolved::Option { index, value: None, glued: false };
        }
        let (name, value) = match arg.split_once("=") {
            Some((name, value)) => (name, Some(value)),
            None => (arg, None),
        };
        // An option's name is text; what is not can still be a letter with a path behind it.
        if let Some(index) = name.to_str().and_then(|name| self.exact(name)) {
            return Resolved::Option { index, value, glued: false };
        }
        for addition in [false, true] {
            match self.by_prefix(arg, name, value, addition).as_mut_slice() {
                [] => {}
                [(_, found)] => return std::mem::replace(found, Resolved::Unknown),
                several => {
                    let names: Vec<_> = several.iter().map(|(name, _)| *name).collect();
                    let (name, names) = (name.to_string_lossy(), names.join(", "));
                    return Resolved::Ambiguous(format!("ambiguous option: {name} could match {names}"));
                }
            }
        }
        if is_negative_number(arg) || arg.contains(" ") { Resolved::Value } else { Resolved::Unknown }
    }

    /// The options that `arg` abbreviates or is glued to, each by the spelling that matched.
    fn by_prefix<'a>(
        &self,
        arg: &'a OsStr,
        name: &OsStr,
        value: Option<&'a OsStr>,
        addition: bool,
    ) -> Vec<(&str, Resolved<'a>)> {
        let long = arg.starts_with("--");
        let prefix = name.to_str();
        let mut found = Vec::new();
        for (index, option) in self.0.iter().enumerate().filter(|(_, option)| option.addition == addition) {
            for spelling in &option.spellings {
                let is_letter = !long && spelling.chars().count() == 2;
                let resolved = if let Some(glued) = arg.strip_prefix(spelling).filter(|_| is_letter) {
                    Resolved::Option { index, value: Some(glued), glued: true }
                } else if prefix.is_some_and(|prefix| spelling.starts_with(prefix)) {
                    Resolved::Option { index, value, glued: false }
                } else {
                    continue;
                };
                found.push((spelling.as_str(), resolved));
                // Two names of one option do not make a prefix ambiguous.
                break;
            }
        }
        found
    }

    /// See [`additions_in_the_way`](super::additions_in_the_way).
    pub(super) fn additions_in_the_way(&self) -> Vec<String> {
        let of = |addition| {
            self.0.iter().filter(move |option| option.addition == addition).flat_map(|o| &o.spellings)
        };
        let hides = |spelling: &&String| of(false).any(|theirs| theirs.starts_with(spelling.as_str()));
        of(true).filter(hides).cloned().collect()
    }
}

/// The alias that stands for a one-dash option.
pub(crate) fn two_letter_alias(arg: &Arg) -> Option<&str> {
    arg.get_all_aliases()?.into_iter().find(|alias| is_two_letter(alias))
}

fn is_two_letter(alias: &str) -> bool {
    alias.len() == 2 && alias.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// `argparse._negative_number_matcher`: `^-\d+$|^-\d*\.\d+$`. Neither `-1e5` nor `-inf` is one.
fn is_negative_number(arg: &OsStr) -> bool {
    let Some(number) = arg.to_str().and_then(|arg| arg.strip_prefix('-')) else { return false };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match number.split_once('.') {
        Some((whole, fraction)) => digits(whole) && !fraction.is_empty() && digits(fraction),
        None => !number.is_empty() && digits(number),
    }
}
