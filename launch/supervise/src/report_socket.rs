//! Where a job reports to: a socket of its own, by the protocol of sd_notify(3).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use msight_node::notify::{NotifySocket, SOCKET};
use tempfile::TempDir;
use tokio_util::task::AbortOnDropHandle;

use super::journal::Journal;
use super::reported::WATCHDOG;

/// The environment variable with the time within which a sign of life is expected.
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";

/// A socket for the reports of one run of a job, in a folder of its own. Dropping it removes both.
#[derive(Debug)]
pub(crate) struct ReportSocket {
    folder: TempDir,
    path: PathBuf,
    _reader: AbortOnDropHandle<()>,
}

impl ReportSocket {
    /// Makes the socket. What arrives there goes to the job's journal.
    ///
    /// # Errors
    /// There is no room for temporary files.
    pub(crate) fn new(journal: &Arc<Journal>) -> Result<Self> {
        // Others cannot enter it (mkdtemp(3)).
        let folder = tempfile::Builder::new().prefix("msight-").tempdir().context("no temporary folder")?;
        let socket = NotifySocket::bind(folder.path())
            .with_context(|| format!("cannot make a socket in {}", folder.path().display()))?;
        let (path, journal) = (socket.path().to_owned(), journal.clone());
        let reader = tokio::spawn(async move {
            while let Ok(report) = socket.recv().await {
                journal.report(&report);
            }
        });
        Ok(Self { folder, path, _reader: AbortOnDropHandle::new(reader) })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The variables that tell the job where to report.
    pub(crate) fn variables(&self) -> [(&'static str, OsString); 2] {
        let watchdog = WATCHDOG.as_micros().to_string();
        [(SOCKET, self.path.clone().into()), (WATCHDOG_USEC, watchdog.into())]
    }
}

/// Keeps a program from reporting to the supervisor of this one, such as systemd.
pub(crate) fn forget_supervisor(command: &mut Command) {
    for variable in [SOCKET, WATCHDOG_USEC, "WATCHDOG_PID"] {
        command.env_remove(variable);
    }
}
