//! Registers a running graph, so that other processes can find and control it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use msight_graph::machine::RegisteredNode;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::control::{Answer, Caller, Control, Request};
use super::ending::Ending;
use super::folder::{self, private};

/// The file with the errors of a stop.
const ENDING: &str = "ending.json";

/// How long an earlier graph with the same name may take to exit.
const PATIENCE: Duration = Duration::from_secs(1);

/// The properties of a running graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GraphInfo {
    /// Its name.
    pub(crate) name: String,
    /// The project folder.
    pub(crate) folder: PathBuf,
    /// The launcher's process.
    pub(crate) pid: u32,
    /// Whether it runs in the background, with a stored log.
    pub(crate) background: bool,
    /// The names of its jobs, in order.
    pub(crate) jobs: Vec<String>,
    /// The names that its nodes register on Redis.
    #[serde(default)]
    pub(crate) registered: BTreeSet<RegisteredNode>,
}

/// Why a graph cannot be registered.
#[derive(Debug, Error)]
pub(crate) enum RegisterError {
    /// A graph with the same name is running.
    #[error("graph {} is already running (process {}, in {})", .0.name, .0.pid, .0.folder.display())]
    AlreadyRunning(GraphInfo),
    /// A graph with the same name is starting.
    #[error("graph {0} is already starting")]
    Starting(String),
    /// The files cannot be written.
    #[error("{0:#}")]
    Other(anyhow::Error),
}

/// The registration of a graph of this process. It ends when this is dropped, or with the process.
#[derive(Debug)]
pub(crate) struct Registration {
    name: String,
    folder: PathBuf,
    _lock: File,
}

impl Registration {
    /// Registers a name. The names of a user's running graphs are unique.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub(crate) async fn take(name: &str) -> Result<Self, RegisterError> {
        let folder = folder::make(name).map_err(RegisterError::Other)?;
        let path = folder.join("lock");
        let lock = private(&path, OpenOptions::new().truncate(false).write(true));
        let lock =
            lock.with_context(|| format!("cannot open {}", path.display())).map_err(RegisterError::Other)?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { name: name.to_owned(), folder, _lock: lock }),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    return Err(RegisterError::Other(
                        error.context(format!("cannot lock {}", path.display())),
                    ));
                }
            }
            match RunningGraph::in_folder(&folder).await {
                Some(running) => return Err(RegisterError::AlreadyRunning(running.about)),
                None if tokio::time::Instant::now() > deadline => {
                    return Err(RegisterError::Starting(name.to_owned()));
                }
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Publishes the graph's properties and listens for requests.
    ///
    /// # Errors
    /// The files cannot be written.
    pub(crate) fn tell(
        &self,
        folder: &Path,
        background: bool,
        jobs: Vec<String>,
        registered: BTreeSet<RegisteredNode>,
    ) -> Result<Control> {
        let (name, folder) = (self.name.clone(), folder.to_owned());
        let about = GraphInfo { name, folder, pid: std::process::id(), background, jobs, registered };
        // Written before the socket exists, so that a client always finds it.
        folder::write_json(&self.folder.join("about.json"), &about)?;
        Control::listen(&self.folder.join("control"))
    }

    /// Leaves the errors of the stop for the program that asked for it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn end(&self, ending: &Ending) -> Result<()> {
        folder::write_json(&self.folder.join(ENDING), ending)
    }

    /// The path of its log.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The file for standard error in the background: empty unless the launcher itself fails.
    pub(crate) fn errors(&self) -> PathBuf {
        self.folder.join("errors")
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join("control"));
    }
}

/// A running graph of this user.
#[derive(Debug)]
pub(crate) struct RunningGraph {
    pub(crate) about: GraphInfo,
    socket: PathBuf,
}

impl RunningGraph {
    /// The graph with this name, if it is running.
    pub(crate) async fn of(name: &str) -> Option<Self> {
        for base in folder::existing() {
            if let Some(running) = Self::in_folder(&base.join(name)).await {
                return Some(running);
            }
        }
        None
    }

    /// A graph with another name that has nodes of these names on the same Redis, and the names.
    pub(crate) async fn with_nodes(
        registered: &BTreeSet<RegisteredNode>,
        own: &str,
    ) -> Option<(GraphInfo, Vec<String>)> {
        let others = Self::all().await.into_iter().map(|graph| graph.about);
        others.filter(|about| about.name != own).find_map(|about| {
            let names: Vec<_> =
                about.registered.intersection(registered).map(|node| node.name.clone()).collect();
            (!names.is_empty()).then_some((about, names))
        })
    }

    /// All running graphs, by name.
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

    /// Sends a request to the graph.
    ///
    /// # Errors
    /// The graph has ended.
    pub(crate) async fn ask(&self, ask: &Request) -> Result<Answer> {
        self.connect().await?.ask(ask).await
    }

    /// Asks the graph to stop, and returns a future that completes at its end.
    ///
    /// # Errors
    /// The graph has already ended.
    pub(crate) async fn stop(&self) -> Result<impl Future<Output = ()> + use<>> {
        let mut caller = self.connect().await?;
        caller.ask(&Request::Stop).await?;
        Ok(caller.gone())
    }

    /// The errors of its stop, after its end.
    pub(crate) fn ending(&self) -> Option<Ending> {
        Ending::read(&self.socket.with_file_name(ENDING), self.about.pid)
    }

    async fn connect(&self) -> Result<Caller> {
        let name = &self.about.name;
        Caller::connect(&self.socket).await.with_context(|| format!("graph {name} is no longer running"))
    }
}

/// The path of the log of a graph with this name, running or not.
pub(super) fn log_of(name: &str) -> io::Result<PathBuf> {
    let logs = folder::existing().map(|base| base.join(name).join("log"));
    // If there are several, the most recent one.
    let newest = |log: &PathBuf| fs::metadata(log).and_then(|found| found.modified()).ok();
    logs.filter(|log| log.is_file()).max_by_key(newest).ok_or_else(|| io::ErrorKind::NotFound.into())
}
