//! What the `--help` of a program shows. Manual pages and completions are made of it, so that they have the same options
//! in the same order.

use clap::Command;
use msight_contract::{Description, Flag, grouped, sections, usage};
use msight_node::Entry;
use msight_node::describe::{flags_of, positionals_of};

/// The titles of clap's help that come first.
const ARGUMENTS: &str = "Arguments";
const OPTIONS: &str = "Options";

/// The reference of a program or of one of its subcommands.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    /// The words that call it, such as `msight up`.
    pub(crate) name: String,
    /// What it does, in a line.
    pub(crate) about: String,
    /// What else there is to know, in paragraphs.
    pub(crate) details: String,
    /// The line of its usage, such as `msight up [OPTIONS] [FILE]...`.
    pub(crate) usage: String,
    /// Arguments without names, and options, under the titles of the help.
    pub(crate) sections: Vec<Section>,
    /// Its subcommands.
    pub(crate) subcommands: Vec<Self>,
}

/// A titled group of arguments.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// The title.
    pub(crate) title: String,
    /// Options, or arguments without names.
    pub(crate) flags: Vec<Flag>,
}

/// What can be completed where the value of a flag is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// The flag has no value.
    Absent,
    /// One of [`Flag::choices`].
    Choice,
    /// The path of a file.
    File,
    /// The path of a folder.
    Folder,
    /// What only the user knows, such as a topic.
    Free,
}

impl Value {
    /// The value of this flag.
    pub(crate) fn of(flag: &Flag) -> Self {
        match flag.value_name.as_deref() {
            None => Self::Absent,
            Some(_) if !flag.choices.is_empty() => Self::Choice,
            Some("FILE") => Self::File,
            Some("DIR") => Self::Folder,
            Some(_) => Self::Free,
        }
    }
}

impl Reference {
    /// That of a node, whose help comes from the description of its flags.
    pub(crate) fn of_node(node: &Entry) -> Self {
        let Description { summary, details, flags, .. } = node.describe();
        Self {
            name: node.program().to_owned(),
            about: summary,
            details,
            usage: usage(node.program(), &flags).trim_start_matches("usage: ").to_owned(),
            sections: owned(sections(&flags)),
            subcommands: Vec::new(),
        }
    }

    /// That of a program whose help comes from clap.
    pub(crate) fn of_command(command: Command) -> Self {
        // The subcommand `help` repeats all others.
        let mut command = command.disable_help_subcommand(true);
        command.build();
        Self::of_built(&command)
    }

    fn of_built(command: &Command) -> Self {
        let usage = command.clone().render_usage().to_string();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let details = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        let shown = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
        Self {
            name: command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned(),
            details: details
                .strip_prefix(&about)
                .unwrap_or(&details)
                .trim_start_matches('.')
                .trim()
                .to_owned(),
            about,
            usage: usage.trim_start_matches("Usage: ").to_owned(),
            sections: by_heading(command),
            subcommands: shown.map(Self::of_built).collect(),
        }
    }

    /// All options, in the order of the help.
    pub(crate) fn options(&self) -> impl Iterator<Item = &Flag> {
        self.flags().filter(|flag| !flag.names.is_empty())
    }

    /// All arguments without names, in the order of the help.
    pub(crate) fn positionals(&self) -> impl Iterator<Item = &Flag> {
        self.flags().filter(|flag| flag.names.is_empty())
    }

    fn flags(&self) -> impl Iterator<Item = &Flag> {
        self.sections.iter().flat_map(|section| &section.flags)
    }
}

/// The sections of clap's help.
fn by_heading(command: &Command) -> Vec<Section> {
    let flags = [positionals_of(command.clone()), flags_of(command.clone())].concat();
    owned(grouped(&flags, [ARGUMENTS, OPTIONS], heading))
}

fn heading(flag: &Flag) -> &str {
    if flag.names.is_empty() { ARGUMENTS } else { flag.heading.as_deref().unwrap_or(OPTIONS) }
}

fn owned(sections: Vec<msight_contract::Section<'_>>) -> Vec<Section> {
    let owned = |section: msight_contract::Section<'_>| Section {
        title: section.title.to_owned(),
        flags: section.flags.into_iter().cloned().collect(),
    };
    sections.into_iter().map(owned).collect()
}
