//! Controls a running graph by lines of JSON over a Unix socket.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::JobStatus;

/// The maximum length of a line in bytes: a few hundred for each node of a graph.
const MAX_BYTES: u64 = 1 << 20;

/// The maximum number of concurrent clients.
const MAX_ASKING: usize = 16;

/// The time limit for a client's request and for the graph's answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time limit for the restart of a node.
const RESTART: Duration = Duration::from_secs(45);

/// A request to a running graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Return the states of the nodes.
    States,
    /// Restart this node.
    Restart(String),
    /// Stop the graph. The connection is closed at its end.
    Stop,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The states of all nodes, or of the restarted one.
    States(Vec<JobStatus>),
    /// The graph is stopping.
    Stopping,
    /// The request is refused, with the reason.
    No(String),
}

/// A request, and the channel for its answer.
#[derive(Debug)]
pub(crate) struct PendingRequest {
    pub(crate) ask: Request,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// Receives requests, until dropped.
#[derive(Debug)]
pub(crate) struct Control {
    asked: mpsc::Receiver<PendingRequest>,
    task: AbortHandle,
}

impl Control {
    /// Listens at a path that no other process uses.
    ///
    /// # Errors
    /// The socket cannot be created.
    pub(crate) fn listen(path: &Path) -> Result<Self> {
        // A killed process has left its socket.
        let _ = std::fs::remove_file(path);
        let listener =
            UnixListener::bind(path).with_context(|| format!("cannot listen at {}", path.display()))?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))
            .with_context(|| format!("cannot restrict access to {}", path.display()))?;
        let (asks, asked) = mpsc::channel(MAX_ASKING);
        let task = tokio::spawn(async move {
            let room = Arc::new(Semaphore::new(MAX_ASKING));
            loop {
                let Ok(place) = room.clone().acquire_owned().await else { return };
                let Ok((stream, _)) = listener.accept().await else {
                    // No file descriptor is free; clients that disconnect free theirs.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let asks = asks.clone();
                tokio::spawn(async move {
                    let _ = serve(stream, asks).await;
                    drop(place);
                });
            }
        });
        Ok(Self { asked, task: task.abort_handle() })
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> PendingRequest {
        match self.asked.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: UnixStream, asks: mpsc::Sender<PendingRequest>) -> Result<()> {
    let ask: Request = timeout(PATIENCE, line(&mut stream)).await.context("no request")??;
    let is_last = ask == Request::Stop;
    let (answer, answered) = oneshot::channel();
    asks.send(PendingRequest { ask, answer }).await.context("the graph has ended")?;
    // A client that disconnects frees its place.
    let answer = tokio::select! {
        answer = answered => answer.context("the graph has ended")?,
        _ = stream.read_u8() => bail!("the client has disconnected"),
    };
    put(&mut stream, &answer).await?;
    if is_last {
        // The client waits for the end of the connection, which is that of this process.
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// A connection to a running graph.
#[derive(Debug)]
pub(super) struct Caller(UnixStream);

impl Caller {
    /// Connects; `None` if no process listens.
    pub(super) async fn connect(path: &Path) -> Option<Self> {
        UnixStream::connect(path).await.ok().map(Self)
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// The graph ends before it answers, takes too long, or sends an unknown answer.
    pub(super) async fn ask(&mut self, ask: &Request) -> Result<Answer> {
        let patience = if matches!(ask, Request::Restart(_)) { RESTART } else { PATIENCE };
        let answered = timeout(patience, async {
            put(&mut self.0, ask).await?;
            line(&mut self.0).await
        });
        let late = || format!("no answer from the graph within {} s", patience.as_secs());
        answered.await.with_context(late)?.context("no answer from the graph")
    }

    /// Returns when the connection is closed.
    pub(super) async fn gone(mut self) {
        let mut byte = [0];
        while self.0.read(&mut byte).await.is_ok_and(|read| read > 0) {}
    }
}

async fn line<T: for<'de> Deserialize<'de>>(stream: &mut UnixStream) -> Result<T> {
    let mut text = Vec::new();
    BufReader::new(stream.take(MAX_BYTES)).read_until(b'\n', &mut text).await?;
    if text.is_empty() {
        bail!("connection closed");
    }
    Ok(serde_json::from_slice(&text)?)
}

async fn put(stream: &mut UnixStream, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    Ok(stream.write_all(&text).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pair() -> (Control, std::path::PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        std::fs::write(&path, "left behind").unwrap();
        (Control::listen(&path).unwrap(), path, folder)
    }

    #[tokio::test]
    async fn what_is_asked_is_answered() {
        let (mut control, path, _folder) = pair().await;
        let asking = async {
            let mut caller = Caller::connect(&path).await.unwrap();
            caller.ask(&Request::Restart("camera".to_owned())).await.unwrap()
        };
        let answering = async {
            let asked = control.next().await;
            assert_eq!(asked.ask, Request::Restart("camera".to_owned()));
            asked.answer.send(Answer::No("there is no camera".to_owned())).unwrap();
        };
        let (answer, ()) = tokio::join!(asking, answering);
        assert_eq!(answer, Answer::No("there is no camera".to_owned()));
    }

    #[tokio::test]
    async fn nonsense_is_hung_up_on_and_others_are_heard() {
        let (mut control, path, _folder) = pair().await;
        let mut caller = UnixStream::connect(&path).await.unwrap();
        caller.write_all(b"{\"restart\": 7}\n").await.unwrap();
        assert_eq!(caller.read(&mut [0; 8]).await.unwrap(), 0);
        let mut caller = Caller::connect(&path).await.unwrap();
        let answer = tokio::join!(caller.ask(&Request::States), async {
            control.next().await.answer.send(Answer::States(Vec::new())).unwrap();
        });
        assert_eq!(answer.0.unwrap(), Answer::States(Vec::new()));
    }

    #[tokio::test]
    async fn a_client_that_has_disconnected_holds_no_place() {
        let (mut control, path, _folder) = pair().await;
        let mut unanswered = Vec::new();
        let all = async {
            while unanswered.len() <= MAX_ASKING {
                let asking = async {
                    let mut caller = Caller::connect(&path).await.unwrap();
                    put(&mut caller.0, &Request::Restart("camera".to_owned())).await.unwrap();
                    caller
                };
                let (caller, asked) = tokio::join!(asking, control.next());
                unanswered.push(asked.answer);
                drop(caller);
            }
        };
        timeout(Duration::from_secs(60), all).await.expect("each finds a place");
    }

    #[tokio::test]
    async fn a_client_that_requests_a_stop_learns_of_the_end() {
        let (mut control, path, _folder) = pair().await;
        let mut caller = Caller::connect(&path).await.unwrap();
        let asking = caller.ask(&Request::Stop);
        let (answer, ()) = tokio::join!(asking, async {
            control.next().await.answer.send(Answer::Stopping).unwrap();
        });
        assert_eq!(answer.unwrap(), Answer::Stopping);
        // A graph that has ended does not answer.
        drop(control);
        let mut late = Caller::connect(&path).await;
        assert!(match &mut late {
            None => true,
            Some(late) => late.ask(&Request::States).await.is_err(),
        });
    }
}
