//! Two-letter options in the help, where clap shows only its own spellings.

use clap::Command;

use super::table::two_letter_alias;

/// Adds the two-letter spellings to the help texts.
pub(crate) fn show_two_letter_options(command: Command) -> Command {
    command.mut_args(|mut arg| {
        let Some(also) = two_letter_alias(&arg).map(also) else { return arg };
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

/// The text that the help shows for a two-letter option.
pub(crate) fn also(letters: &str) -> String {
    format!(" [also: -{letters}]")
}
