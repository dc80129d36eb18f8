//! The flags of a clap command, as its help shows them.

use std::ffi::OsStr;

use clap::{Arg, ArgAction, Command};
use msight_contract::{Choice, Flag};

use crate::argparse;

/// The flags that the command's help shows.
pub(super) fn all(mut command: Command) -> Vec<Flag> {
    command.build();
    let is_required = |arg: &Arg| arg.is_required_set() || heads_a_required_group(&command, arg);
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_positional());
    shown.map(|arg| Flag { required: is_required(arg), ..flag(arg) }).collect()
}

/// The arguments without names that the command's help shows, as flags that have no names.
pub(super) fn positionals(mut command: Command) -> Vec<Flag> {
    command.build();
    let shown = command.get_positionals().filter(|arg| !arg.is_hide_set());
    shown.map(|arg| Flag { required: arg.is_required_set(), ..flag(arg) }).collect()
}

/// Whether the option is the first of a group of which one is required: the usual one.
fn heads_a_required_group(command: &Command, arg: &Arg) -> bool {
    let mut groups = command.get_groups().filter(|group| group.is_required_set());
    groups.any(|group| group.get_args().next() == Some(arg.get_id()))
}

fn flag(arg: &Arg) -> Flag {
    let two_letters = argparse::two_letter_alias(arg);
    let names = arg.get_short().map(|letter| format!("-{letter}")).into_iter();
    let names = names.chain(two_letters.map(|letters| format!("-{letters}")));
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let takes_values = arg.get_action().takes_values();
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    let defaults: Vec<String> = arg.get_default_values().iter().map(|value| text(value)).collect();
    // As argparse calls a value that has no name of its own.
    let unnamed = || arg.get_long().unwrap_or("value").to_uppercase().replace('-', "_");
    let value_name = arg.get_value_names().and_then(<[_]>::first).map_or_else(unnamed, ToString::to_string);
    let choices = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
    Flag {
        names: names.chain(arg.get_long().map(|long| format!("--{long}"))).collect(),
        value_name: takes_values.then_some(value_name),
        several: takes_values && arg.get_num_args().is_some_and(|range| range.max_values() > 1),
        required: false,
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
            _ => help,
        },
        heading: arg.get_help_heading().map(str::to_owned),
    }
}
