//! `msight links`: a link to this program for each program that it contains.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use msight_graph::machine::own_program;
use msight_node::Entry;

use super::print;
use crate::programs::Program;

/// Create a link to this program for each built-in node, and for msight_status and msight_reset_redis
///
/// Called by one of these names, this program is that program: a small box or an image needs one file and its links.
/// Existing links are replaced.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder of the links; created if missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Creates the links and prints their names.
///
/// # Errors
/// The folder cannot be written, or a file of that name is not a link.
pub async fn run(args: Args, entries: &[Entry]) -> Result<()> {
    let folder = &args.folder;
    fs::create_dir_all(folder).with_context(|| format!("cannot create folder {}", folder.display()))?;
    let program = own_program()?;
    for name in Program::all(entries).map(|one| one.name()) {
        link(&program, folder, name)
            .with_context(|| format!("cannot create link {}", folder.join(name).display()))?;
        print(format_args!("{name}\n"))?;
    }
    Ok(())
}

fn link(program: &Path, folder: &Path, name: &str) -> Result<()> {
    let place = folder.join(name);
    match fs::symlink_metadata(&place) {
        Ok(there) if !there.is_symlink() => bail!("the file exists and is not a link; remove it first"),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    // In the program's own folder a relative link is used, so that the folder can be moved.
    let is_beside = program.parent().is_some_and(|own| fs::canonicalize(folder).is_ok_and(|it| it == own));
    let target = if is_beside { program.file_name().map(Path::new) } else { None };
    // Create the link under another name and rename it, because a link cannot be replaced in one step.
    let fresh = folder.join(format!(".{name}.{}", std::process::id()));
    symlink(target.unwrap_or(program), &fresh)?;
    fs::rename(&fresh, &place).inspect_err(|_| drop(fs::remove_file(&fresh)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_and_replaced_and_files_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let other = tempfile::tempdir().expect("a folder");
        let program = fs::canonicalize(folder.path()).expect("its path").join("program");
        let target = |folder: &Path| fs::read_link(folder.join("node")).expect("a link");
        for _ in 0..2 {
            link(&program, folder.path(), "node").expect("a link");
            assert_eq!(target(folder.path()), Path::new("program"));
        }
        link(&program, other.path(), "node").expect("a link");
        assert_eq!(target(other.path()), program);
        fs::remove_file(other.path().join("node")).expect("it is there");
        fs::write(other.path().join("node"), "kept").expect("a file");
        link(&program, other.path(), "node").expect_err("a file is there");
        assert_eq!(fs::read(other.path().join("node")).expect("a file"), b"kept");
        assert_eq!(fs::read_dir(other.path()).expect("a folder").count(), 1);
    }
}
