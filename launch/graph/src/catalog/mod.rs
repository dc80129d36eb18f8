//! Finds node programs and interprets their command lines.
//!
//! A program is looked up on the `PATH`, as a shell does, and asked to describe itself. If it is not installed, it
//! may be one of the nodes built into this launcher, or one of MSight's own programs in Python, which are known from
//! a table because they cannot describe themselves. So a graph can be checked on a machine where none of its programs
//! are installed.

mod ask;
mod crash_risk;
mod program;
mod python;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use msight_node::Entry;

use msight_contract::suggest::closest;

pub use self::crash_risk::CrashRisk;
pub use self::program::{Origin, Program};

/// The prefix of MSight's node programs. Programs with other names are asked only if a graph names them.
const PREFIX: &str = "msight_launch_";

/// The time limit for a program to describe itself.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The programs of this machine and this launcher.
pub struct Catalog {
    entries: Vec<Entry>,
    folders: Vec<PathBuf>,
    timeout: Duration,
    /// Results for files that have been asked.
    known: Mutex<HashMap<PathBuf, Result<Program, NotFound>>>,
}

/// Why a name is not a usable node program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// There is no such program.
    #[error("unknown program {name:?}: {}", why_unknown(name))]
    Unknown {
        /// The name that was looked up.
        name: String,
        /// The most similar known name.
        near: Option<String>,
    },
    /// The file is not a node program.
    #[error("{} is not a node program: {reason}", path.display())]
    NotANode {
        /// The file.
        path: PathBuf,
        /// Why it did not describe itself.
        reason: String,
    },
    /// One of MSight's programs that cannot start.
    #[error("MSight's {name} cannot start: {reason}")]
    Broken {
        /// The program.
        name: String,
        /// Why not.
        reason: String,
    },
}

fn why_unknown(name: &str) -> &'static str {
    match name.contains('/') {
        true => "file not found, and no node program has its name",
        false => "not built in, not on the PATH, and not one of MSight's",
    }
}

impl Catalog {
    /// A catalog of these built-in nodes and the programs in `path`, which has the form of the `PATH` variable.
    pub fn new(entries: impl Into<Vec<Entry>>, path: Option<&OsStr>) -> Self {
        let folders = path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
        Self { entries: entries.into(), folders, timeout: DESCRIBE_TIMEOUT, known: Mutex::default() }
    }

    /// The catalog with another time limit for programs to describe themselves; 10 s by default.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The built-in node with this name or path, to be run in this process.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.program() == base_name(name))
    }

    /// Finds the program that this name or path starts. Files on this machine come first, and are run to describe
    /// themselves unless they are MSight's Python scripts; then built-in nodes; then MSight's own programs. Of a path
    /// that does not exist here, such as one inside an image, the file name counts.
    ///
    /// # Errors
    /// The program is unknown, or not a node program.
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

    /// Lists the built-in nodes, MSight's programs on the `PATH` or in the table, and other programs on the `PATH`
    /// with their name prefix; each name once, as [`find`](Self::find) resolves it. Programs that are not node
    /// programs are returned with the reason.
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
        // The lock is not held while a program is asked; two concurrent calls get the same result.
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
            // MSight's scripts take seconds to start and cannot describe themselves.
            if let Some(script) = script {
                return Ok(Program::python(script, Some(file.to_owned())));
            }
            if let Some(reason) = python::broken(base) {
                return Err(NotFound::Broken { name: base.to_owned(), reason: reason.to_owned() });
            }
        }
        match ask::describe(file, self.timeout).await {
            Ok(description) => {
                // If it describes itself as the built-in node does, use that: it needs no process.
                let same = self.entry(base).filter(|entry| entry.describe() == description).copied();
                Ok(Program::installed(file.to_owned(), description, same, self.timeout))
            }
            Err(ask::NoDescription { reason, is_pythons }) => match script.filter(|_| is_pythons) {
                Some(script) => Ok(Program::python(script, Some(file.to_owned()))),
                None => Err(NotFound::NotANode { path: file.to_owned(), reason }),
            },
        }
    }

    /// The programs on the `PATH` with MSight's name prefix, sorted.
    fn installed(&self) -> Vec<String> {
        let files = self.folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
        let names = files.filter_map(|file| OsString::into_string(file.file_name()).ok());
        let mut names: Vec<String> =
            names.filter(|name| name.starts_with(PREFIX) && self.file(name).is_some()).collect();
        names.sort_unstable();
        names
    }

    /// All known names, possibly repeated.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.entries.iter().map(|entry| entry.program().to_owned()).collect();
        names.extend(self.installed());
        names.extend(python::names().map(str::to_owned));
        names
    }

    fn near(&self, name: &str) -> Option<String> {
        closest(name, self.names().iter().map(String::as_str)).map(str::to_owned)
    }
}

fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// Whether a file is a Python script as pip installs them: by its first line, or by its second if the first would be
/// too long for the system.
fn is_python(path: &Path) -> bool {
    use std::io::Read as _;
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(1024).read_to_end(&mut start));
    let start = String::from_utf8_lossy(&start);
    read.is_ok() && start.starts_with("#!") && start.lines().take(2).any(|line| line.contains("python"))
}

#[cfg(test)]
mod tests;
