//! A process that several jobs share: each is a node in it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rustix::process::Signal;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::guard::Guard;
use super::journal::{Journal, LAST_LINES, lines};
use super::wire::{Ended, Order, Setup, Start};

/// Whose lines those are that no node has said. No service can be called so.
const NOBODY: &str = "one process";

/// Orders on their way: a start and a stop of each node, of more nodes than a process would be given.
const MOST_ORDERS: usize = 1024;

/// The process that jobs share. It is started for the first of them, again for the next one after it has died, and
/// ends when nobody holds this any more.
pub struct Host {
    /// The file to execute.
    program: PathBuf,
    /// Its arguments.
    args: Vec<String>,
    /// Variables that it has beside those of this process.
    environment: BTreeMap<String, String>,
    /// The folder that it works in.
    folder: PathBuf,
    setup: Setup,
    live: Mutex<Option<Live>>,
}

impl fmt::Debug for Host {
    /// Without the variables, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("program", &self.program)
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

/// A node's place in a process of several.
#[derive(Clone)]
pub struct Within {
    /// The process.
    pub host: Arc<Host>,
    /// The name of the entry that the node is of.
    pub entry: String,
    /// The node's name, which its log lines carry.
    pub node: String,
    /// The variables that its flags are taken from.
    pub variables: BTreeMap<String, String>,
}

impl fmt::Debug for Within {
    /// Without the variables, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within").field("entry", &self.entry).field("node", &self.node).finish_non_exhaustive()
    }
}

/// The process, since it was started.
struct Live {
    pid: u32,
    /// How many nodes it was given.
    runs: u64,
    orders: mpsc::Sender<Order>,
    parts: Arc<Parts>,
}

/// The nodes in the process, by the numbers of their runs.
#[derive(Default)]
struct Parts(Mutex<HashMap<u64, Entered>>);

struct Entered {
    /// Its name in the lines of the log.
    node: String,
    journal: Arc<Journal>,
    ended: oneshot::Sender<Ended>,
}

/// A node in the process. Dropping it ends the node.
#[derive(Debug)]
pub(crate) struct Part {
    run: u64,
    pub(crate) pid: u32,
    begun: Instant,
    orders: mpsc::Sender<Order>,
    ended: oneshot::Receiver<Ended>,
}

impl Host {
    /// A process that is yet to be started: this program with these arguments, with these variables beside those of
    /// this process.
    pub fn new(
        program: PathBuf,
        args: Vec<String>,
        environment: BTreeMap<String, String>,
        folder: PathBuf,
        setup: Setup,
    ) -> Self {
        Self { program, args, environment, folder, setup, live: Mutex::default() }
    }

    /// What its nodes share.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Runs a node with these arguments in the process.
    ///
    /// # Errors
    /// The process cannot be started, or is just about to end.
    pub(super) fn start(&self, within: &Within, args: &[String], journal: &Arc<Journal>) -> Result<Part> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let live = match &mut *live {
            Some(live) if !live.orders.is_closed() => live,
            gone => gone.insert(
                self.launch(journal).with_context(|| format!("cannot start {}", self.program.display()))?,
            ),
        };
        let (sender, ended) = oneshot::channel();
        let entered = Entered { node: within.node.clone(), journal: journal.clone(), ended: sender };
        live.runs += 1;
        let run = live.runs;
        live.parts.enter(run, entered);
        let start = Start {
            run,
            program: within.entry.clone(),
            args: args.to_vec(),
            variables: within.variables.clone(),
        };
        let given = live.orders.try_send(Order::Start(start));
        given.map_err(|_| anyhow!("the process of the nodes takes no orders"))?;
        let orders = live.orders.clone();
        Ok(Part { run, pid: live.pid, begun: Instant::now(), orders, ended })
    }

    fn launch(&self, journal: &Journal) -> Result<Live> {
        let guard = Guard::new()?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(&self.environment).current_dir(&self.folder);
        command.process_group(guard.group()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let pid = child.id().context("it has ended at once")?;
        let input = child.stdin.take().context("it has an input")?;
        let (orders, taken) = mpsc::channel(MOST_ORDERS);
        let parts = Arc::<Parts>::default();
        let setup = serde_json::to_string(&self.setup)?;
        tokio::spawn(look_after(child, guard, parts.clone(), journal.beside(NOBODY), async move {
            // A process that reads no more is about to end, which is seen there.
            let _ = write(input, setup, taken).await;
        }));
        Ok(Live { pid, runs: 0, orders, parts })
    }
}

async fn write(mut input: ChildStdin, setup: String, mut orders: mpsc::Receiver<Order>) -> Result<()> {
    input.write_all(format!("{setup}\n").as_bytes()).await?;
    while let Some(order) = orders.recv().await {
        input.write_all(format!("{}\n", serde_json::to_string(&order)?).as_bytes()).await?;
    }
    Ok(())
}

/// Passes on what the process says and is told until it has ended; then all of its nodes have.
async fn look_after(
    mut child: Child,
    guard: Guard,
    parts: Arc<Parts>,
    journal: Arc<Journal>,
    write: impl Future<Output = ()> + Send + 'static,
) {
    let mut readers = JoinSet::new();
    if let Some(stream) = child.stdout.take() {
        readers.spawn(journal.clone().follow(stream));
    }
    if let Some(stream) = child.stderr.take() {
        let (parts, journal) = (parts.clone(), journal.clone());
        readers.spawn(async move { parts.follow(stream, &journal).await });
    }
    let mut writer = JoinSet::new();
    writer.spawn(write);
    let status = child.wait().await;
    let _ = timeout(LAST_LINES, async { while readers.join_next().await.is_some() {} }).await;
    // No order is taken any more, so that no node comes in after those of now have been told.
    writer.shutdown().await;
    drop(guard);
    parts.end(&match status {
        Ok(status) => format!("the process of the nodes has ended: {}", journal.end_of(status)),
        Err(error) => format!("the process of the nodes cannot be waited for: {error}"),
    });
}

/// What of a line says whose it is.
#[derive(Deserialize)]
struct Logged {
    node: String,
}

impl Parts {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<u64, Entered>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self, run: u64, entered: Entered) {
        self.with(|parts| parts.insert(run, entered));
    }

    /// Gives each line of the stream to the node that has said it.
    async fn follow(&self, stream: impl AsyncRead + Unpin, nobody: &Journal) {
        lines(stream, |line| {
            if let Ok(ended) = serde_json::from_str::<Ended>(line) {
                if let Some(part) = self.with(|parts| parts.remove(&ended.ended)) {
                    // Nobody waits where the job was given up.
                    let _ = part.ended.send(ended);
                }
                return;
            }
            let logged = serde_json::from_str::<Logged>(line).ok();
            let journal = logged.and_then(|logged| {
                self.with(|parts| {
                    let mut parts = parts.values();
                    Some(parts.find(|part| part.node == logged.node)?.journal.clone())
                })
            });
            journal.as_deref().unwrap_or(nobody).take(line);
        })
        .await;
    }

    /// All that are left have ended.
    fn end(&self, why: &str) {
        for (run, part) in self.with(std::mem::take) {
            let _ = part.ended.send(Ended { ended: run, failure: Some(why.to_owned()), is_final: false });
        }
    }
}

impl Part {
    /// Waits for the end of the node.
    pub(crate) async fn wait(&mut self) -> Result<Ended> {
        (&mut self.ended).await.context("nothing is known of its process any more")
    }

    /// Asks the node to stop, and ends it if that takes longer than `grace`. `SIGKILL` ends it at once.
    pub(crate) async fn stop(mut self, signal: Signal, grace: Duration, journal: &Journal) {
        if signal != Signal::KILL {
            let _ = self.orders.try_send(Order::Stop(self.run));
            if timeout(grace, self.wait()).await.is_ok() {
                return;
            }
            let text = format!("ended: it did not stop within {:.0} s", grace.as_secs_f64());
            journal.note("WARNING", text);
        }
        let _ = self.orders.try_send(Order::Abort(self.run));
        // One that blocks its thread cannot be ended; it goes with the process.
        let _ = timeout(Duration::from_secs(1), self.wait()).await;
    }

    /// Since when it runs.
    pub(crate) fn lasted(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.ended.is_terminated() {
            let _ = self.orders.try_send(Order::Abort(self.run));
        }
    }
}
