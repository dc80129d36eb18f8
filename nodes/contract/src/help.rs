//! The help of a program, generated from its flags, with the most important sections first.

use crate::flag::{Choice, Flag};

/// A titled group of flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// The title.
    pub title: &'a str,
    /// Its flags, in the order of their declaration.
    pub flags: Vec<&'a Flag>,
}

/// How much of a flag's help to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The first line, for `-h`.
    Brief,
    /// All of it, for `--help`.
    Full,
}

const REQUIRED: &str = "Required";
const OPTIONS: &str = "Options";
const OPERATION: &str = "Operation";
const COMPATIBILITY: &str = "Compatibility with MSight";

/// Options of MSight that concern the operation of any node.
const OPERATIONAL: [&str; 4] =
    ["--heartbeat-tolerance", "--action-on-error", "--group-id", "--logging-level"];

/// The flags by section: first required ones, then those of the node, then those of every node, and last those that are
/// accepted only for compatibility.
pub fn sections(flags: &[Flag]) -> Vec<Section<'_>> {
    let mut sections = grouped(flags, [REQUIRED, OPTIONS], title);
    let common = ["Queue", OPERATION, COMPATIBILITY];
    sections.sort_by_key(|section| common.iter().position(|title| *title == section.title));
    sections
}

/// The flags by their titles: sections with the `first` titles come first, the others in the order of their first flags.
pub fn grouped<'a>(
    flags: &'a [Flag],
    first: [&'static str; 2],
    title: fn(&Flag) -> &str,
) -> Vec<Section<'a>> {
    let mut sections: Vec<Section<'a>> = first.map(|title| Section { title, flags: Vec::new() }).into();
    for flag in flags {
        let title = title(flag);
        match sections.iter_mut().find(|section| section.title == title) {
            Some(section) => section.flags.push(flag),
            None => sections.push(Section { title, flags: vec![flag] }),
        }
    }
    sections.retain(|section| !section.flags.is_empty());
    sections
}

fn title(flag: &Flag) -> &str {
    match &flag.heading {
        _ if flag.required => REQUIRED,
        _ if flag.help.starts_with("Ignored") => COMPATIBILITY,
        Some(heading) => heading,
        None if OPERATIONAL.contains(&flag.name()) => OPERATION,
        None => OPTIONS,
    }
}

impl Flag {
    /// All names and the value's placeholder, as in `-pt, --publish-topic <NAME>`; `<FILE>` for one without names.
    pub fn usage(&self) -> String {
        let value = self.value_name.as_ref().map(|name| format!(" <{name}>")).unwrap_or_default();
        let usage = self.names.join(", ") + &value + if self.several { "..." } else { "" };
        usage.trim_start().to_owned()
    }

    /// The choices, the default and the variable, in Markdown.
    pub fn note(&self) -> String {
        let mut notes = Vec::new();
        if !self.choices.is_empty() {
            let choice = |choice: &Choice| match choice.help.as_str() {
                "" => format!("`{}`", choice.value),
                help => format!("`{}` ({help})", choice.value),
            };
            notes.push(format!("One of {}.", self.choices.iter().map(choice).collect::<Vec<_>>().join(", ")));
        }
        if let Some(default) = self.default.as_ref().filter(|default| !default.is_empty()) {
            notes.push(format!("Default: `{default}`."));
        }
        if let Some(variable) = &self.env {
            notes.push(format!("Or by `{variable}`."));
        }
        notes.join(" ")
    }
}

/// The usage line of a program: its required flags, each by its shortest name.
pub fn usage(program: &str, flags: &[Flag]) -> String {
    let mut line = format!("usage: {program}");
    for flag in flags.iter().filter(|flag| flag.required) {
        let name = flag.names.first().map_or("", String::as_str);
        line += &format!(" {name} <{}>", flag.value_name.as_deref().unwrap_or_default());
    }
    line + " [OPTIONS]"
}

/// The help of a program for a terminal of `width` columns.
pub fn help(program: &str, about: &str, flags: &[Flag], detail: Detail, width: usize) -> String {
    let mut text = wrapped(about, 0, width) + "\n" + &wrapped(&usage(program, flags), 0, width);
    for Section { title, flags } in sections(flags) {
        text += &format!("\n{title}:\n");
        for flag in flags {
            let shown = match detail {
                Detail::Brief => flag.help.lines().next().unwrap_or_default(),
                Detail::Full => &flag.help,
            };
            text += &format!("  {}\n{}", flag.usage(), wrapped(shown, 6, width));
            text += &wrapped(&flag.note().replace('`', ""), 6, width);
        }
    }
    text
}

/// Wraps a text at `width` columns between words, with an indent.
pub fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines = String::new();
    for paragraph in text.split('\n').filter(|paragraph| !paragraph.trim().is_empty()) {
        let mut length = width;
        for word in paragraph.split_whitespace() {
            let letters = word.chars().count();
            if length + 1 + letters > width {
                if !lines.is_empty() {
                    lines.push('\n');
                }
                lines += &" ".repeat(indent);
                length = indent + letters;
            } else {
                lines.push(' ');
                length += 1 + letters;
            }
            lines += word;
        }
    }
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(name: &str, required: bool, help: &str, heading: Option<&str>) -> Flag {
        Flag {
            names: vec![name.to_owned()],
            value_name: Some("X".to_owned()),
            several: false,
            required,
            default: None,
            choices: Vec::new(),
            env: None,
            help: help.to_owned(),
            heading: heading.map(str::to_owned),
        }
    }

    #[test]
    fn required_flags_come_first_and_ignored_ones_last() {
        let flags = [
            flag("--old", false, "Ignored; accepted for compatibility with MSight", None),
            flag("--logging-level", false, "Level", None),
            flag("--queue-size", false, "Size", Some("Queue")),
            flag("--name", true, "Name", None),
            flag("--ratio", false, "Ratio\n\nMore of it", None),
            flag("--clock", false, "Clock", Some("Camera")),
        ];
        let titles: Vec<_> = sections(&flags).iter().map(|section| section.title).collect();
        assert_eq!(
            titles,
            ["Required", "Options", "Camera", "Queue", "Operation", "Compatibility with MSight"]
        );
        let text = help("prog", "Does it", &flags, Detail::Brief, 80);
        assert!(
            text.starts_with("Does it\n\nusage: prog --name <X> [OPTIONS]\n\nRequired:\n  --name <X>\n"),
            "{text}"
        );
        assert!(!text.contains("More of it") && text.contains("      Ratio\n"), "{text}");
        assert!(help("prog", "", &flags, Detail::Full, 80).contains("More of it"));
    }

    #[test]
    fn lines_end_between_words() {
        assert_eq!(wrapped("one two three\n\nfour", 2, 9), "  one two\n  three\n  four\n");
        assert_eq!(wrapped("incomprehensible", 2, 9), "  incomprehensible\n");
        assert_eq!(wrapped("", 2, 9), "");
    }
}
