//! The mark of a running graph, which says that it runs and where to ask.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::control::{Answer, Ask, Caller, Control};
use super::folder;

/// How long the last one of the same name may take to end after it has said so.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who a running graph is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// Its name.
    pub(crate) name: String,
    /// The folder of its files.
    pub(crate) folder: PathBuf,
    /// The launcher's process.
    pub(crate) pid: u32,
    /// Whether it runs in the background and keeps what it says.
    pub(crate) background: bool,
    /// Its jobs, in their order.
    pub(crate) jobs: Vec<String>,
}

/// Why a graph cannot have its mark.
#[derive(Debug, Error)]
pub(crate) enum Refused {
    /// One of the same name runs.
    #[error("a graph named {} is running already: process {}, of {}", .0.name, .0.pid, .0.folder.display())]
    Running(About),
    /// It runs, and does not say who it is yet.
    #[error("a graph named {0} is starting already")]
    Starting(String),
    /// The mark cannot be kept.
    #[error("{0:#}")]
    Other(anyhow::Error),
}

/// The mark of a graph of this process. It is gone when this is dropped, or with the process.
#[derive(Debug)]
pub(crate) struct Mark {
    name: String,
    folder: PathBuf,
    _lock: File,
}

impl Mark {
    /// Takes a name, which no two running graphs of a user have.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) async fn take(name: &str) -> Result<Self, Refused> {
        let folder = folder::make(name).map_err(Refused::Other)?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = lock.with_context(|| format!("cannot open {}", path.display())).map_err(Refused::Other)?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { name: name.to_owned(), folder, _lock: lock }),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    return Err(Refused::Other(error.context(format!("cannot lock {}", path.display()))));
                }
            }
            match Running::in_folder(&folder).await {
                Some(running) => return Err(Refused::Running(running.about)),
                None if tokio::time::Instant::now() > deadline => {
                    return Err(Refused::Starting(name.to_owned()));
                }
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Says who it is, and listens.
    ///
    /// # Errors
    /// There is no room for that.
    pub(crate) fn tell(&self, folder: &Path, background: bool, jobs: Vec<String>) -> Result<Control> {
        let (name, folder) = (self.name.clone(), folder.to_owned());
        let about = About { name, folder, pid: std::process::id(), background, jobs };
        // Whoever finds the socket finds this as well.
        let path = self.folder.join("about.json");
        let written = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path);
        written
            .and_then(|mut file| file.write_all(&serde_json::to_vec(&about)?))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Control::listen(&self.folder.join("control"))
    }

    /// Where its log is.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Where its standard error goes in the background: nothing, unless something is wrong with the launcher itself.
    pub(crate) fn errors(&self) -> PathBuf {
        self.folder.join("errors")
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join("control"));
    }
}

/// A graph that runs, of this user.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) about: About,
    socket: PathBuf,
}

impl Running {
    /// The graph of this name, if it runs.
    pub(crate) async fn of(name: &str) -> Option<Self> {
        for base in folder::existing() {
            if let Some(running) = Self::in_folder(&base.join(name)).await {
                return Some(running);
            }
        }
        None
    }

    /// All of them, by name.
    pub(crate) async fn all() -> Vec<Self> {
        let folders = folder::existing().filter_map(|base| fs::read_dir(base).ok());
        let mut all = Vec::new();
        for folder in folders.flatten().flatten() {
            all.extend(Self::in_folder(&folder.path()).await);
        }
        all.sort_by(|a, b| a.about.name.cmp(&b.about.name));
        all
    }

    async fn in_folder(folder: &Path) -> Option<Self> {
        let socket = folder.join("control");
        Caller::connect(&socket).await?;
        let about = fs::read(folder.join("about.json")).ok()?;
        Some(Self { about: serde_json::from_slice(&about).ok()?, socket })
    }

    /// Asks it something.
    ///
    /// # Errors
    /// It is over.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer> {
        self.connect().await?.ask(ask).await
    }

    /// Asks it to stop, and returns what is done when it has.
    ///
    /// # Errors
    /// It is over already.
    pub(crate) async fn stop(&self) -> Result<impl Future<Output = ()> + use<>> {
        let mut caller = self.connect().await?;
        caller.ask(&Ask::Stop).await?;
        Ok(caller.gone())
    }

    async fn connect(&self) -> Result<Caller> {
        let name = &self.about.name;
        Caller::connect(&self.socket).await.with_context(|| format!("{name} is not running any more"))
    }
}

/// Where the log of a graph of this name is, whether it runs or not.
pub(super) fn log_of(name: &str) -> io::Result<PathBuf> {
    let logs = folder::existing().map(|base| base.join(name).join("log"));
    // Of several the one that was written last.
    let newest = |log: &PathBuf| fs::metadata(log).and_then(|found| found.modified()).ok();
    logs.filter(|log| log.is_file()).max_by_key(newest).ok_or_else(|| io::ErrorKind::NotFound.into())
}
