//! Which programs there are, and what a command line of theirs means.
//!
//! A program is looked for as a shell does, along the `PATH`, and asked to describe itself. What is not installed is
//! found among the nodes that this launcher is built with, or among MSight's own programs in Python, which cannot be
//! asked and are known from a table: a graph can be checked on a machine that has none of them.

mod ask;
mod hazard;
mod program;
mod python;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use msight_node::Entry;

use crate::near::nearest;

pub use self::hazard::Hazard;
pub use self::program::{Origin, Program};

/// The nodes that every launcher brings along.
pub const BUILT_IN: [Entry; 3] =
    [msight_rtsp_source::ENTRY, msight_image_to_video::ENTRY, msight_s3_pusher::ENTRY];

/// What the names of MSight's node programs begin with. Others are asked only when somebody names them.
const PREFIX: &str = "msight_launch_";

/// How long a program may take to describe itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// The programs of this machine and this launcher.
pub struct Catalog {
    entries: Vec<Entry>,
    folders: Vec<PathBuf>,
    patience: Duration,
    /// Files that have been asked already.
    known: Mutex<HashMap<PathBuf, Result<Program, NotFound>>>,
}

/// Why a name is no program to build a graph of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// There is nothing of this name.
    #[error("there is no program {name:?}: not built in, not on the PATH, and none of MSight's")]
    Unknown {
        /// What was looked for.
        name: String,
        /// The program that was probably meant.
        near: Option<String>,
    },
    /// There is a file, which is no node.
    #[error("{} is no node: {reason}", path.display())]
    NotANode {
        /// The file.
        path: PathBuf,
        /// What it did when it was asked to describe itself.
        reason: String,
    },
    /// One of MSight's programs that cannot run.
    #[error("MSight's {name} cannot be used: {reason}")]
    Broken {
        /// The program.
        name: String,
        /// Why not.
        reason: String,
    },
}

impl Catalog {
    /// The programs of the folders in `path`, which has the form of the `PATH` variable, and these nodes.
    pub fn new(entries: impl Into<Vec<Entry>>, path: Option<&OsStr>) -> Self {
        let folders = path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
        Self { entries: entries.into(), folders, patience: PATIENCE, known: Mutex::default() }
    }

    /// The same catalog, which gives up on programs that take longer to describe themselves; 10 s otherwise.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The node of this name or path that this launcher is built with, to be run in this process.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.program() == base_name(name))
    }

    /// The program that this name or path starts. What it names on this machine comes first, and is run to describe
    /// itself unless it is one of MSight's Python scripts; then what this launcher is built with; then what MSight
    /// would install. A path that is not on this machine, such as one inside of an image, counts by its last part.
    ///
    /// # Errors
    /// There is no such program, or it is no node.
    pub async fn find(&self, name: &str) -> Result<Program, NotFound> {
        if let Some(file) = self.file(name) {
            return self.at(file).await;
        }
        let base = base_name(name);
        if let Some(entry) = self.entry(base) {
            return Ok(Program::built_in(*entry));
        }
        match python::script(base) {
            Some(script) => Ok(Program::python(script, None)),
            None => Err(match python::broken(base) {
                Some(reason) => NotFound::Broken { name: base.to_owned(), reason: reason.to_owned() },
                None => NotFound::Unknown { name: name.to_owned(), near: self.near(base) },
            }),
        }
    }

    /// What there is: the nodes of this launcher, MSight's programs on the `PATH` or in the table, and all else on the
    /// `PATH` that is called like them; each name once, as [`find`](Self::find) has it. What turns out to be no node is
    /// named with the reason.
    pub async fn list(&self) -> (Vec<Program>, Vec<NotFound>) {
        let names = self.names();
        let (mut programs, mut others) = (Vec::<Program>::new(), Vec::new());
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                continue;
            }
            match self.find(name).await {
                Ok(program) => programs.push(program),
                Err(reason) => others.push(reason),
            }
        }
        (programs, others)
    }

    /// The file that a name or path starts.
    fn file(&self, name: &str) -> Option<PathBuf> {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|path| is_executable(path));
        }
        self.folders.iter().map(|folder| folder.join(name)).find(|path| is_executable(path))
    }

    async fn at(&self, file: PathBuf) -> Result<Program, NotFound> {
        // No lock is held while a program is asked; two that ask at once get the same answer.
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&file).cloned();
        if let Some(known) = known {
            return known;
        }
        let found = self.ask(&file).await;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(file, found.clone());
        found
    }

    async fn ask(&self, file: &Path) -> Result<Program, NotFound> {
        let base = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let script = python::script(base);
        if is_python(file) {
            // MSight's take seconds to start, and cannot answer.
            if let Some(script) = script {
                return Ok(Program::python(script, Some(file.to_owned())));
            }
            if let Some(reason) = python::broken(base) {
                return Err(NotFound::Broken { name: base.to_owned(), reason: reason.to_owned() });
            }
        }
        match ask::describe(file, self.patience).await {
            Ok(description) => {
                // What says the same of itself as what is built in is asked here, which takes no process.
                let same = self.entry(base).filter(|entry| entry.describe() == description).copied();
                Ok(Program::installed(file.to_owned(), description, same, self.patience))
            }
            Err(ask::Silence { reason, is_pythons }) => match script.filter(|_| is_pythons) {
                Some(script) => Ok(Program::python(script, Some(file.to_owned()))),
                None => Err(NotFound::NotANode { path: file.to_owned(), reason }),
            },
        }
    }

    /// The programs on the `PATH` that are called like MSight's, by name.
    fn installed(&self) -> Vec<String> {
        let files = self.folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
        let names = files.filter_map(|file| OsString::into_string(file.file_name()).ok());
        let mut names: Vec<String> =
            names.filter(|name| name.starts_with(PREFIX) && self.file(name).is_some()).collect();
        names.sort_unstable();
        names
    }

    /// All names there are, some more than once.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.entries.iter().map(|entry| entry.program().to_owned()).collect();
        names.extend(self.installed());
        names.extend(python::names().map(str::to_owned));
        names
    }

    fn near(&self, name: &str) -> Option<String> {
        nearest(name, self.names().iter().map(String::as_str)).map(str::to_owned)
    }
}

fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// Whether a file is a script for Python, as pip installs them: by its first line, or by the second where the first
/// would be too long for the system.
fn is_python(path: &Path) -> bool {
    use std::io::Read as _;
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(1024).read_to_end(&mut start));
    let start = String::from_utf8_lossy(&start);
    read.is_ok() && start.starts_with("#!") && start.lines().take(2).any(|line| line.contains("python"))
}

#[cfg(test)]
mod tests;
