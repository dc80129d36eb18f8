//! The table of spellings that a program accepts, and the lookup of one argument in it.

use std::ffi::OsStr;
use std::ops::Index;

use clap_lex::OsStrExt as _;

use crate::flag::Flag;

/// The spellings of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    /// Its names with their dashes, in the order of messages: one letter, two letters, the long one.
    pub names: Vec<String>,
    /// Further spellings, which messages do not show.
    pub aliases: Vec<String>,
    /// Minimum number of values.
    pub min_values: usize,
    /// Maximum number of values; 0 for an option without a value.
    pub max_values: usize,
    /// Whether the option is an addition to those of MSight.
    pub is_addition: bool,
}

/// How `argparse` would interpret one argument.
#[derive(Debug, PartialEq)]
pub(super) enum Resolved<'a> {
    /// A value, or a positional argument.
    Value,
    /// `--`: the following arguments are positional.
    End,
    /// Begins with a dash, but is not an option.
    Unknown,
    /// A prefix of several options: the error message.
    Ambiguous(String),
    /// An option with the value attached to it. `glued`: without a `=` between them.
    Option { index: usize, value: Option<&'a OsStr>, glued: bool },
}

impl Opt {
    /// The spelling for clap: the long one if there is one.
    pub(super) fn canonical(&self) -> &str {
        self.names.iter().max_by_key(|name| name.len()).map_or("", String::as_str)
    }

    /// All names in messages, as `argparse` joins them: `-g/--gap`.
    pub fn label(&self) -> String {
        self.names.join("/")
    }

    fn letter(&self) -> Option<&str> {
        self.names.iter().map(String::as_str).find(|name| is_letter(name))
    }

    fn spellings(&self) -> impl Iterator<Item = &str> {
        self.names.iter().chain(&self.aliases).map(String::as_str)
    }

    /// The spelling for clap of an option without a value.
    pub(super) fn flag(&self) -> &str {
        self.letter().unwrap_or(self.canonical())
    }

    /// Whether `spelled` is the letter of an option without a value.
    pub(super) fn is_flag_letter(&self, spelled: &OsStr) -> bool {
        self.max_values == 0 && self.letter().is_some_and(|letter| spelled == letter)
    }

    /// The error for a missing value.
    pub(super) fn expected_values(&self) -> String {
        let wanted = match (self.min_values, self.max_values) {
            (1, 1) => "one argument".to_owned(),
            (1, _) => "at least one argument".to_owned(),
            (count, _) => format!("{count} arguments"),
        };
        format!("argument {}: expected {wanted}", self.label())
    }

    /// The error for a value of an option without values.
    pub(super) fn ignored_value(&self, value: &OsStr) -> String {
        format!("argument {}: ignored explicit argument '{}'", self.label(), value.to_string_lossy())
    }
}

impl From<&Flag> for Opt {
    fn from(flag: &Flag) -> Self {
        let takes_values = usize::from(flag.value_name.is_some());
        Self {
            names: flag.names.clone(),
            aliases: Vec::new(),
            min_values: takes_values,
            max_values: if flag.several { usize::MAX } else { takes_values },
            is_addition: flag.heading.is_some(),
        }
    }
}

/// The options of a program, in the order of their declaration.
#[derive(Clone, Debug, Default)]
pub struct Options(Vec<Opt>);

impl Index<usize> for Options {
    type Output = Opt;
    fn index(&self, index: usize) -> &Opt {
        &self.0[index]
    }
}

impl FromIterator<Opt> for Options {
    fn from_iter<I: IntoIterator<Item = Opt>>(options: I) -> Self {
        Self(options.into_iter().collect())
    }
}

impl Options {
    /// The options that a program describes.
    pub fn of_flags(flags: &[Flag]) -> Self {
        flags.iter().map(Opt::from).collect()
    }

    /// The index of the option with exactly this spelling.
    pub fn exact(&self, spelling: &str) -> Option<usize> {
        self.0.iter().position(|option| option.spellings().any(|other| other == spelling))
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
        // An option's name is text. An argument with other bytes can still be a letter followed by a path.
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
        for (index, option) in self.0.iter().enumerate().filter(|(_, option)| option.is_addition == addition)
        {
            // Two names of one option do not make a prefix ambiguous: the first match applies. `--password VALUE` has a
            // secret on the command line, so it is not an abbreviation of `--password-file`.
            let is_secret = |spelling: &str| {
                option.is_addition
                    && prefix.is_some_and(|prefix| spelling.strip_suffix("-file") == Some(prefix))
            };
            let matching = option.spellings().filter(|spelling| !is_secret(spelling)).find_map(|spelling| {
                let glued = || arg.strip_prefix(spelling).filter(|_| !long && is_letter(spelling));
                if let Some(glued) = glued() {
                    Some((spelling, Resolved::Option { index, value: Some(glued), glued: true }))
                } else if prefix.is_some_and(|prefix| spelling.starts_with(prefix)) {
                    Some((spelling, Resolved::Option { index, value, glued: false }))
                } else {
                    None
                }
            });
            found.extend(matching);
        }
        found
    }

    /// Additions whose full name is a prefix of an MSight option: they would change the meaning of a line that MSight
    /// accepts.
    pub fn additions_in_the_way(&self) -> Vec<&str> {
        let of = |addition| {
            self.0.iter().filter(move |option| option.is_addition == addition).flat_map(Opt::spellings)
        };
        of(true).filter(|ours| of(false).any(|theirs| theirs.starts_with(ours))).collect()
    }
}

/// Whether a spelling is a dash and one letter.
fn is_letter(spelling: &str) -> bool {
    spelling.chars().count() == 2
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
