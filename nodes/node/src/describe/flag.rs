//! One flag, as the help shows it.

use std::ffi::OsStr;

use clap::{Arg, ArgAction, Command};
use serde::{Deserialize, Serialize};

use crate::argparse;

/// A flag of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// Its names with their dashes: one letter, MSight's two letters (`-pt`), the long one.
    pub names: Vec<String>,
    /// What its value is called; a flag that has none takes no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_name: Option<String>,
    /// Whether it takes several values.
    #[serde(default, skip_serializing_if = "is_false")]
    pub several: bool,
    /// Whether the program does not start without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// The value that applies without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The values it takes, where they are a few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// The variable of the environment that gives the value without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub help: String,
    /// The section of the help it stands in; none for MSight's own flags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading: Option<String>,
}

/// A value that a flag takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The value.
    pub value: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}

/// The flags that the command's help shows.
pub(super) fn all(mut command: Command) -> Vec<Flag> {
    command.build();
    command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_positional()).map(Flag::of).collect()
}

impl Flag {
    /// The longest of its names, which says the most.
    pub fn name(&self) -> &str {
        self.names.iter().max_by_key(|name| name.len()).map_or("", String::as_str)
    }

    fn of(arg: &Arg) -> Self {
        let two_letters = argparse::two_letter_alias(arg);
        let names = arg.get_short().map(|letter| format!("-{letter}")).into_iter();
        let names = names.chain(two_letters.map(|letters| format!("-{letters}")));
        let help =
            arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
        // The names say it already.
        let also = two_letters.map(argparse::also).unwrap_or_default();
        let takes_values = arg.get_action().takes_values();
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        let defaults: Vec<String> = arg.get_default_values().iter().map(|value| text(value)).collect();
        // As argparse calls a value that has no name of its own.
        let unnamed = || arg.get_long().unwrap_or("value").to_uppercase().replace('-', "_");
        let value_name =
            arg.get_value_names().and_then(<[_]>::first).map_or_else(unnamed, ToString::to_string);
        let choices = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
        Self {
            names: names.chain(arg.get_long().map(|long| format!("--{long}"))).collect(),
            value_name: takes_values.then_some(value_name),
            several: takes_values && arg.get_num_args().is_some_and(|range| range.max_values() > 1),
            required: arg.is_required_set(),
            default: (takes_values && !defaults.is_empty()).then(|| defaults.join(" ")),
            choices: choices
                .map(|value| Choice {
                    value: value.get_name().to_owned(),
                    help: value.get_help().map(ToString::to_string).unwrap_or_default(),
                })
                .collect(),
            env: arg.get_env().map(text),
            help: match arg.get_action() {
                // clap says how its own flag works.
                ArgAction::Help => "Print help".to_owned(),
                _ => help.strip_suffix(&also).map(str::to_owned).unwrap_or(help),
            },
            heading: arg.get_help_heading().map(str::to_owned),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
