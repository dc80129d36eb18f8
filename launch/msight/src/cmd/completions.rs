//! `msight completions`: prints what a shell needs to complete command lines.

use anyhow::{Result, bail};
use clap::Command;
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};
use msight_compose::suggest::closest;
use msight_node::Entry;

use super::print;

/// Print the completion script of a shell
///
/// The script completes the command lines of one program. Load it with `source <(msight completions bash)`. The packages
/// install the scripts of all programs for all three shells.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Shell that reads the script
    #[arg(value_name = "SHELL")]
    shell: Shell,

    /// Built-in node whose command lines the script completes [default: msight itself]
    #[arg(value_name = "PROGRAM")]
    program: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// Prints the script for `msight`, which is this command, or for one of its nodes.
///
/// # Errors
/// The program is not a built-in node.
pub async fn run(args: Args, msight: Command, entries: &[Entry]) -> Result<()> {
    let command = match &args.program {
        Some(program) => node(program, &msight, entries)?,
        None => msight,
    };
    print(String::from_utf8_lossy(&script(args.shell, command)))
}

fn node(program: &str, msight: &Command, entries: &[Entry]) -> Result<Command> {
    if program == msight.get_name() {
        return Ok(msight.clone());
    }
    if let Some(entry) = entries.iter().find(|entry| entry.program() == program) {
        return Ok(entry.command());
    }
    match closest(program, entries.iter().map(Entry::program)) {
        Some(near) => bail!("no built-in node is called {program:?}; did you mean {near}?"),
        None => bail!("no built-in node is called {program:?}; list them with `msight nodes`"),
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
