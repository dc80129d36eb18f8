//! `msight man`: writes the manual pages, which are made of the same descriptions as `--help`.

mod page;

use std::fs;
use std::iter;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Command;
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

/// Writes the pages of `msight`, of each of its subcommands, and of each program that it contains, and prints the names of
/// the files.
///
/// # Errors
/// The folder cannot be written.
pub async fn run(args: Args, msight: Command, entries: &[Entry]) -> Result<()> {
    let folder = &args.folder;
    fs::create_dir_all(folder).with_context(|| format!("cannot create folder {}", folder.display()))?;
    for program in Program::references(msight, entries) {
        for reference in iter::once(&program).chain(&program.subcommands) {
            let name = page::file_name(reference);
            let file = folder.join(&name);
            fs::write(&file, page::text(reference))
                .with_context(|| format!("cannot write {}", file.display()))?;
            print(format_args!("{name}\n"))?;
        }
    }
    Ok(())
}
