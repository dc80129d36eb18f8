//! The folders of running graphs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

/// The folders for the files of running graphs, in order of preference: the home folder outlives a logout, which
/// `XDG_RUNTIME_DIR` does not (XDG Base Directory Specification 0.8); services may not have a home folder.
fn candidates() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let user = rustix::process::geteuid().as_raw();
    let last = std::env::temp_dir().join(format!("msight-{user}"));
    state.map(|state| state.join("msight")).into_iter().chain([last]).collect()
}

/// The existing folders. Only this user can write to them.
pub(super) fn existing() -> impl Iterator<Item = PathBuf> {
    candidates().into_iter().filter(|base| is_own(base))
}

fn is_own(folder: &Path) -> bool {
    // In a shared folder such as /tmp, a link could point to another user's files.
    fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0
    })
}

/// Opens a file that only this user can read, whatever the umask and an earlier version of this program made of it.
///
/// # Errors
/// The file cannot be opened.
pub(crate) fn private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.create(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Writes a document to a file that only this user can read.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write_json(path: &Path, document: &impl Serialize) -> Result<()> {
    private(path, OpenOptions::new().truncate(true).write(true))
        .and_then(|mut file| file.write_all(&serde_json::to_vec(document)?))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Creates the folder of a graph in the first place where that is possible.
///
/// # Errors
/// No place is usable; with the reason for the last one.
pub(super) fn make(graph: &str) -> Result<PathBuf> {
    let mut failure = None;
    for base in candidates() {
        let folder = base.join(graph);
        match own(&base).and_then(|()| own(&folder)) {
            Ok(()) => return Ok(folder),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.context("no folder is usable")?)
}

/// Creates a folder that belongs to this user and that no other user can enter.
fn own(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot create {}", folder.display()))?;
    let found = fs::symlink_metadata(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot restrict access to {}", folder.display()))?;
    }
    if !is_own(folder) {
        bail!("{} does not belong to this user", folder.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_closed_to_others_and_no_link() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("a/b");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        own(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(own(&link).unwrap_err().to_string().contains("does not belong to this user"));
        fs::write(base.path().join("file"), "").unwrap();
        assert!(own(&base.path().join("file")).is_err());
    }
}
