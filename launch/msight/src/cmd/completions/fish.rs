//! Completions for fish.

use std::fmt::Write as _;

use msight_contract::Flag;

use super::{first_line, word};
use crate::reference::{Reference, Value};

/// The script for a program.
pub(super) fn script(program: &Reference) -> String {
    // Files are completed where they are wanted only.
    let start = format!("complete -c {}", program.name);
    let mut script = format!("{start} -f\n");
    if program.subcommands.is_empty() {
        arguments(&mut script, &start, program);
        return script;
    }
    let first = format!("{start} -n __fish_use_subcommand");
    arguments(&mut script, &first, program);
    for subcommand in &program.subcommands {
        let word = word(subcommand);
        let _ = writeln!(script, "{first} -a {word} -d {}", quoted(&subcommand.about));
        arguments(&mut script, &format!("{start} -n '__fish_seen_subcommand_from {word}'"), subcommand);
    }
    script
}

/// A line for each argument, which begins with `start`.
fn arguments(script: &mut String, start: &str, command: &Reference) {
    for flag in command.options() {
        let _ =
            writeln!(script, "{start}{}{} -d {}", names(flag), value(flag), quoted(first_line(&flag.help)));
    }
    for flag in command.positionals() {
        let action = match Value::of(flag) {
            Value::Choice => format!(" -a {}", choices(flag)),
            Value::File => " -F".to_owned(),
            Value::Folder => " -a '(__fish_complete_directories)'".to_owned(),
            Value::Absent | Value::Free => continue,
        };
        let _ = writeln!(script, "{start}{action}");
    }
}

/// `-pt` is what fish calls an old-style option.
fn names(flag: &Flag) -> String {
    let option = |name: &String| match (name.strip_prefix("--"), name.trim_start_matches('-')) {
        (Some(long), _) => format!(" -l {long}"),
        (None, short) if short.len() == 1 => format!(" -s {short}"),
        (None, short) => format!(" -o {short}"),
    };
    flag.names.iter().map(option).collect()
}

fn value(flag: &Flag) -> String {
    match Value::of(flag) {
        Value::Absent => String::new(),
        Value::Choice => format!(" -x -a {}", choices(flag)),
        Value::File => " -r -F".to_owned(),
        Value::Folder => " -x -a '(__fish_complete_directories)'".to_owned(),
        Value::Free => " -x".to_owned(),
    }
}

/// The choices, one a line, each with its description behind a tab. fish reads the text as a list of words.
fn choices(flag: &Flag) -> String {
    let choices = flag.choices.iter().map(|choice| match first_line(&choice.help) {
        "" => choice.value.clone(),
        help => format!("{}\\t{}", choice.value, quoted(help)),
    });
    quoted(&choices.collect::<Vec<_>>().join("\n"))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}
