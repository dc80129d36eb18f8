//! A process that runs the nodes of several jobs.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use msight_node::notify::Notification;
use rustix::process::Signal;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::guard::Guard;
use super::journal::{Journal, LAST_LINES, lines};
use super::report_socket::forget_supervisor;
use super::wire::{Ended, Order, Report, Setup, Start};

/// The name for lines of the process itself. No service can have it, because of the space.
const SHARED_PROCESS: &str = "one process";

/// The maximum number of queued commands: a start and a stop for each of more nodes than a process can have.
const MAX_ORDERS: usize = 1024;

/// A shared process. It is started for the first job, restarted for the next job after a crash, and ends when this is
/// dropped.
pub struct SharedProcess {
    /// The file to execute.
    program: PathBuf,
    /// Its arguments.
    args: Vec<String>,
    /// Variables in addition to those of this process.
    environment: BTreeMap<String, String>,
    /// Its working directory.
    folder: PathBuf,
    setup: Setup,
    live: Mutex<Option<RunningProcess>>,
}

impl fmt::Debug for SharedProcess {
    /// Hides the variables, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedProcess")
            .field("program", &self.program)
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

/// A job's node in a shared process.
#[derive(Clone)]
pub struct InProcessNode {
    /// The process.
    pub process: Arc<SharedProcess>,
    /// The name of the node's program.
    pub entry: String,
    /// The node's name in its log lines.
    pub node: String,
    /// The variables for its flags.
    pub variables: BTreeMap<String, String>,
}

impl fmt::Debug for InProcessNode {
    /// Hides the variables, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessNode")
            .field("entry", &self.entry)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// The running process.
struct RunningProcess {
    pid: u32,
    /// The number of runs so far.
    runs: u64,
    orders: mpsc::Sender<Order>,
    nodes: Arc<RunningNodes>,
}

/// The nodes in the process, by run number.
#[derive(Default)]
struct RunningNodes(Mutex<HashMap<u64, NodeOutput>>);

struct NodeOutput {
    /// The name in its log lines.
    node: String,
    journal: Arc<Journal>,
    ended: oneshot::Sender<Ended>,
}

/// A node in the process. Dropping it aborts the node.
#[derive(Debug)]
pub(crate) struct NodeRun {
    run: u64,
    pub(crate) pid: u32,
    begun: Instant,
    orders: mpsc::Sender<Order>,
    ended: oneshot::Receiver<Ended>,
}

impl SharedProcess {
    /// A process to be started on demand: this program with these arguments and additional variables.
    pub fn new(
        program: PathBuf,
        args: Vec<String>,
        environment: BTreeMap<String, String>,
        folder: PathBuf,
        setup: Setup,
    ) -> Self {
        Self { program, args, environment, folder, setup, live: Mutex::default() }
    }

    /// The settings that its nodes share.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Runs a node with these arguments in the process.
    ///
    /// # Errors
    /// The process cannot be started, or is ending.
    pub(super) fn start(
        &self,
        node: &InProcessNode,
        args: &[String],
        journal: &Arc<Journal>,
    ) -> Result<NodeRun> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let live = match &mut *live {
            Some(live) if !live.orders.is_closed() => live,
            gone => gone.insert(
                self.launch(journal).with_context(|| format!("cannot start {}", self.program.display()))?,
            ),
        };
        let (sender, ended) = oneshot::channel();
        let entered = NodeOutput { node: node.node.clone(), journal: journal.clone(), ended: sender };
        live.runs += 1;
        let run = live.runs;
        live.nodes.enter(run, entered);
        let start = Start {
            run,
            program: node.entry.clone(),
            args: args.to_vec(),
            variables: node.variables.clone(),
        };
        let given = live.orders.try_send(Order::Start(start));
        given.map_err(|_| anyhow!("the process of the nodes is ending"))?;
        let orders = live.orders.clone();
        Ok(NodeRun { run, pid: live.pid, begun: Instant::now(), orders, ended })
    }

    fn launch(&self, journal: &Journal) -> Result<RunningProcess> {
        let guard = Guard::new()?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(&self.environment).current_dir(&self.folder);
        forget_supervisor(command.as_std_mut());
        command.process_group(guard.group()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let pid = child.id().context("it has exited immediately")?;
        let input = child.stdin.take().context("it has no input")?;
        let (orders, taken) = mpsc::channel(MAX_ORDERS);
        let nodes = Arc::<RunningNodes>::default();
        let setup = serde_json::to_string(&self.setup)?;
        tokio::spawn(forward(child, guard, nodes.clone(), journal.beside(SHARED_PROCESS), async move {
            // A process that no longer reads is ending, which is noticed elsewhere.
            let _ = write(input, setup, taken).await;
        }));
        Ok(RunningProcess { pid, runs: 0, orders, nodes })
    }
}

async fn write(mut input: ChildStdin, setup: String, mut orders: mpsc::Receiver<Order>) -> Result<()> {
    input.write_all(format!("{setup}\n").as_bytes()).await?;
    while let Some(order) = orders.recv().await {
        input.write_all(format!("{}\n", serde_json::to_string(&order)?).as_bytes()).await?;
    }
    Ok(())
}

/// Forwards commands and output until the process has ended; then all of its nodes have ended.
async fn forward(
    mut child: Child,
    guard: Guard,
    nodes: Arc<RunningNodes>,
    journal: Arc<Journal>,
    write: impl Future<Output = ()> + Send + 'static,
) {
    let mut readers = JoinSet::new();
    if let Some(stream) = child.stdout.take() {
        readers.spawn(journal.clone().follow(stream));
    }
    if let Some(stream) = child.stderr.take() {
        let (nodes, journal) = (nodes.clone(), journal.clone());
        readers.spawn(async move { nodes.follow(stream, &journal).await });
    }
    let mut writer = JoinSet::new();
    writer.spawn(write);
    let status = child.wait().await;
    let _ = timeout(LAST_LINES, async { while readers.join_next().await.is_some() {} }).await;
    // No further commands are accepted, so that no node starts after the running ones were reported as ended.
    writer.shutdown().await;
    drop(guard);
    nodes.end(&match status {
        Ok(status) => format!("the shared process has ended: {}", journal.end_of(status)),
        Err(error) => format!("cannot wait for the shared process: {error}"),
    });
}

/// The part of a log line that names its node.
#[derive(Deserialize)]
struct Logged {
    node: String,
}

impl RunningNodes {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<u64, NodeOutput>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self, run: u64, entered: NodeOutput) {
        self.with(|nodes| nodes.insert(run, entered));
    }

    /// Passes each line of the stream to its node's journal.
    async fn follow(&self, stream: impl AsyncRead + Unpin, default: &Journal) {
        lines(stream, |line| {
            if let Ok(ended) = serde_json::from_str::<Ended>(line) {
                if let Some(node) = self.with(|nodes| nodes.remove(&ended.ended)) {
                    // The receiver is gone if the job was aborted.
                    let _ = node.ended.send(ended);
                }
                return;
            }
            if let Ok(report) = serde_json::from_str::<Report>(line) {
                let journal = self.with(|nodes| Some(nodes.get(&report.reported)?.journal.clone()));
                if let Some(journal) = journal {
                    journal.report(&Notification::parse(report.datagram.as_bytes()));
                }
                return;
            }
            let logged = serde_json::from_str::<Logged>(line).ok();
            let journal = logged.and_then(|logged| {
                self.with(|nodes| {
                    let mut nodes = nodes.values();
                    Some(nodes.find(|node| node.node == logged.node)?.journal.clone())
                })
            });
            journal.as_deref().unwrap_or(default).take(line);
        })
        .await;
    }

    /// Reports all remaining nodes as ended.
    fn end(&self, why: &str) {
        for (run, node) in self.with(std::mem::take) {
            let _ = node.ended.send(Ended { ended: run, failure: Some(why.to_owned()), is_final: false });
        }
    }
}

impl NodeRun {
    /// Waits for the end of the node.
    pub(crate) async fn wait(&mut self) -> Result<Ended> {
        (&mut self.ended).await.context("its process has ended")
    }

    /// Stops the node, and aborts it after `grace`. `SIGKILL` aborts it at once.
    pub(crate) async fn stop(mut self, signal: Signal, grace: Duration, journal: &Journal) {
        if signal != Signal::KILL {
            let _ = self.orders.try_send(Order::Stop(self.run));
            if timeout(grace, self.wait()).await.is_ok() {
                return;
            }
            let text = format!("aborted: not stopped within {:.0} s", grace.as_secs_f64());
            // The node had unfinished work.
            journal.note("ERROR", text);
        }
        let _ = self.orders.try_send(Order::Abort(self.run));
        // A node that blocks its thread cannot be aborted; it ends with the process.
        let _ = timeout(Duration::from_secs(1), self.wait()).await;
    }

    /// How long it has been running.
    pub(crate) fn lasted(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Drop for NodeRun {
    fn drop(&mut self) {
        if !self.ended.is_terminated() {
            let _ = self.orders.try_send(Order::Abort(self.run));
        }
    }
}
