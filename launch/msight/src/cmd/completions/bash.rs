//! Completions for bash.

use std::fmt::Write as _;

use msight_contract::Flag;

use super::{quoted, word};
use crate::reference::{Reference, Value};

/// Reads the words before the cursor. With a subcommand, the line after it is completed by the subcommand's block.
const WORDS: &str = r#"    local cur=$2 prev=$3 command= word
    # bash takes the `=` of `--option=value` for a word.
    if [[ ${COMP_WORDS[COMP_CWORD]} == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
"#;

/// The script for a program.
pub(super) fn script(program: &Reference) -> String {
    let name = &program.name;
    let mut script = format!("_{name}() {{\n{WORDS}");
    if program.subcommands.is_empty() {
        script += &block(program);
    } else {
        let words: Vec<_> = program.subcommands.iter().map(word).collect();
        script += &format!(
            "    for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n        case $word in\n            \
             {}) command=$word && break ;;\n        esac\n    done\n    case $command in\n",
            words.join("|")
        );
        for subcommand in &program.subcommands {
            script += &format!("    {})\n{}        ;;\n", word(subcommand), block(subcommand));
        }
        let all: Vec<_> = words.into_iter().chain(names(program)).collect();
        script += &format!("    *)\n        {}\n        ;;\n    esac\n", one_of(&all));
    }
    // The order is that of the help: options that are required come first.
    script + &format!("}}\ncomplete -o nosort -F _{name} {name}\n")
}

/// Completes the value of the option before the cursor, else an option or an argument without name.
fn block(command: &Reference) -> String {
    let mut actions: Vec<(String, Vec<&str>)> = Vec::new();
    for flag in command.options() {
        let names = flag.names.iter().map(String::as_str);
        let Some(action) = value(flag) else { continue };
        match actions.iter_mut().find(|(other, _)| *other == action) {
            Some((_, others)) => others.extend(names),
            None => actions.push((action, names.collect())),
        }
    }
    let mut block = "        case $prev in\n".to_owned();
    for (action, names) in actions {
        // A line that goes on with another option leaves the value out.
        let _ =
            writeln!(block, "        {}) [[ $cur == -* ]] || {{ {action}; return; }} ;;", names.join("|"));
    }
    block += "        esac\n";
    let options = one_of(&names(command).collect::<Vec<_>>());
    let rest = match command.positionals().next().and_then(value) {
        Some(action) => format!("if [[ $cur == -* ]]; then {options}; else {action}; fi"),
        None => options,
    };
    block + &format!("        {rest}\n")
}

/// Completes a value; `None` for a flag without one.
fn value(flag: &Flag) -> Option<String> {
    Some(match Value::of(flag) {
        Value::Absent => return None,
        Value::Choice => one_of(&flag.choices.iter().map(|choice| choice.value.as_str()).collect::<Vec<_>>()),
        Value::File => "compopt -o default".to_owned(),
        Value::Folder => "compopt -o dirnames".to_owned(),
        Value::Free => ":".to_owned(),
    })
}

/// The names of all options.
fn names(command: &Reference) -> impl Iterator<Item = &str> {
    command.options().flat_map(|flag| &flag.names).map(String::as_str)
}

/// Completes one of these words.
fn one_of(words: &[&str]) -> String {
    format!("mapfile -t COMPREPLY < <(compgen -W {} -- \"$cur\")", quoted(&words.join(" ")))
}
