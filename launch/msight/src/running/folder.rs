//! Where graphs leave their marks.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The folders that the graphs of this user may have theirs in, the best first: the home folder stays when the user
/// logs out, which `XDG_RUNTIME_DIR` does not (XDG Base Directory Specification 0.8); services may have none.
fn candidates() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let user = rustix::process::geteuid().as_raw();
    let last = std::env::temp_dir().join(format!("msight-{user}"));
    state.map(|state| state.join("msight")).into_iter().chain([last]).collect()
}

/// Those that there are. What is in them was written by this user, as nobody else can enter.
pub(super) fn existing() -> impl Iterator<Item = PathBuf> {
    candidates().into_iter().filter(|base| is_own(base))
}

fn is_own(folder: &Path) -> bool {
    // What a link points at may be anybody's, in a folder such as /tmp.
    fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0
    })
}

/// Makes the folder of a graph in the first place that takes it.
///
/// # Errors
/// None does: why the last one does not.
pub(super) fn make(graph: &str) -> Result<PathBuf> {
    let mut failure = None;
    for base in candidates() {
        let folder = base.join(graph);
        match own(&base).and_then(|()| own(&folder)) {
            Ok(()) => return Ok(folder),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.context("there is no folder for it")?)
}

/// Makes sure that there is such a folder, that it is of this user, and that nobody else can enter it.
fn own(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    let found = fs::symlink_metadata(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot keep others out of {}", folder.display()))?;
    }
    if !is_own(folder) {
        bail!("{} is not this user's folder", folder.display());
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
        assert!(own(&link).unwrap_err().to_string().contains("is not this user's folder"));
        fs::write(base.path().join("file"), "").unwrap();
        assert!(own(&base.path().join("file")).is_err());
    }
}
