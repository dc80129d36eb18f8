//! `msight completions`: prints what a shell needs to complete command lines, made of the same descriptions as `--help`.

mod bash;
mod fish;
mod zsh;

use std::iter;

use anyhow::{Result, bail};
use clap::Command;
use msight_contract::suggest::closest;
use msight_node::Entry;

use super::print;
use crate::programs::Program;
use crate::reference::Reference;

/// Print the completion script of a shell
///
/// The script completes the command lines of one program. Load it with `source <(msight completions bash)`. The packages
/// install the scripts of all programs for all three shells.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Shell that reads the script
    #[arg(value_name = "SHELL")]
    shell: Shell,

    /// Program whose command lines the script completes, such as a built-in node [default: msight]
    #[arg(value_name = "PROGRAM")]
    program: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// Prints the script for `msight`, which is this command, or for a program that it contains.
///
/// # Errors
/// `msight` contains no such program.
pub async fn run(args: Args, msight: Command, entries: &[Entry]) -> Result<()> {
    let own = msight.get_name().to_owned();
    let name = args.program.unwrap_or_else(|| own.clone());
    let program = match name == own {
        true => Some(Reference::of_command(msight)),
        false => Program::find(&name, entries).map(|program| program.reference()),
    };
    let Some(program) = program else {
        let others = Program::all(entries).map(|program| program.name());
        match closest(&name, iter::once(own.as_str()).chain(others)) {
            Some(near) => bail!("msight contains no program {name:?}; did you mean {near}?"),
            None => bail!("msight contains no program {name:?}; list its nodes with `msight nodes`"),
        }
    };
    print(match args.shell {
        Shell::Bash => bash::script(&program),
        Shell::Fish => fish::script(&program),
        Shell::Zsh => zsh::script(&program),
    })
}

/// A word in single quotes, for bash and zsh.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The first line of a help text.
fn first_line(help: &str) -> &str {
    help.lines().next().unwrap_or_default()
}

/// The last word of a subcommand's name.
fn word(subcommand: &Reference) -> &str {
    subcommand.name.rsplit(' ').next().unwrap_or_default()
}
