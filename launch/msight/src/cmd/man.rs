//! `msight man`: writes the manual pages, which are made of the same descriptions as `--help`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Command;
use clap_mangen::Man;
use msight_node::Entry;

use super::print;
use crate::programs::Program;

/// Write the manual pages of msight and of the programs that it contains into a folder
///
/// A page has the text of the program's `--help`. Read a page with `man -l DIR/msight.1`. The packages install all
/// pages.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder of the pages; created if missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes the pages of `msight`, of each of its subcommands, and of each program that it contains, and prints the names of the files.
///
/// # Errors
/// The folder cannot be written.
pub async fn run(args: Args, msight: Command, entries: &[Entry]) -> Result<()> {
    let folder = &args.folder;
    fs::create_dir_all(folder).with_context(|| format!("cannot create folder {}", folder.display()))?;
    let source = format!("msight-rs {}", env!("CARGO_PKG_VERSION"));
    for command in [msight].into_iter().chain(Program::all(entries).map(|program| program.command())) {
        // `help` is a subcommand of clap's, which repeats the others.
        let mut command = command.disable_help_subcommand(true);
        command.build();
        write(&command, &source, folder)?;
    }
    Ok(())
}

fn write(command: &Command, source: &str, folder: &Path) -> Result<()> {
    let man = Man::new(command.clone()).source(source).manual("msight-rs");
    let file = man.generate_to(folder);
    let file = file.with_context(|| format!("cannot write {}", folder.join(man.get_filename()).display()))?;
    print(format_args!("{}\n", file.file_name().unwrap_or_default().display()))?;
    command.get_subcommands().filter(|one| !one.is_hide_set()).try_for_each(|one| write(one, source, folder))
}
