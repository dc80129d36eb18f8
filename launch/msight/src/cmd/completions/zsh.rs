//! Completions for zsh, by its function `_arguments`.

use msight_contract::{Choice, Flag};

use super::{first_line, quoted, word};
use crate::reference::{Reference, Value};

/// The script for a program: a file for a folder of `$fpath`, which can be sourced as well.
pub(super) fn script(program: &Reference) -> String {
    let name = &program.name;
    let mut script = format!("#compdef {name}\n\n_{name}() {{\n");
    if program.subcommands.is_empty() {
        script += &arguments(program, "    ", &[]);
    } else {
        script += "    local state line\n    typeset -A opt_args\n";
        script += &arguments(program, "    ", &["-C", "': :->command'", "'*:: :->rest'"]);
        script += "    case $state in\n    command)\n        local -a commands=(\n";
        for subcommand in &program.subcommands {
            let line = format!("{}:{}", word(subcommand), subcommand.about.replace('\n', " "));
            script += &format!("            {}\n", quoted(&line));
        }
        script += "        )\n        _describe -t commands command commands\n        ;;\n";
        script += "    rest)\n        case $words[1] in\n";
        for subcommand in &program.subcommands {
            script += &format!(
                "        {})\n{}            ;;\n",
                word(subcommand),
                arguments(subcommand, "            ", &[])
            );
        }
        script += "        esac\n        ;;\n    esac\n";
    }
    script += &format!(
        "}}\n\nif [[ $funcstack[1] == _{name} ]]; then\n    _{name} \"$@\"\nelse\n    compdef _{name} {name}\nfi\n"
    );
    script
}

/// The call of `_arguments` for a command, with these words before its own.
fn arguments(command: &Reference, indent: &str, first: &[&str]) -> String {
    let mut words: Vec<String> = first.iter().map(|&word| word.to_owned()).collect();
    words.extend(command.options().map(option));
    words.extend(command.positionals().map(positional));
    let between = format!(" \\\n{indent}    ");
    format!("{indent}_arguments{between}{}\n", words.join(&between))
}

/// `'(-pt --publish-topic)'{-pt,--publish-topic=}'[Topic to publish to]:NAME: '`: the names exclude one another.
fn option(flag: &Flag) -> String {
    let value = value(flag);
    let name = |name: &String| match (value.is_empty(), name.starts_with("--"), name.len()) {
        (true, _, _) | (false, false, 3..) => name.clone(),
        // The value follows `=` or is the next word.
        (false, true, _) => format!("{name}="),
        // The value follows the letter or is the next word.
        (false, false, _) => format!("{name}+"),
    };
    let rest = quoted(&format!("[{}]{value}", escaped(first_line(&flag.help))));
    match flag.names.as_slice() {
        [only] => format!("'{}'{rest}", name(only)),
        names => {
            let spellings: Vec<_> = names.iter().map(name).collect();
            format!("'({})'{{{}}}{rest}", names.join(" "), spellings.join(","))
        }
    }
}

fn positional(flag: &Flag) -> String {
    let times = match flag {
        _ if flag.several => "*",
        _ if flag.required => "",
        _ => ":",
    };
    quoted(&format!("{times}{}", value(flag)))
}

/// What `_arguments` shows and completes for a value, such as `:FILE:_files`.
fn value(flag: &Flag) -> String {
    let action = match Value::of(flag) {
        Value::Absent => return String::new(),
        Value::Choice if flag.choices.iter().all(|choice| choice.help.is_empty()) => {
            let values: Vec<_> = flag.choices.iter().map(|choice| choice.value.as_str()).collect();
            format!("({})", values.join(" "))
        }
        Value::Choice => {
            let described =
                |choice: &Choice| format!("{}\\:{}", choice.value, in_words(first_line(&choice.help)));
            format!("(({}))", flag.choices.iter().map(described).collect::<Vec<_>>().join(" "))
        }
        Value::File => "_files".to_owned(),
        Value::Folder => "_files -/".to_owned(),
        // A blank shows the placeholder and completes nothing.
        Value::Free => " ".to_owned(),
    };
    format!(":{}:{action}", flag.value_name.as_deref().unwrap_or_default())
}

/// In the description of an option.
fn escaped(text: &str) -> String {
    with_backslashes(text, &['\\', '[', ']', ':'])
}

/// As one word of a list, which zsh evaluates.
fn in_words(text: &str) -> String {
    with_backslashes(
        text,
        &[
            '\\', ' ', '(', ')', ':', '"', '\'', '`', '$', '[', ']', '<', '>', '*', '?', '|', '&', ';', '~',
            '#',
        ],
    )
}

fn with_backslashes(text: &str, special: &[char]) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if special.contains(&letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
