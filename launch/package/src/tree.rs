//! The files of a package, below the folder that it is installed into.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// Files and links by their paths, sorted, so that the same contents give the same package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<String, Entry>);

/// A file or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A file that anybody may read, and run if it is a program.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Whether it is a program.
        is_program: bool,
    },
    /// A symbolic link to this path.
    Link(String),
}

impl Tree {
    /// Adds a file.
    pub(crate) fn file(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), Entry::File { bytes: bytes.into(), is_program: false });
    }

    /// Adds a program.
    pub(crate) fn program(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), Entry::File { bytes: bytes.into(), is_program: true });
    }

    /// Adds a link.
    pub(crate) fn link(&mut self, path: impl Into<String>, target: impl Into<String>) {
        self.0.insert(path.into(), Entry::Link(target.into()));
    }

    /// Adds all files below a folder of this machine, at a path of the tree.
    pub(crate) fn folder(&mut self, path: &str, from: &Path) -> Result<()> {
        let listed = fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))?;
        for entry in listed {
            let file = entry.with_context(|| format!("cannot list {}", from.display()))?.path();
            let name = file.file_name().unwrap_or_default().display();
            let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            self.file(format!("{path}/{name}"), bytes);
        }
        Ok(())
    }

    /// Adds all entries of another tree at a path.
    pub(crate) fn extend(&mut self, path: &str, other: Self) {
        self.0.extend(other.0.into_iter().map(|(name, entry)| (format!("{path}/{name}"), entry)));
    }

    /// The entries, sorted by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Writes all entries below a folder of this machine.
    pub(crate) fn write(&self, below: &Path) -> Result<()> {
        for (path, entry) in self.iter() {
            let path = below.join(path);
            write(&path, entry).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Writes all entries into a new temporary folder.
    pub(crate) fn folder_of_its_own(&self) -> Result<TempDir> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        self.write(folder.path())?;
        Ok(folder)
    }
}

impl Entry {
    /// The access rights of its file.
    pub(crate) const fn mode(&self) -> u32 {
        match self {
            Self::File { is_program: false, .. } => 0o644,
            Self::File { .. } => 0o755,
            Self::Link(_) => 0o777,
        }
    }
}

fn write(path: &Path, entry: &Entry) -> Result<()> {
    for folder in
        path.ancestors().skip(1).take_while(|folder| !folder.exists()).collect::<Vec<_>>().iter().rev()
    {
        fs::create_dir(folder)?;
        // Whatever the umask is: users of the machine read what the package installs.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    match entry {
        Entry::File { bytes, .. } => {
            fs::write(path, bytes)?;
            fs::set_permissions(path, fs::Permissions::from_mode(entry.mode()))?;
        }
        Entry::Link(target) => symlink(target, path)?,
    }
    Ok(())
}
