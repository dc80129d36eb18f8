//! `msight completions`: prints what a shell needs to complete command lines.

use anyhow::{Result, bail};
use clap::Command;
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};
use msight_compose::suggest::closest;
use msight_node::Entry;

use super::print;
use crate::programs::Program;

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
    let command = match &args.program {
        Some(program) => command(program, &msight, entries)?,
        None => msight,
    };
    print(String::from_utf8_lossy(&script(args.shell, command)))
}

fn command(name: &str, msight: &Command, entries: &[Entry]) -> Result<Command> {
    if name == msight.get_name() {
        return Ok(msight.clone());
    }
    if let Some(program) = Program::find(name, entries) {
        return Ok(program.command());
    }
    let programs = Program::all(entries).map(|program| program.name());
    match closest(name, programs) {
        Some(near) => bail!("msight contains no program {name:?}; did you mean {near}?"),
        None => bail!("msight contains no program {name:?}; list its nodes with `msight nodes`"),
    }
}

fn script(shell: Shell, mut command: Command) -> Vec<u8> {
    let (mut script, name) = (Vec::new(), command.get_name().to_owned());
    match shell {
        Shell::Bash => generate(Bash, &mut command, name, &mut script),
        Shell::Fish => generate(Fish, &mut command, name, &mut script),
        Shell::Zsh => generate(Zsh, &mut command, name, &mut script),
    }
    script
}
