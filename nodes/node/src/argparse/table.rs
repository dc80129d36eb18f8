//! The spellings of a clap command, as `argparse` would have declared them.

use clap::{Arg, ArgAction, Command};
use msight_contract::argparse::{Opt, Options};

/// The options of a command. It must have been built: before that clap has neither `--help` nor the numbers of values.
pub(super) fn options(command: &Command) -> Options {
    let mut args: Vec<&Arg> = command.get_arguments().collect();
    // argparse declares it before all others, clap behind them; messages show the order.
    args.sort_by_key(|arg| !matches!(arg.get_action(), ArgAction::Help));
    args.into_iter().filter_map(option).collect()
}

/// One option; `None` for a positional argument.
fn option(arg: &Arg) -> Option<Opt> {
    let letter = arg.get_short().map(|letter| format!("-{letter}"));
    let two_letters = two_letter_alias(arg).map(|letters| format!("-{letters}"));
    let long = arg.get_long().map(|name| format!("--{name}"));
    if letter.is_none() && long.is_none() {
        return None;
    }
    let letters = arg.get_all_short_aliases().into_iter().flatten().map(|letter| format!("-{letter}"));
    let aliases = arg.get_all_aliases().into_iter().flatten().filter(|alias| !is_two_letters(alias));
    let takes_values = arg.get_action().takes_values();
    let range = arg.get_num_args().filter(|_| takes_values);
    Some(Opt {
        names: letter.into_iter().chain(two_letters).chain(long).collect(),
        aliases: letters.chain(aliases.map(|alias| format!("--{alias}"))).collect(),
        min_values: range.map_or(usize::from(takes_values), |range| range.min_values()),
        max_values: range.map_or(usize::from(takes_values), |range| range.max_values()),
        is_addition: arg.get_help_heading().is_some(),
    })
}

/// The alias that stands for a one-dash option.
pub(crate) fn two_letter_alias(arg: &Arg) -> Option<&str> {
    arg.get_all_aliases()?.into_iter().find(|alias| is_two_letters(alias))
}

fn is_two_letters(alias: &str) -> bool {
    alias.len() == 2 && alias.bytes().all(|byte| byte.is_ascii_alphabetic())
}
